const { spawn } = require("node:child_process");
const { createHash } = require("node:crypto");
const { existsSync } = require("node:fs");
const { mkdir, readFile, realpath, rm, writeFile } = require("node:fs/promises");
const path = require("node:path");
const { installError } = require("./install-failure.cjs");

/**
 * An installation: the project's folder, the log for its progress, and the signal that aborts it. Plain JavaScript
 * without packages, because it runs beside their installation.
 *
 * @typedef {object} Site
 * @property {string} root
 * @property {(line: string) => void} log
 * @property {AbortSignal} [stop]
 */

/**
 * Runs `install` unless its marker file shows that it succeeded with the same inputs. The marker is written last. It
 * names its own folder, because an installation can't be moved; a link to it, beside a link to the marker, is as good.
 *
 * @param {string} root
 * @param {string} name
 * @param {string} inputs
 * @param {string} product
 * @param {() => Promise<void>} install
 * @returns {Promise<string>} The product.
 */
async function installOnce(root, name, inputs, product, install) {
  const marker = path.join(root, ".local", `${name}.installed`);
  const wanted = async () => `${inputs} ${path.dirname(await realpath(marker))}`;
  const done = existsSync(product) && existsSync(marker) && (await readFile(marker, "utf8")) === (await wanted());
  if (done) return product;
  await mkdir(path.dirname(marker), { recursive: true });
  await rm(marker, { force: true });
  await install();
  await writeFile(marker, "");
  await writeFile(marker, await wanted());
  return product;
}

/** @param {string[]} files */
async function fileHash(...files) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(file));
  return hash.digest("hex");
}

/**
 * Runs a command to its end, with nothing to read. Never rejects.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} [env] Added to the environment of this process.
 * @param {AbortSignal} [stop]
 * @returns {Promise<{ failed: boolean, stdout: string, output: string }>} `output`: of stdout and stderr, as they came;
 * of a command that could not be started, why.
 */
function run(command, args, env = {}, stop) {
  return new Promise((resolve) => {
    let [stdout, output] = ["", ""];
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      ...(stop && { signal: stop }),
    });
    const end = () => child.kill();
    process.once("exit", end);
    /** @param {boolean} failed */
    const settle = (failed) => {
      process.off("exit", end);
      resolve({ failed, stdout: stdout.trimEnd(), output });
    };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
        if (stream === child.stdout) stdout += text;
      });
    child.on("error", (error) => {
      output ||= error.message;
      if (child.pid === undefined) settle(true);
    });
    child.on("close", (code) => settle(code !== 0));
  });
}

/**
 * Runs a command with its output in a log.
 *
 * @param {Site} site
 * @param {string} name
 * @param {string} command
 * @param {string[]} args
 * @param {string} [remedy]
 * @param {Record<string, string>} [env]
 * @throws UserError if it fails, with the end of the output and what to do: by the cause that the output names,
 * otherwise `remedy`
 */
async function step(site, name, command, args, remedy, env) {
  const { root, stop } = site;
  const log = path.join(root, ".local", "logs", `install-${name}.log`);
  await mkdir(path.dirname(log), { recursive: true });
  const { failed, output } = await run(command, args, env, stop);
  // On a full disk the log can't be written either.
  const isLogged = await writeFile(log, output).then(
    () => true,
    () => false,
  );
  stop?.throwIfAborted();
  if (failed) throw installError(`Installing (${name})`, output, isLogged ? log : undefined, remedy);
}

module.exports = { fileHash, installOnce, run, step };
