// Preloaded by the bootstrap: compiles TypeScript as it is required, through ts-node, and keeps the result below
// .local/compiled/. Compiling took most of the time of a short command. Plain JavaScript, because nothing compiles it.
const { createHash } = require("node:crypto");
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require("node:fs");
const { enableCompileCache } = require("node:module");
const path = require("node:path");

const root = path.resolve(__dirname, "..", "..");
const folder = path.join(root, ".local", "compiled");
// What decides the output beside the source.
const settings = ["node_modules/ts-node/package.json", "node_modules/typescript/package.json", "tsconfig.json"];
const base = settings.map((name) => readFileSync(path.join(root, name), "utf8")).join("\n");

/** @type {import("ts-node").Service | undefined} */
let compiler;

/**
 * The JavaScript of a TypeScript file, with its source map.
 *
 * @param {string} file
 * @returns {string}
 */
function compiled(file) {
  const source = readFileSync(file, "utf8");
  const stamp = `// ${createHash("sha256").update(base).update(file).update("\0").update(source).digest("hex")}\n`;
  const name = path.relative(root, file);
  // A file elsewhere has no place below the folder.
  const kept = path.join(folder, name.startsWith("..") ? "outside.ts.js" : `${name}.js`);
  try {
    const text = readFileSync(kept, "utf8");
    // The stamp is the last line, so half a file has none.
    if (text.endsWith(`\n${stamp}`)) return text;
  } catch {
    // It is not there yet.
  }
  compiler ??= require("ts-node").create({ transpileOnly: true, cwd: root });
  const text = `${compiler.compile(source, file)}\n${stamp}`;
  try {
    mkdirSync(path.dirname(kept), { recursive: true });
    // Commands that run at the same time never see half a file.
    writeFileSync(`${kept}.${process.pid}`, text);
    renameSync(`${kept}.${process.pid}`, kept);
  } catch {
    // A folder that can't be written costs time, and nothing else.
  }
  return text;
}

// What Node itself compiles is kept too: a start comes half a second sooner to its deployment.
enableCompileCache(path.join(root, ".local", "node-cache"));
// Stack traces name the lines of the TypeScript.
process.setSourceMapsEnabled(true);
require.extensions[".ts"] = /** @param {any} module @param {string} file */ (module, file) =>
  module._compile(compiled(file), file);
