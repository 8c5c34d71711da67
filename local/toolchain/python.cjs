const { rm, writeFile } = require("node:fs/promises");
const path = require("node:path");
const { UserError } = require("../../terminal/user-error.cjs");
const { fileHash, installOnce, run, step } = require("./site.cjs");

/** @typedef {import("./site.cjs").Site} Site */

const oldestPython = { major: 3, minor: 10 };

/** @param {Site} site */
async function layerTestPython(site) {
  const runtimePackages = await sitePackages(await installPython(site));
  return virtualEnvironment(site, "python-test", "requirements-test.lock", async (python) => {
    await writeFile(path.join(await sitePackages(python), "runtime.pth"), `${runtimePackages}\n`);
  });
}

/** @param {Site} site */
async function installPython(site) {
  return virtualEnvironment(site, "python", "requirements.lock");
}

/**
 * The folder of a Python's packages.
 *
 * @param {string} python
 */
async function sitePackages(python) {
  return (await run(python, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])).stdout;
}

/**
 * @param {Site} site
 * @param {string} name
 * @param {string} lockName
 * @param {(python: string) => Promise<void>} [prepare]
 */
async function virtualEnvironment(site, name, lockName, prepare) {
  const { root, log } = site;
  const folder = path.join(root, ".local", name);
  const python = path.join(folder, "bin", "python");
  const lock = path.join(root, "local", "toolchain", "python", lockName);
  return installOnce(root, name, await fileHash(lock), python, async () => {
    const base = await pythonOfMachine();
    log(`Installing Python packages into .local/${name} (${lockName}, one or two minutes, only once) ...`);
    await rm(folder, { recursive: true, force: true });
    await step(site, `${name}-venv`, base, ["-m", "venv", folder], venvRemedy);
    await prepare?.(python);
    const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--require-hashes", "-r", lock];
    // The lock names everything. Python compiles what it imports, a small part of it all.
    await step(site, `${name}-pip`, python, [...pip, "--no-deps", "--no-compile"], undefined, {
      // PySpark comes as a source archive. To compress its wheel takes ten seconds.
      DIST_EXTRA_CONFIG: path.join(path.dirname(lock), "setup.cfg"),
    });
  });
}

const venvRemedy =
  "Python's venv module is needed. On Debian or Ubuntu: apt install python3-venv. Elsewhere, install Python from https://www.python.org.";

/** The first Python on the machine that is new enough. The environment variable PYTHON is tried first. */
async function pythonOfMachine() {
  const named = process.env.PYTHON ? [process.env.PYTHON] : [];
  const candidates = [
    ...named,
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.14",
    "python",
  ];
  const seen = [];
  for (const candidate of candidates) {
    const asked = await run(candidate, ["-c", "import sys; print(*sys.version_info[:2])"]);
    if (asked.failed) continue;
    const [major = 0, minor = 0] = asked.stdout.split(" ").map(Number);
    if (major === oldestPython.major && minor >= oldestPython.minor) return candidate;
    seen.push(`${candidate} is ${major}.${minor}`);
  }
  const found = seen.length ? ` (found: ${seen.join(", ")})` : "";
  throw new UserError(
    `Python ${oldestPython.major}.${oldestPython.minor} or newer was not found${found}. Install it from https://www.python.org or your package manager, or set PYTHON to its path, then try again.`,
  );
}

module.exports = { installPython, layerTestPython, sitePackages };
