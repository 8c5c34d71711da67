// One file: a scenario's whole stage, whose counts of ticks, runs and faults belong together.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GetJobRunsCommand, GetWorkflowRunsCommand, paginateGetJobRuns, type WorkflowRun } from "@aws-sdk/client-glue";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import pMap from "p-map";
import layout from "../../layout.json";
import type { Batch } from "../../runtime/batch";
import { readBatch, readPipeline } from "../../runtime/ledger";
import { root, WAIT_MS } from "../support/commands";
import { Account, type End } from "./account";
import { listens, reference } from "./data";
import { processesWith } from "./processes";
import type { FaultProxy, Fired, Rule } from "./proxy";
import { Site } from "./site";

/** The result of a scenario. */
export interface Outcome {
  seconds: number;
  /** Faults by name, with how often each happened. */
  faults: Record<string, number>;
  files: number;
  batches: number;
  runs: number;
  ticks: number;
  /** From the last fault until everything was settled. */
  after: { ticks: number; runs: number; batches: number };
}

/** When nothing changed for this long, nobody is at work. */
const quietMs = 3_000;
/** How long after its deadline a request to start a run may still arrive (runtime/start.ts). */
const arrivesWithinMs = 10_500;
/** A run that Glue does not know counts as running for so long after its start (runtime/glue-runs.ts). */
const unknownForMs = 60_000;

/**
 * A site on which scenarios play. It counts faults, ticks and runs, and keeps account of every file that was ever
 * dropped.
 */
export class Stage extends Site {
  private readonly account: Account;
  private faults: Record<string, number> = {};
  private rules: Map<string, { proxy: FaultProxy; ids: number[] }> = new Map();
  private ticks: number[] = [];
  private runIds = new Map<string, number>();
  private beganMs = 0;
  private lastFaultMs = 0;
  private title = "";

  private constructor(folder: string, keeps: boolean) {
    super(folder, keeps);
    this.account = new Account(path.join(folder, "data"));
  }

  static async open(options: { keep: boolean; log: (line: string) => void }): Promise<Stage> {
    const folder = await mkdtemp(path.join(tmpdir(), "music-streams-faults-"));
    const stage = new Stage(folder, options.keep);
    await stage.start(options.log);
    await stage.putReference();
    return stage;
  }

