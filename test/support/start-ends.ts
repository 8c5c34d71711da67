import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { localTarget, storeOf } from "../../cli/target";
import { findRunningCloud } from "../../local/run-file";
import { generateSample } from "../../local/sample/generator";
import type { BatchState } from "../../runtime/batch";
import { readBatch, readPipeline } from "../../runtime/ledger";
import type { Store } from "../../runtime/world";
import { commandOf, familyOf, isAlive, npm, oracle, root, until, WAIT_MS } from "./commands";

/** What a test kills: one process, or all of them, as when the power goes off. */
export type Victim = "program" | "npm" | "guard" | "emulator" | "all" | "job" | "lambda";

/** Those whose death ends `npm start`. */
const enders: Victim[] = ["program", "npm", "emulator", "all"];

/** Where `npm start` is: a line of its output, or the state of the batch in flight. */
export type Moment = RegExp | BatchState;

/** In the order in which a batch passes them. */
const states: BatchState[] = ["CLAIMED", "RUNNING", "RETRY", "PROCESSED", "ARCHIVED"];

/** `npm start -- --keep` with small data, stopped and started again with the same folder. */
export class KeptStart {
  /** Of the newest start. */
  output = "";
  private ledger: Store | undefined;
  private run: ReturnType<typeof npm> | undefined;
  private readonly kept: string;
  private readonly data: string;

  constructor(private readonly folder: string) {
    this.kept = path.join(folder, "kept");
    this.data = path.join(folder, "data");
  }

  /** Starts it. Only the first start loads the data. */
  async start(...more: string[]): Promise<void> {
    if (!this.run) await generateSample(this.data, { listens: 3_000, tracks: 60, users: 200 });
    this.output = "";
    this.ledger = undefined;
    this.run = npm("start", "--port", "0", "--keep", this.kept, "--data", this.data, ...more);
    this.run.all.on("data", (text) => {
      this.output += text;
    });
  }

  get isRunning(): boolean {
    return this.run !== undefined && this.run.exitCode === null && isAlive(this.run.pid!);
  }

  /** Waits for a moment. A state may pass within milliseconds: then a state after it will do. */
  async reach(moment: Moment): Promise<void> {
    const deadline = Date.now() + WAIT_MS;
    while (!(await this.isAt(moment))) {
      assert.ok(isAlive(this.run!.pid!), `npm start ended before ${moment}:\n${this.output}`);
      assert.ok(Date.now() < deadline, `npm start did not come to ${moment}:\n${this.output}`);
      await sleep(20);
    }
  }

  private async isAt(moment: Moment): Promise<boolean> {
    if (moment instanceof RegExp) return moment.test(this.output);
    if (/Waiting for files/.test(this.output)) return true;
    this.ledger ??= await findRunningCloud(root).then(
      (cloud) => storeOf(localTarget(cloud as Parameters<typeof localTarget>[0])),
      () => undefined,
    );
    const state = this.ledger && (await stateInFlight(this.ledger).catch(() => undefined));
    return state !== undefined && states.indexOf(state) >= states.indexOf(moment);
  }

  /** A signal of the terminal, which all of `npm start`'s own processes get at once. Waits for its end. */
  async interrupt(): Promise<void> {
    const family = await familyOf(this.run!.pid!);
    for (const pid of family.filter((one) => isOwn(commandOf(one)))) signal(pid, "SIGINT");
    await this.run;
    await gone(family);
  }

  /** kill -9. Waits for every process after `all` alone: the next start has to cope with what others leave running. */
  async kill(victim: Victim): Promise<void> {
    const family = await familyOf(this.run!.pid!);
    const victims = family.filter((pid) => isVictim(victim, commandOf(pid)));
    assert.ok(victims.length > 0, `there is a process to kill for ${victim}:\n${family.map(commandOf).join("\n")}`);
    // Parents first, so that none has time to clean up or to save.
    for (const pid of victims) signal(pid, "SIGKILL");
    if (victim === "all") await gone(family);
    if (enders.includes(victim)) await this.run;
  }

  /** Starts it, waits until nothing is left to do, and checks metrics and audit. @returns its output */
  async check(): Promise<string> {
    const exported = path.join(this.folder, "metrics.ndjson");
    await rm(exported, { force: true });
    await this.start("--export", exported);
    await this.reach(/metrics written to/);
    const audit = await npm("audit", "--deep");
    assert.equal(audit.exitCode, 0, audit.all);
    assert.equal(await readFile(exported, "utf8"), await oracle(this.data));
    return this.output;
  }

  /** Checks the same, and ends it. */
  async finish(): Promise<string> {
    await this.check();
    await this.interrupt();
    assert.equal(this.run!.exitCode, 0, this.output);
    return this.output;
  }

  /** Starts it, if need be, for each of some ends. */
  async meet(ends: readonly (readonly [Moment, Victim | "Ctrl-C"])[]): Promise<void> {
    for (const [moment, end] of ends) {
      if (!this.isRunning) await this.start();
      await this.reach(moment);
      await (end === "Ctrl-C" ? this.interrupt() : this.kill(end));
    }
  }

  /** Meets some ends, and checks everything when the last one is over. */
  async survive(ends: readonly (readonly [Moment, Victim | "Ctrl-C"])[]): Promise<void> {
    await this.meet(ends);
    if (this.isRunning) {
      await this.reach(/Waiting for files/);
      await this.interrupt();
      assert.equal(this.run!.exitCode, 0, this.output);
    }
    await this.finish();
  }

  /** Ends whatever a failed test left running. */
  async close(): Promise<void> {
    if (this.run && isAlive(this.run.pid!)) await this.interrupt();
  }
}

async function stateInFlight(ledger: Store): Promise<BatchState | undefined> {
  const { inFlight } = await readPipeline(ledger);
  return inFlight === undefined ? undefined : (await readBatch(ledger, inFlight))?.state;
}

/** npm, the bootstrap, and the program itself. */
const isOwn = (command: string) => /bootstrap|music-streams\.mjs|main\.ts|npm/.test(command);
const isEmulator = (command: string) => /python\S* \S*emulator\.py$/.test(command) && !/guard\.py/.test(command);

function isVictim(victim: Victim, command: string): boolean {
  switch (victim) {
    case "all":
      return true;
    case "program":
      return /main\.ts/.test(command) && !/bootstrap/.test(command);
    case "npm":
      return /npm run/.test(command);
    case "guard":
      return /guard\.py/.test(command);
    case "emulator":
      return isEmulator(command);
    case "job":
      return /SparkSubmit|publish_duckdb\.py/.test(command);
    case "lambda":
      return /node/.test(command) && /lambda/i.test(command);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function gone(pids: number[]): Promise<void> {
  await until("every process is gone", async () => !pids.some((pid) => isAlive(pid) && commandOf(pid) !== ""));
}
