import assert from "node:assert/strict";
import path from "node:path";
import {
  DisableRuleCommand,
  EnableRuleCommand,
  EventBridgeClient,
  ListRulesCommand,
} from "@aws-sdk/client-eventbridge";
import { GetJobRunsCommand, GlueClient } from "@aws-sdk/client-glue";
import {
  GetFunctionConfigurationCommand,
  InvokeCommand,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import {
  GetScheduleCommand,
  ListSchedulesCommand,
  SchedulerClient,
  UpdateScheduleCommand,
} from "@aws-sdk/client-scheduler";
import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import { exportMetrics } from "../../cli/metrics";
import { localTarget, type Target } from "../../cli/target";
import { type LocalCloud, startCloud } from "../../local/cloud";
import type { Batch, BatchState } from "../../runtime/batch";
import { listAll } from "../../runtime/lake";
import { readBatch, readPipeline } from "../../runtime/ledger";
import { connect, type World } from "../../runtime/world";
import { root, until } from "../support/commands";
import { type FaultProxy, startProxy } from "./proxy";

/**
 * The local cloud with a proxy in front of everything that Lambdas and jobs call. Its schedule is off: only the test
 * ticks.
 */
export class Site {
  cloud!: LocalCloud;
  target!: Target;
  world!: World;
  glue!: GlueClient;
  aws!: FaultProxy;
  glueProxy!: FaultProxy;
  private events!: EventBridgeClient;
  private readonly limits: Record<string, number> = {};

  protected constructor(
    protected readonly folder: string,
    /** Whether a restart finds the data that was there before. */
    readonly keeps: boolean,
  ) {}

  protected async start(log: (line: string) => void): Promise<void> {
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
    this.glue = new GlueClient(accessTo(this.cloud));
    this.events = new EventBridgeClient(accessTo(this.cloud));
    const { lambda, outputs, s3, documents } = this.target;
    const sense = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: outputs.senseFunctionName }));
    this.world = connect({ s3, glue: this.glue, documents }, sense.Environment?.Variables ?? {});
    await this.stopSchedule();
    await this.limit({});
  }

  protected async stop(): Promise<void> {
    await this.cloud?.close();
    await Promise.all([this.aws?.close(), this.glueProxy?.close()]);
  }

  private async stopSchedule(): Promise<void> {
    const scheduler = new SchedulerClient(accessTo(this.cloud));
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

  /** Changes limits of the pipeline in both Lambdas. */
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

  async put(key: string, body: string): Promise<void> {
    await this.target.s3.send(new PutObjectCommand({ Bucket: this.target.outputs.bucketName, Key: key, Body: body }));
  }

  /** Turns the delivery of Glue's events to archive on or off. */
  async deliverEvents(on: boolean): Promise<void> {
    const { Rules = [] } = await this.events.send(new ListRulesCommand({}));
    const rules = Rules.filter(({ Name }) => /archive/.test(Name ?? ""));
    assert.ok(rules.length > 0, "there is a rule for archive");
    for (const { Name } of rules)
      await this.events.send(on ? new EnableRuleCommand({ Name }) : new DisableRuleCommand({ Name }));
  }

  async invoke(lambda: "sense" | "archive"): Promise<string | undefined> {
    const FunctionName = this.target.outputs[`${lambda}FunctionName`];
    const answer = await this.target.lambda.send(new InvokeCommand({ FunctionName }));
    return answer.FunctionError && Buffer.from(answer.Payload ?? []).toString();
  }

  /** Every batch of the ledger. */
  async ledger(): Promise<Batch[]> {
    const { Items = [] } = await this.target.documents.send(
      new QueryCommand({
        TableName: this.target.outputs.ledgerTableName,
        KeyConditionExpression: "pk = :batch",
        ExpressionAttributeValues: { ":batch": "BATCH" },
        ConsistentRead: true,
      }),
    );
    return Items as Batch[];
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
    return until(`a batch is ${state}`, async () => {
      const batch = await this.inFlight();
      return batch?.state === state && batch;
    });
  }

  /** Waits until a job of the present run is running. */
  working(job: "transform" | "publish"): Promise<unknown> {
    const JobName = this.target.outputs[`${job}JobName`];
    return until(`${job} is running`, async () => {
      const { JobRuns = [] } = await this.glue.send(new GetJobRunsCommand({ JobName }));
      return JobRuns.some(({ JobRunState }) => JobRunState === "RUNNING");
    });
  }

  /** How many items of the metrics table a batch has written. */
  async published(batchId: string): Promise<number> {
    let items = 0;
    await exportMetrics(
      this.target,
      (text) => {
        items += String(text).split(`"batch_id":"${batchId}"`).length - 1;
      },
      { all: true },
    );
    return items;
  }
}

function accessTo({ endpoint, region, credentials }: LocalCloud) {
  return { endpoint, region, credentials };
}
