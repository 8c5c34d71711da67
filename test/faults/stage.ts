import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  DisableRuleCommand,
  EnableRuleCommand,
  EventBridgeClient,
  ListRulesCommand,
} from "@aws-sdk/client-eventbridge";
import {
  GetJobRunsCommand,
  GetWorkflowRunsCommand,
  GlueClient,
  paginateGetJobRuns,
  type WorkflowRun,
} from "@aws-sdk/client-glue";
import {
  GetFunctionConfigurationCommand,
  InvokeCommand,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import {
  GetScheduleCommand,
  ListSchedulesCommand,
  SchedulerClient,
  UpdateScheduleCommand,
} from "@aws-sdk/client-scheduler";
import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import { execa } from "execa";
import pMap from "p-map";
import { exportMetrics } from "../../cli/metrics";
import { localTarget, type Target } from "../../cli/target";
import layout from "../../layout.json";
import { type LocalCloud, startCloud } from "../../local/cloud";
import { localCredentials } from "../../local/credentials";
import type { Batch, BatchState } from "../../runtime/batch";
import { listAll } from "../../runtime/lake";
import { readBatch, readPipeline } from "../../runtime/ledger";
import { connect, type World } from "../../runtime/world";
import { root, until } from "../support/commands";
import { Account, type End } from "./account";
import { listens, reference } from "./data";
import { type FaultProxy, type Fired, type Rule, startProxy } from "./proxy";

/** What a scenario came to. */
export interface Outcome {
  seconds: number;
  /** Faults by name, with how often each happened. */
  faults: Record<string, number>;
  files: number;
  batches: number;
  runs: number;
  ticks: number;
  /** What it took after the last fault until everything was settled. */
  after: { ticks: number; runs: number; batches: number };
}

const client = { region: "us-east-1", credentials: localCredentials };
/** Nothing moved for this long: nobody is at work. */
const quietMs = 3_000;
/** A request for a run that was announced may arrive so long after its last moment (runtime/start.ts). */
const arrivesWithinMs = 10_500;

/**
 * The local cloud with a proxy in front of all that Lambdas and jobs call, without its schedule: ticks are the stage's
 * own, so that they can be counted. Keeps account of every file that was ever dropped.
 */
export class Stage {
  cloud!: LocalCloud;
  target!: Target;
  world!: World;
  glue!: GlueClient;
  aws!: FaultProxy;
  glueProxy!: FaultProxy;
  private events!: EventBridgeClient;
  private readonly account: Account;
  private faults: Record<string, number> = {};
  private rules: Map<string, { proxy: FaultProxy; ids: number[] }> = new Map();
  private ticks: number[] = [];
  private runIds = new Map<string, number>();
  private beganMs = 0;
  private lastFaultMs = 0;
  private title = "";
  private readonly limits: Record<string, number> = {};

  private constructor(
    private readonly folder: string,
    readonly keeps: boolean,
  ) {
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

  private async start(log: (line: string) => void): Promise<void> {
    this.cloud = await startCloud({
      root,
      port: 0,
      log,
      minuteMs: 10_000,
      ...(this.keeps && { keepIn: path.join(this.folder, "kept") }),
      between: async (service, endpoint) => {
        const proxy = await startProxy(endpoint, this.folder);
        if (service === "glue") this.glueProxy = proxy;
        else this.aws = proxy;
        return proxy.endpoint;
      },
    });
    this.target = localTarget(this.cloud);
    this.glue = new GlueClient({ ...client, endpoint: this.cloud.glueEndpoint });
    this.events = new EventBridgeClient({ ...client, endpoint: this.cloud.endpoint });
    const { lambda, outputs, s3, documents } = this.target;
    const sense = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: outputs.senseFunctionName }));
    this.world = connect({ s3, glue: this.glue, documents }, sense.Environment?.Variables ?? {});
    await this.stopSchedule();
    await this.limit({});
  }

  private async stop(): Promise<void> {
    await this.cloud?.close();
    await Promise.all([this.aws?.close(), this.glueProxy?.close()]);
  }

  /** Ends the whole cloud and starts it again upon what it kept. */
  async restart(log: (line: string) => void = () => {}): Promise<void> {
    assert.ok(this.keeps, "this stage keeps nothing");
    await this.countFired();
    await this.workflowRuns();
    await this.stop();
    await this.start(log);
    this.fault("restart");
  }

  /**
   * kill -9 to the emulator, which then has written nothing but objects; a new start has every archived file worked
   * through again.
   */
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

  /** Notes how often a job died of the script that the scenario gave it. */
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

  private async stopSchedule(): Promise<void> {
    const scheduler = new SchedulerClient({ ...client, endpoint: this.cloud.endpoint });
    const { Schedules = [] } = await scheduler.send(new ListSchedulesCommand({}));
    for (const { Name } of Schedules) {
      const { Arn, CreationDate, LastModificationDate, $metadata, ...schedule } = await scheduler.send(
        new GetScheduleCommand({ Name }),
      );
      await scheduler.send(
        new UpdateScheduleCommand({
          ...schedule,
          Name,
          State: "DISABLED",
          ScheduleExpression: schedule.ScheduleExpression,
          FlexibleTimeWindow: schedule.FlexibleTimeWindow,
          Target: schedule.Target,
        }),
      );
    }
    scheduler.destroy();
  }

  /** Changes some of the pipeline's limits, in both Lambdas. */
  async limit(limits: Record<string, number>): Promise<void> {
    Object.assign(this.limits, limits);
    const { lambda, outputs } = this.target;
    for (const FunctionName of [outputs.senseFunctionName, outputs.archiveFunctionName]) {
      const { Environment } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
      const LIMITS = JSON.stringify({ ...JSON.parse(Environment?.Variables?.LIMITS ?? "{}"), ...this.limits });
      const Variables = { ...Environment?.Variables, LIMITS };
      await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Environment: { Variables } }));
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

  // --- what producers do

  async put(key: string, body: string): Promise<void> {
    await this.target.s3.send(new PutObjectCommand({ Bucket: this.target.outputs.bucketName, Key: key, Body: body }));
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
      {
        concurrency: 16,
      },
    );
  }

  /** Deletes a waiting file, as its producer does who thinks better of it. */
  async withdraw(name: string, counted: boolean): Promise<void> {
    const key = `${this.title}/${name}`;
    await this.account.withdraw(key, counted);
    await this.target.s3.send(
      new DeleteObjectCommand({ Bucket: this.target.outputs.bucketName, Key: `${layout.incoming}${key}` }),
    );
  }

  // --- faults

  /** Notes that a fault has just happened. */
  fault(name: string): void {
    this.faults[name] = (this.faults[name] ?? 0) + 1;
    this.lastFaultMs = Date.now();
  }

  /** Lets calls fail from now on; `name` is what the account calls it. */
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

  /** No call fails any more. Throws when one of the rules never fired: then the scenario showed nothing. */
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

  /** kill -9 to the process group of a running job, as the machine's end or the out-of-memory killer. */
  async killJob(job: "transform" | "publish"): Promise<void> {
    const JobName = this.target.outputs[`${job}JobName`];
    const { JobRuns = [] } = await this.glue.send(new GetJobRunsCommand({ JobName }));
    const run = JobRuns.find(({ JobRunState }) => JobRunState === "RUNNING");
    assert.ok(run, `${job} is running`);
    const { stdout } = await execa("ps", ["-A", "-o", "pgid=,args="]);
    const line = stdout.split("\n").find((one) => one.includes(`/runs/${run.Id}/`));
    assert.ok(line, `${job} has a process`);
    process.kill(-Number(line.trim().split(/\s+/)[0]), "SIGKILL");
    this.fault(`${job} killed`);
  }

  /** kill -9 to the emulator's worker processes of a Lambda. */
  async killWorkers(lambda: "sense" | "archive"): Promise<void> {
    const { stdout } = await execa("ps", ["-A", "-o", "pid=,args="]);
    const workers = stdout
      .split("\n")
      .filter((line) => line.includes(`ministack-lambda-${this.target.outputs[`${lambda}FunctionName`]}`))
      .map((line) => Number(line.trim().split(/\s+/)[0]));
    assert.ok(workers.length > 0, `${lambda} has a worker process`);
    for (const pid of workers) process.kill(pid, "SIGKILL");
    this.fault(`${lambda} killed`);
  }

  /** Whether Glue's events reach archive. */
  async deliverEvents(on: boolean): Promise<void> {
    const { Rules = [] } = await this.events.send(new ListRulesCommand({}));
    const rules = Rules.filter(({ Name }) => /archive/.test(Name ?? ""));
    assert.ok(rules.length > 0, "there is a rule for archive");
    for (const { Name } of rules)
      await this.events.send(on ? new EnableRuleCommand({ Name }) : new DisableRuleCommand({ Name }));
  }

  // --- looking, and ticking

  /** One call of sense, as its schedule makes it. Gives the error of a tick that failed. */
  async tick(): Promise<string | undefined> {
    this.ticks.push(Date.now());
    return this.invoke("sense");
  }

  async invoke(lambda: "sense" | "archive"): Promise<string | undefined> {
    const FunctionName = this.target.outputs[`${lambda}FunctionName`];
    const answer = await this.target.lambda.send(new InvokeCommand({ FunctionName }));
    return answer.FunctionError && Buffer.from(answer.Payload ?? []).toString();
  }

  async keys(prefix: string): Promise<string[]> {
    return (await listAll(this.world, prefix)).map(({ key }) => key);
  }

  async inFlight(): Promise<Batch | undefined> {
    const { inFlight } = await readPipeline(this.world);
    return inFlight === undefined ? undefined : readBatch(this.world, inFlight);
  }

  /** Waits until the batch in flight is in a state. */
  reach(state: BatchState): Promise<Batch> {
    return until(`a batch is ${state}`, 240_000, async () => {
      const batch = await this.inFlight();
      return batch?.state === state && batch;
    });
  }

  /** Waits until a job of the present run is running. */
  working(job: "transform" | "publish"): Promise<unknown> {
    const JobName = this.target.outputs[`${job}JobName`];
    return until(`${job} is running`, 240_000, async () => {
      const { JobRuns = [] } = await this.glue.send(new GetJobRunsCommand({ JobName }));
      return JobRuns.some(({ JobRunState }) => JobRunState === "RUNNING");
    });
  }

  /** How many items of the metrics a batch has written. */
  async published(batchId: string): Promise<number> {
    let items = 0;
    await exportMetrics(
      this.target,
      (text) => {
        items += text.split(`"batch_id":"${batchId}"`).length - 1;
      },
      { all: true },
    );
    return items;
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

  // --- the end

  /** Ticks, when a tick has something to do, until nothing waits, is in flight or queued. */
  async settle(limitMs = 400_000): Promise<void> {
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
      if (Date.now() - changedMs > quietMs && !isWorking && !mustWait(batch)) {
        await this.tick();
        changedMs = Date.now();
      }
      await sleep(500);
    }
  }

  /** All that must hold when everything is settled. */
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
    const { Items = [] } = await this.target.documents.send(
      new QueryCommand({
        TableName: this.target.outputs.ledgerTableName,
        KeyConditionExpression: "pk = :batch",
        ExpressionAttributeValues: { ":batch": "BATCH" },
        ConsistentRead: true,
      }),
    );
    return (Items as Batch[]).filter(({ updatedAt }) => Date.parse(updatedAt) >= this.beganMs);
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
function mustWait(batch: Batch | undefined): boolean {
  const now = Date.now();
  if (batch?.startBy !== undefined && now < Date.parse(batch.startBy) + arrivesWithinMs) return true;
  return batch?.state === "RETRY" && now < Date.parse(batch.nextAttemptAt ?? "");
}
