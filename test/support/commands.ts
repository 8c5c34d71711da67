import { existsSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa, execaSync } from "execa";

export const root = path.resolve(__dirname, "..", "..");

/** What `node --require` takes to run TypeScript. */
export const typescript = path.join(root, "local", "toolchain", "compile.cjs");

/** The real data: the folder data/ in the folder that MUSIC_STREAMS_DATA names. CI has it, a reader's clone has not. */
export const realData: string | undefined = findRealData(process.env.MUSIC_STREAMS_DATA);

function findRealData(folder: string | undefined): string | undefined {
  if (!folder) return undefined;
  const data = path.resolve(root, folder, "data");
  if (!existsSync(data)) throw new Error(`MUSIC_STREAMS_DATA is ${folder}, but there is no folder ${data}`);
  return data;
}

/** Runs one of the project's npm scripts as a person does. */
export function npm(script: string, ...args: string[]) {
  return execa("npm", ["run", "--silent", script, "--", ...args], {
    cwd: root,
    reject: false,
    all: true,
    stdin: "ignore",
  });
}

/** The metrics of a data folder without forgotten listeners, by the oracle, as `metrics export` prints them. */
export async function oracle(folder: string, ...forgotten: string[]): Promise<string> {
  const { stdout } = await execa(path.join(root, ".local", "python", "bin", "python"), [
    ...[path.join(root, "cli", "audit", "oracle.py"), folder],
    ...(forgotten.length > 0 ? ["--forgotten", ...forgotten] : []),
  ]);
  return `${stdout}\n`;
}

/** Every process below one, by id, itself included. */
export async function familyOf(pid: number): Promise<number[]> {
  const { stdout } = await execa("ps", ["-e", "-o", "pid=,ppid="]);
  const parents = stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const family = [pid];
  // Processes are listed in any order: go on until a round adds none.
  for (let before = 0; before !== family.length; ) {
    before = family.length;
    for (const [child, parent] of parents) if (family.includes(parent) && !family.includes(child)) family.push(child);
  }
  return family;
}

/** The command line of a process; empty when it is gone. */
export function commandOf(pid: number): string {
  return execaSync("ps", ["-p", String(pid), "-o", "args="], { reject: false }).stdout;
}

/** Addresses on which these processes listen for TCP. */
export async function listeningAddresses(pids: number[]): Promise<string[]> {
  const { stdout } = await execa("ss", ["-ltnpH"]);
  return stdout
    .split("\n")
    .filter((line) => pids.some((pid) => line.includes(`pid=${pid},`)))
    .map((line) => line.trim().split(/\s+/)[3] ?? "");
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The longest wait for anything: far longer than it takes, because some machines are slow. */
export const WAIT_MS = 600_000;

/** Waits until `look` returns a value, and returns it. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  everyMs = 250,
): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  while (Date.now() < deadline) {
    const found = await look();
    if (found) return found;
    await sleep(everyMs);
  }
  throw new Error(`did not happen within ${WAIT_MS / 1000} s: ${what}`);
}
