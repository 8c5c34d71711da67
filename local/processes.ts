import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface ServiceOptions {
  name: string;
  python: string;
  args: string[];
  logFile: string;
  env: Record<string, string>;
  /** Time for it to end after SIGTERM. Default: 5 seconds. */
  graceMs?: number;
}

export interface ServiceProcess {
  pid: number;
  logFile: string;
  hasExited(): boolean;
  /** How it ended, such as "exit code 1" or "killed by SIGKILL". Waits up to `waitMs`; undefined while it runs. */
  end(waitMs: number): Promise<string | undefined>;
  /** The last lines of its log, for an error message. */
  logTail(): Promise<string>;
  /** Ends it and all processes that it started. */
  stop(): Promise<void>;
}

const usualGraceMs = 5_000;

/** Ends the group if this process ends without cleaning up. */
const guard = path.join(__dirname, "python", "guard.py");

/** Starts a Python service in its own process group, so that Ctrl-C at the terminal reaches only this process. */
export async function startService(options: ServiceOptions): Promise<ServiceProcess> {
  await mkdir(path.dirname(options.logFile), { recursive: true });
  const output = openSync(options.logFile, "w");
  const graceMs = options.graceMs ?? usualGraceMs;
  const guarded = [process.pid, graceMs / 1000];
  const child = spawn(options.python, [guard, ...guarded.map(String), options.python, ...options.args], {
    detached: true,
    stdio: ["ignore", output, output],
    env: { ...withoutAws(process.env), ...options.env },
  });
  closeSync(output);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(new Error(`${options.name} could not be started: ${error.message}`)));
  });
  const pid = child.pid!;
  const hasExited = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    logFile: options.logFile,
    hasExited,
    end: async (waitMs) => {
      const deadline = Date.now() + waitMs;
      while (!hasExited() && Date.now() < deadline) await sleep(50);
      if (!hasExited()) return undefined;
      return child.signalCode ? `killed by ${child.signalCode}` : `exit code ${child.exitCode}`;
    },
    logTail: async () => (await readFile(options.logFile, "utf8")).trim().split("\n").slice(-15).join("\n"),
    stop: () => stopGroup(pid, child, graceMs),
  };
}

/** The environment without the user's AWS account, which no local service may reach. */
function withoutAws(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !name.startsWith("AWS_") || name === "AWS_CA_BUNDLE"),
  );
}

async function stopGroup(pid: number, child: ChildProcess, graceMs: number): Promise<void> {
  await endGroup(pid, graceMs);
  while (child.exitCode === null && child.signalCode === null) await sleep(20);
}

/** Sends SIGTERM to a whole process group, then SIGKILL to the processes that are left after `graceMs`. */
export async function endGroup(pid: number, graceMs: number): Promise<void> {
  signalGroup(pid, "SIGTERM");
  const deadline = Date.now() + graceMs;
  while (groupLives(pid) && Date.now() < deadline) await sleep(50);
  signalGroup(pid, "SIGKILL");
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function groupLives(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
