const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");

const { closeSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } = fs;

/**
 * A lock is a file that names its holder. Plain JavaScript without packages, because it guards their installation too.
 * Libraries such as proper-lockfile judge a holder by the file's age: a paused holder would lose its lock.
 *
 * @typedef {object} Identity A process, or a process group by its leader.
 * @property {number} pid
 * @property {string} startedAt The system's word for the start of the process, because ids are used again.
 *
 * @typedef {Identity & { boot: string, since: string, nth?: number, root: string, groups: Identity[] }} Holder
 * `nth` tells locks apart that a process takes within a millisecond. `groups`: process groups that work for the holder,
 * and may outlive it.
 *
 * @typedef {object} Lock
 * @property {number[]} leftovers Process groups of the holder before, which died without ending them.
 * @property {(group: number) => void} add Names a process group that works for this holder from now on.
 * @property {() => void} release
 */

/** Longer than a takeover takes (milliseconds), so an older one was cut off. */
const takeoverMs = 5_000;
let attempts = 0;

/**
 * Takes a lock, also from a holder that died. Of several processes that try at the same moment, one gets it. The folder
 * of `file` must exist. Returns the holder instead when another process holds it.
 *
 * @param {string} file
 * @param {string} root The project's folder, which tells people who holds the lock.
 * @returns {Lock | Holder}
 */
function takeLock(file, root) {
  const nth = attempts++;
  const own = { ...identity(process.pid), boot: bootId(), since: new Date().toISOString(), nth, root, groups: [] };
  const draft = `${file}.${process.pid}.${nth}`;
  try {
    for (;;) {
      writeFileSync(draft, JSON.stringify(own), { mode: 0o600 });
      // A link appears with its content, and only if no file is there.
      if (unless("EEXIST", () => linkSync(draft, file))) return held(file, draft, own, []);
      const text = readIfThere(file);
      if (text === undefined) continue;
      const holder = parse(text);
      if (holder && lives(holder)) return holder;
      const groups = holder ? leftoversOf(holder) : [];
      writeFileSync(draft, JSON.stringify({ ...own, groups }), { mode: 0o600 });
      if (takeOver(file, text, draft)) return held(file, draft, own, groups);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Replaces the file of a dead holder. One process at a time may do so: otherwise a slow one could replace the file of
 * the fast one, which lives.
 *
 * @param {string} file
 * @param {string} dead The content that the caller judged.
 * @param {string} draft
 */
function takeOver(file, dead, draft) {
  const gate = `${file}.takeover`;
  if (!unless("EEXIST", () => closeSync(openSync(gate, "wx", 0o600)))) {
    const { mtimeMs } = statSync(gate, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
    if (Date.now() - mtimeMs > takeoverMs) rmSync(gate, { force: true });
    return false;
  }
  try {
    if (readIfThere(file) !== dead) return false;
    renameSync(draft, file);
    return true;
  } finally {
    rmSync(gate, { force: true });
  }
}

/**
 * @param {string} file
 * @param {string} draft
 * @param {Holder} own
 * @param {Identity[]} before
 * @returns {Lock}
 */
function held(file, draft, own, before) {
  const groups = [...before];
  return {
    leftovers: before.map(({ pid }) => pid),
    add(group) {
      groups.push(identity(group));
      writeFileSync(draft, JSON.stringify({ ...own, groups }), { mode: 0o600 });
      renameSync(draft, file);
    },
    release() {
      const holder = parse(readIfThere(file) ?? "");
      if (holder?.pid === own.pid && holder.since === own.since && holder.nth === own.nth)
        rmSync(file, { force: true });
    },
  };
}

/**
 * Runs an installation under a lock: of two commands started together, the second waits for the first.
 *
 * @template T
 * @param {string} root
 * @param {() => Promise<T>} install
 * @returns {Promise<T>}
 */
async function withInstallLock(root, install) {
  mkdirSync(path.join(root, ".local"), { recursive: true });
  for (;;) {
    const lock = takeLock(path.join(root, ".local", "install.lock"), root);
    if (!("release" in lock)) {
      await sleep(300);
      continue;
    }
    try {
      return await install();
    } finally {
      lock.release();
    }
  }
}

/**
 * @param {string} text
 * @returns {Holder | undefined} Undefined for a file that a cut-off machine left half written.
 */
function parse(text) {
  try {
    const holder = JSON.parse(text);
    // Version 0.1.0 wrote the process id alone.
    const whole = typeof holder === "number" ? { pid: holder } : holder;
    if (!Number.isSafeInteger(whole.pid) || whole.pid <= 0) return undefined;
    return { boot: bootId(), startedAt: startOf(whole.pid) ?? "", since: "", root: "", groups: [], ...whole };
  } catch {
    return undefined;
  }
}

/** @param {Holder} holder */
function lives({ pid, startedAt, boot }) {
  return boot === bootId() && startOf(pid) === startedAt;
}

/** @param {Holder} holder */
function leftoversOf({ boot, groups }) {
  if (boot !== bootId() || groups.length === 0) return [];
  const listed = execFileSync("ps", ["-A", "-o", "pgid=,stat="], { encoding: "utf8" }).split("\n");
  const living = new Set(listed.filter((line) => !/\sZ/.test(line)).map((line) => Number.parseInt(line, 10)));
  return groups.filter(({ pid, startedAt }) => {
    // Members may outlive the leader. The system gives its id to no other process until they have ended.
    const leader = startOf(pid);
    return living.has(pid) && (leader === undefined || leader === startedAt);
  });
}

/** @param {number} pid @returns {Identity} */
function identity(pid) {
  return { pid, startedAt: startOf(pid) ?? "" };
}

/** @param {number} pid @returns {string | undefined} Undefined when no such process works. */
function startOf(pid) {
  if (process.platform === "linux") {
    const stat = readIfThere(`/proc/${pid}/stat`);
    // The name, in brackets, may hold anything. Then come the state and 18 fields before the start (proc(5)).
    const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields === undefined || /^[ZXx]/.test(fields[0] ?? "") ? undefined : fields[19];
  }
  try {
    const env = { ...process.env, LC_ALL: "C" };
    const listed = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8", env }).trim();
    return listed === "" || listed.startsWith("Z") ? undefined : listed.split(/\s+/).slice(1).join(" ");
  } catch {
    return undefined;
  }
}

/** Linux counts a process's start from the boot; other systems tell the time of day. */
function bootId() {
  return process.platform === "linux" ? (readIfThere("/proc/sys/kernel/random/boot_id") ?? "").trim() : "";
}

/** @param {string} file */
function readIfThere(file) {
  /** @type {string | undefined} */
  let text;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (!["ENOENT", "ESRCH"].includes(/** @type {NodeJS.ErrnoException} */ (error).code ?? "")) throw error;
  }
  return text;
}

/**
 * @param {string} code
 * @param {() => void} action
 * @returns {boolean} Whether the action succeeded; false for an error with this code.
 */
function unless(code, action) {
  try {
    action();
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === code) return false;
    throw error;
  }
}

module.exports = { takeLock, takeOver, withInstallLock };
