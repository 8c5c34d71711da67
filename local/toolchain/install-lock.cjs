const { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } = require("node:fs");
const path = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");

/**
 * Runs an installation under a lock: of two commands started together, the second waits for the first. Plain
 * JavaScript, because it also guards the installation of the packages that TypeScript needs.
 *
 * @template T
 * @param {string} root
 * @param {() => Promise<T>} install
 * @returns {Promise<T>}
 */
async function withInstallLock(root, install) {
  mkdirSync(path.join(root, ".local"), { recursive: true });
  const lock = path.join(root, ".local", "install.lock");
  while (!take(lock)) {
    if (!holderLives(lock)) rmSync(lock, { force: true });
    await sleep(300);
  }
  try {
    return await install();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** @param {string} lock */
function take(lock) {
  try {
    const handle = openSync(lock, "wx");
    writeFileSync(handle, String(process.pid));
    closeSync(handle);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "EEXIST") return false;
    throw error;
  }
}

/** @param {string} lock */
function holderLives(lock) {
  try {
    const pid = Number(readFileSync(lock, "utf8"));
    // The file is empty between its creation and the write of the id.
    if (!pid) return Date.now() - statSync(lock).mtimeMs < 5000;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}

module.exports = { withInstallLock };
