import { type ChildProcess, execFile, spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type Stream = "stdout" | "stderr";

/** Time for a process to end after SIGTERM. */
const GRACE_MS = 3000;
/** Longer lines are split, so that an endless line can't fill the memory. */
const LINE_LIMIT = 200_000;

/**
 * Runs the command in place of the shell, beside a watcher. The watcher kills the whole group when the pipe from this
 * program closes: however this program ends, it leaves no job behind.
 */
const WATCHED = '(read _ <&3; kill -s KILL -- -$$) >/dev/null 2>&1 & exec "$@" 3<&-';

/**
 * Runs a command in its own process group and reports its lines. When the signal aborts, the command gets SIGTERM, then
 * SIGKILL. When this resolves, no process of the group is left, and none that was below it when it was stopped.
 * @throws Error when no process can be started; a missing command ends with exit code 127
 */
export async function runCommand(
  command: Command,
  signal: AbortSignal,
  onLine: (stream: Stream, line: string) => void,
  onStarted: (pid: number) => void = () => {},
): Promise<Exit> {
  const child = spawn("/bin/sh", ["-c", WATCHED, "sh", command.file, ...command.args], {
    cwd: command.cwd,
    env: command.env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const output = Promise.all([readLines(child, "stdout", onLine), readLines(child, "stderr", onLine)]);
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, killer) => resolve({ code, signal: killer }));
  });
  let strays: number[] = [];
  const terminate = async () => {
    strays = await descendants(child.pid);
    signalGroup(child.pid, "SIGTERM");
    await Promise.race([exited.catch(() => {}), pause(GRACE_MS, undefined, { ref: false })]);
    signalGroup(child.pid, "SIGKILL");
  };
  let terminated: Promise<void> | undefined;
  const onAbort = () => {
    terminated ??= terminate();
  };
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    onStarted(child.pid!);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const exit = await exited;
    await terminated;
    // Children that outlive their parent hold its pipes open: wait only as long as the output needs to arrive.
    await Promise.race([output, pause(signal.aborted ? 200 : 1000, undefined, { ref: false })]);
    signalGroup(child.pid, "SIGKILL");
    for (const pid of strays) signalProcess(pid, "SIGKILL");
    return exit;
  } finally {
    signal.removeEventListener("abort", onAbort);
    for (const stream of child.stdio) stream?.destroy();
  }
}

async function readLines(child: ChildProcess, stream: Stream, onLine: (stream: Stream, line: string) => void) {
  const source = child[stream]!.setEncoding("utf8");
  let rest = "";
  const cut = (text: string, last: boolean) => {
    const lines = (rest + text).split("\n");
    rest = last ? "" : lines.pop()!;
    for (const line of lines) if (!last || line !== "") onLine(stream, line.replace(/\r$/, ""));
    while (rest.length > LINE_LIMIT) {
      onLine(stream, rest.slice(0, LINE_LIMIT));
      rest = rest.slice(LINE_LIMIT);
    }
  };
  await new Promise<void>((resolve) => {
    source.on("data", (text: string) => cut(text, false));
    source.once("close", () => {
      cut("", true);
      resolve();
    });
    source.once("error", () => resolve());
  });
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid !== undefined) signalProcess(-pid, signal);
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has ended already.
  }
}

/** Children and their children, also those in their own process group (Spark's Python workers have one). */
async function descendants(root: number | undefined): Promise<number[]> {
  if (root === undefined) return [];
  const listed = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid="]).catch(() => ({ stdout: "" }));
  const pairs = listed.stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const found = new Set<number>([root]);
  for (let size = 0; size !== found.size; ) {
    size = found.size;
    for (const [pid, parent] of pairs) if (pid && parent && found.has(parent)) found.add(pid);
  }
  found.delete(root);
  return [...found];
}