  async close(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Ends the whole cloud and starts it again with the data that it kept. */
  async restart(log: (line: string) => void = () => {}): Promise<void> {
    assert.ok(this.keeps, "this stage keeps nothing");
    await this.countFired();
    await this.workflowRuns();
    await this.stop();
    await this.start(log);
    this.fault("restart");
  }

  /** Kills the emulator (kill -9) before it saved its tables. The next start processes every archived file again. */
  async cutOff(): Promise<void> {
    const { pids } = JSON.parse(await readFile(path.join(root, ".local", "run.json"), "utf8"));
    const waiting = new Set(await this.keys(layout.incoming));
    await this.countFired();
    await this.workflowRuns();
    for (const pid of pids) process.kill(-pid, "SIGKILL");
    await this.stop();
    await this.start(() => {});
    this.account.comeAgain(waiting);
    this.fault("emulator killed");
  }

  /** Counts the deaths of a job whose script the scenario replaced. */
  async countDeaths(job: "transform" | "publish"): Promise<void> {
    const JobName = this.target.outputs[`${job}JobName`];
    for await (const page of paginateGetJobRuns({ client: this.glue }, { JobName })) {
      for (const { JobRunState, StartedOn, CompletedOn } of page.JobRuns ?? []) {
        if (JobRunState !== "FAILED" || (StartedOn?.getTime() ?? 0) < this.beganMs) continue;
        this.faults[`${job} died`] = (this.faults[`${job} died`] ?? 0) + 1;
        this.lastFaultMs = Math.max(this.lastFaultMs, CompletedOn?.getTime() ?? 0);
      }
    }
  }

  private async putReference(): Promise<void> {
    const files = reference();
    await this.account.reference(files);
    for (const [key, body] of Object.entries(files)) await this.put(key, body);
  }

  /** Begins a scenario's account. */
  async begin(title: string): Promise<void> {
    await this.limit({ maxAttempts: 3, retryPauseSeconds: 1, maxRetryPauseSeconds: 4 });
    this.title = title;
    this.faults = {};
    this.rules.clear();
    this.ticks = [];
    this.runIds.clear();
    this.beganMs = Date.now();
    this.lastFaultMs = this.beganMs;
  }

  /** A stream CSV with listens of this scenario's own. */
  rows(file: number, count: number, days = 3): string {
    return listens(this.title, file, count, days);
  }

  /** Drops a file; its rows count and it ends in archive/ unless `end` says otherwise. */
  async drop(name: string, body: string, end: End = "archive"): Promise<void> {
    await this.account.drop(`${this.title}/${name}`, body, end, end === "archive");
    await this.put(`${layout.incoming}${this.title}/${name}`, body);
  }

  /** Drops `files` files of `rows` rows. */
  async dropMany(files: number, rows: number, days?: number): Promise<void> {
    await pMap(
      Array.from({ length: files }, (_, n) => n),
      (n) => this.drop(`${n}.csv`, this.rows(n, rows, days)),
      { concurrency: 16 },
    );
  }

  /** Deletes a waiting file, as its producer may. */
  async withdraw(name: string, counted: boolean): Promise<void> {
    const key = `${this.title}/${name}`;
    await this.account.withdraw(key, counted);
    await this.target.s3.send(
      new DeleteObjectCommand({ Bucket: this.target.outputs.bucketName, Key: `${layout.incoming}${key}` }),
    );
  }

  /** Notes that a fault has just happened. */
  fault(name: string): void {
    this.faults[name] = (this.faults[name] ?? 0) + 1;
    this.lastFaultMs = Date.now();
  }

  /** Makes calls fail from now on. `name` stands in the results. */
  async failing(name: string, rule: Rule): Promise<void> {
    const proxy = rule.service === "glue" ? this.glueProxy : this.aws;
    const known = this.rules.get(name) ?? { proxy, ids: [] };
    known.ids.push(await proxy.add(rule));
    this.rules.set(name, known);
  }

  /** Whether a rule has fired yet. */
  async hasFired(name: string): Promise<boolean> {
    const rule = this.rules.get(name)!;
    return (await rule.proxy.fired()).some((one) => rule.ids.includes(one.rule_id));
  }

  /** Ends all failures. Throws when a rule never fired: then the scenario tested nothing. */
  async mend(): Promise<void> {
    await Promise.all([this.aws.clear(), this.glueProxy.clear()]);
    await this.countFired();
  }

  private async countFired(): Promise<void> {
    for (const [name, { proxy, ids }] of this.rules) {
      const fired: Fired[] = (await proxy.fired()).filter((one) => ids.includes(one.rule_id));
      assert.ok(fired.length > 0, `the fault "${name}" never happened`);
      this.faults[name] = (this.faults[name] ?? 0) + fired.length;
      this.lastFaultMs = Math.max(this.lastFaultMs, ...fired.map(({ ts }) => ts * 1000));
    }
    this.rules.clear();
  }

  /** Kills the process group of a running job (kill -9), like a lost machine or the out-of-memory killer. */
  async killJob(job: "transform" | "publish"): Promise<void> {
    const JobName = this.target.outputs[`${job}JobName`];
    const { JobRuns = [] } = await this.glue.send(new GetJobRunsCommand({ JobName }));
    const run = JobRuns.find(({ JobRunState }) => JobRunState === "RUNNING");
    assert.ok(run, `${job} is running`);
    const [found] = await processesWith(`/runs/${run.Id}/`);
    assert.ok(found, `${job} has a process`);
    process.kill(-found.group, "SIGKILL");
    this.fault(`${job} killed`);
  }

  /** Kills the emulator's worker processes of a Lambda (kill -9). */
  async killWorkers(lambda: "sense" | "archive"): Promise<void> {
    const workers = await processesWith(`ministack-lambda-${this.target.outputs[`${lambda}FunctionName`]}`);
    assert.ok(workers.length > 0, `${lambda} has a worker process`);
    for (const { pid } of workers) process.kill(pid, "SIGKILL");
    this.fault(`${lambda} killed`);
  }

  /** One tick, as the schedule makes it. Returns the error of a tick that failed. */
  async tick(): Promise<string | undefined> {
    this.ticks.push(Date.now());
    return this.invoke("sense");
  }

  private async workflowRuns(): Promise<WorkflowRun[]> {
    const Name = this.target.outputs.workflowName;
    const runs: WorkflowRun[] = [];
    let NextToken: string | undefined;
    do {
      const page = await this.glue.send(new GetWorkflowRunsCommand({ Name, ...(NextToken && { NextToken }) }));
      runs.push(...(page.Runs ?? []));
      NextToken = page.NextToken || undefined;
    } while (NextToken);
    for (const run of runs) {
      const startedMs = run.StartedOn?.getTime() ?? 0;
      if (startedMs >= this.beganMs) this.runIds.set(run.WorkflowRunId ?? "", startedMs);
    }
    return runs;
  }

  /** Ticks, whenever a tick has something to do, until no file waits and no batch is in flight or queued. */
  async settle(limitMs = WAIT_MS): Promise<void> {
    const deadline = Date.now() + limitMs;
    let last = "";
    let changedMs = Date.now();
    for (;;) {
      const pipeline = await readPipeline(this.world);
      const batch = pipeline.inFlight === undefined ? undefined : await readBatch(this.world, pipeline.inFlight);
      const waiting = (await this.keys(layout.incoming)).length;
      const runs = await this.workflowRuns();
      if (!pipeline.inFlight && !pipeline.queued && waiting === 0) return;
      if (Date.now() > deadline)
        throw new Error(`not settled after ${limitMs / 1000} s: ${JSON.stringify({ pipeline, batch, waiting })}`);
      const isWorking = runs.some(({ Status }) => Status === "RUNNING" || Status === "STOPPING");
      const sign = JSON.stringify([pipeline, batch?.version, waiting, isWorking]);
      if (sign !== last) changedMs = Date.now();
      last = sign;
      if (Date.now() - changedMs > quietMs && !isWorking && !mustWait(batch, runs)) {
        await this.tick();
        changedMs = Date.now();
      }
      await sleep(500);
    }
  }

  /** Checks everything that must hold when all batches are settled. */
  async check(): Promise<Outcome> {
    const seconds = (Date.now() - this.beganMs) / 1000;
    const batches = await this.checkLedger();
    await this.account.checkBucket(this.world);
    await this.account.checkMetrics(this.target);
    const after = {
      ticks: this.ticks.filter((ms) => ms > this.lastFaultMs).length,
      runs: [...this.runIds.values()].filter((ms) => ms > this.lastFaultMs).length,
      batches: batches.filter(({ settledAt }) => Date.parse(settledAt!) > this.lastFaultMs).length,
    };
    const said = `${after.ticks} ticks and ${after.runs} runs for ${after.batches} batches after the last fault`;
    const units = Math.max(1, after.batches);
    assert.ok(after.ticks <= 2 * units && after.runs <= units, `two ticks and one run a batch are enough: ${said}`);
    return {
      seconds,
      faults: this.faults,
      files: this.account.filesOf(this.title),
      batches: batches.length,
      runs: this.runIds.size,
      ticks: this.ticks.length,
      after,
    };
  }

  /** This scenario's batches. */
  async batches(): Promise<Batch[]> {
    return (await this.ledger()).filter(({ updatedAt }) => Date.parse(updatedAt) >= this.beganMs);
  }

  private async checkLedger(): Promise<Batch[]> {
    const { inFlight, queued } = await readPipeline(this.world);
    assert.deepEqual({ inFlight, queued }, { inFlight: undefined, queued: undefined });
    const batches = await this.batches();
    for (const { batchId, state, settledAt } of batches)
      assert.ok(settledAt && ["ARCHIVED", "SPLIT", "FAILED"].includes(state), `${batchId} is settled, not ${state}`);
    return batches;
  }
}

/** Whether a tick would find nothing to do yet. */
function mustWait(batch: Batch | undefined, runs: WorkflowRun[]): boolean {
  const now = Date.now();
  const isYoung = batch?.startedAt !== undefined && now < Date.parse(batch.startedAt) + unknownForMs;
  if (isYoung && batch.state === "RUNNING" && !runs.some((run) => run.WorkflowRunId === batch.workflowRunId))
    return true;
  if (batch?.startBy !== undefined && now < Date.parse(batch.startBy) + arrivesWithinMs) return true;
  if (batch?.lease !== undefined && now < Date.parse(batch.lease.until)) return true;
  return batch?.state === "RETRY" && now < Date.parse(batch.nextAttemptAt ?? "");
}
