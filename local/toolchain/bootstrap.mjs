// Starts every npm script. It needs only the machine's Node (20 or newer) and uses no package: it installs the
// project's packages if they are missing or old, then starts the project's own Node.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bad, interrupted } from "../../terminal/exit-codes.cjs";
import { UserError } from "../../terminal/user-error.cjs";
import { installTools } from "./install.cjs";
import { installError } from "./install-failure.cjs";
import { withInstallLock } from "./lock.cjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
const modules = path.join(root, "node_modules");
const installed = path.join(modules, ".installed-lock");
const ownNode = path.join(modules, "node", "bin", process.platform === "win32" ? "node.exe" : "node");

const compile = path.join(root, "local", "toolchain", "compile.cjs");
/** @type {NodeJS.Signals[]} */
const stops = ["SIGINT", "SIGTERM", "SIGHUP"];

try {
  checkMachine();
  keepPrivate(path.join(root, ".local"));
  const [program = "", ...args] = process.argv.slice(2);
  const starts = program === "cli/main.ts" && args[0] === "start";
  await installPackages(starts && !args.includes("--help") && !args.includes("-h"));
  process.exitCode = await runProgram(program, args);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = bad;
}

function checkMachine() {
  if (process.platform === "win32") {
    throw new UserError(
      "music-streams runs on Linux, macOS and, on Windows, in WSL 2: start it from a WSL shell (https://aka.ms/wslinstall).",
    );
  }
  if (Number(process.versions.node.split(".")[0]) < 20) {
    throw new UserError(
      `music-streams needs Node 20 or newer, this is ${process.version}. Install it from https://nodejs.org and try again.`,
    );
  }
}

/**
 * Nobody else on the machine may read the data and credentials of a local cloud. It must be done before anything
 * writes there.
 *
 * @param {string} folder
 */
function keepPrivate(folder) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
}

/**
 * Installs the project's packages if they are missing or old.
 *
 * @param {boolean} withTools Installs the tools of the local cloud meanwhile.
 */
async function installPackages(withTools) {
  const wanted = createHash("sha256")
    .update(readFileSync(path.join(root, "package-lock.json")))
    .digest("hex");
  const isInstalled = () => existsSync(ownNode) && existsSync(installed) && readFileSync(installed, "utf8") === wanted;
  if (isInstalled()) return;
  await withInstallLock(root, async () => {
    if (isInstalled()) return;
    const stop = new AbortController();
    for (const signal of stops) process.once(signal, () => stop.abort());
    // Without a word about what fails: the program installs what is missing then, and says why it can't.
    const tools = withTools && installTools({ root, log: console.error, stop: stop.signal }).catch(() => {});
    try {
      await npmCi();
      writeFileSync(installed, wanted);
    } catch (error) {
      stop.abort();
      throw error;
    } finally {
      await tools;
    }
    if (stop.signal.aborted) process.exit(interrupted);
  });
}

async function npmCi() {
  console.error("Installing the project's packages into node_modules/ (npm ci, about a minute, only once) ...");
  const log = path.join(root, ".local", "npm-ci.log");
  const code = await run(process.execPath, [npmCli(), "ci", "--no-audit", "--no-fund", "--include=dev"], log);
  if (code !== 0) throw installError("npm ci", readFileSync(log, "utf8"), log);
  if (!existsSync(ownNode)) {
    throw new UserError(
      "npm did not install the project's own Node, probably because install scripts are disabled. Enable them (npm config delete ignore-scripts) and try again.",
    );
  }
}

/**
 * The path of npm, which npm passes to its scripts. Without it (a direct `node local/toolchain/bootstrap.mjs`): beside
 * Node.
 */
function npmCli() {
  const beside = path.join(path.dirname(process.execPath), "..", "lib", "node_modules", "npm", "bin", "npm-cli.js");
  const found = [process.env.npm_execpath, beside].find((file) => file?.endsWith(".js") && existsSync(file));
  if (!found) throw new UserError("npm was not found. Start this through npm, for example: npm start");
  return found;
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} log
 * @returns {Promise<number | null>}
 */
function run(command, args, log) {
  return new Promise((resolve, reject) => {
    const output = openSync(log, "w");
    // `npm --silent start` must not hide errors from the log.
    const env = { ...process.env, npm_config_loglevel: "warn" };
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", output, output] });
    passSignalsOn(child);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      closeSync(output);
      if (signal) process.exit(interrupted);
      resolve(code);
    });
  });
}

/**
 * Runs a TypeScript program under the project's Node, forwards signals to it, and returns its exit code.
 *
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<number>}
 */
function runProgram(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(ownNode, ["--require", compile, path.join(root, program), ...args], {
      stdio: "inherit",
      env: {
        ...process.env,
        MUSIC_STREAMS_ROOT: root,
        TS_NODE_PROJECT: path.join(root, "tsconfig.json"),
        NODE_PATH: modules,
        PATH: [path.dirname(ownNode), path.join(modules, ".bin"), process.env.PATH].join(path.delimiter),
      },
    });
    passSignalsOn(child);
    // If npm is killed, its scripts get no signal.
    const starter = process.ppid;
    setInterval(() => process.ppid !== starter && child.kill("SIGTERM"), 1000).unref();
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(signal ? (stops.includes(signal) ? interrupted : bad) : (code ?? bad)));
  });
}

/** @param {import("node:child_process").ChildProcess} child */
function passSignalsOn(child) {
  for (const signal of stops) {
    // At a terminal the child may get the signal twice: the program counts two in quick succession as one.
    process.on(signal, () => child.kill(signal));
  }
}
