// `node --require` this, and Node runs TypeScript, through ts-node and without types. What ts-node makes of a file is
// kept in .local/transpiled/ until the file changes, because making it takes longer than most commands do.
const { createHash } = require("node:crypto");
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require("node:fs");
const path = require("node:path");
const tsNode = require("ts-node");
const ts = require("typescript");

const root = path.resolve(__dirname, "..", "..");
const kept = path.join(root, ".local", "transpiled");

/** @param {string[]} texts */
const hashOf = (...texts) => createHash("sha256").update(JSON.stringify(texts)).digest("hex");

/**
 * The plug-in that ts-node calls for each file.
 *
 * @type {import("ts-node").TranspilerFactory}
 */
exports.create = ({ service }) => {
  const compilerOptions = service.config.options;
  const tools = JSON.stringify([ts.version, compilerOptions]);
  return {
    transpile(code, { fileName }) {
      const make = () => ts.transpileModule(code, { fileName, compilerOptions, reportDiagnostics: true });
      const within = path.relative(root, fileName);
      if (within.startsWith("..")) return make();
      const file = path.join(kept, `${hashOf(within)}.json`);
      const wanted = hashOf(tools, fileName, code);
      const found = read(file);
      if (found?.hash === wanted) return found.output;
      const output = make();
      if (!output.diagnostics?.length) keep(file, { hash: wanted, output });
      return output;
    },
  };
};

/**
 * @param {string} file
 * @returns {{ hash: string, output: import("ts-node").TranspileOutput } | undefined}
 */
function read(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    // Not there, or cut off with the machine.
    return undefined;
  }
}

/**
 * Another process may do the same at the same moment, so the file appears whole.
 *
 * @param {string} file
 * @param {object} content
 */
function keep(file, content) {
  const unfinished = `${file}.${process.pid}`;
  try {
    mkdirSync(kept, { recursive: true });
    writeFileSync(unfinished, JSON.stringify(content));
    renameSync(unfinished, file);
  } catch {
    // A full disk, or one that can't be written to: the next process transpiles it again.
  }
}

tsNode.register({ transpileOnly: true, transpiler: __filename });
