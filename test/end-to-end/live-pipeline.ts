import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { GlueClient } from "@aws-sdk/client-glue";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { exportMetrics } from "../../cli/metrics";
import { readDataFolder, uploadAll } from "../../cli/start/load";
import { type Watch, watchPipeline } from "../../cli/start/watch";
import { localTarget, type Target } from "../../cli/target";
import { type LocalCloud, startCloud } from "../../local/cloud";
import type { Batch } from "../../runtime/batch";
import { listAll } from "../../runtime/lake";
import { connect, type World } from "../../runtime/world";
import { root, until } from "../support/commands";
import { dataFolder } from "./data";

/** The whole program on a local cloud: real Spark, and the Lambdas as Pulumi serialised them. */
export class LivePipeline {
  readonly target: Target;
  readonly bucket: string;
  private readonly watch: Watch;
  private readonly known: string[] = [];

  private constructor(
    readonly cloud: LocalCloud,
    readonly glue: GlueClient,
    readonly world: World,
    /** A folder for the test's own files. */
    readonly folder: string,
    /** The folder with reference data and stream files. */
    readonly data: string,
  ) {
    this.target = localTarget(cloud);
    this.bucket = this.target.outputs.bucketName;
    this.watch = watchPipeline(world, this.target.lambda, this.target.outputs.senseFunctionName, glue);
  }

  /** Starts a cloud, deploys the program and uploads the reference data. */
  static async start(): Promise<LivePipeline> {
    const folder = await mkdtemp(path.join(tmpdir(), "music-streams-live-"));
    const data = await dataFolder(folder);
    const cloud = await startCloud({ root, port: 0, log: () => {}, authorizationsFile: authorizationsIn(folder) });
    const { s3, documents, outputs } = localTarget(cloud);
    const { endpoint, region, credentials } = cloud;
    const glue = new GlueClient({ endpoint, region, credentials });
    const limits = {
      maxBatchFiles: 1,
      maxBatchBytes: 1,
      maxAttempts: 1,
      retryPauseSeconds: 1,
      maxRetryPauseSeconds: 1,
    };
    const world = connect(
      { s3, glue, documents },
      {
        BUCKET: outputs.bucketName,
        LEDGER_TABLE: outputs.ledgerTableName,
        WORKFLOW: outputs.workflowName,
        TRANSFORM_JOB: outputs.transformJobName,
        PUBLISH_JOB: outputs.publishJobName,
        LIMITS: JSON.stringify(limits),
      },
    );
    await uploadAll(s3, outputs.bucketName, (await readDataFolder(data)).reference);
    return new LivePipeline(cloud, glue, world, folder, data);
  }

  async close(): Promise<void> {
    await this.cloud.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Where the emulator notes what the roles ask for, and whether they may. */
  get authorizations(): string {
    return authorizationsIn(this.folder);
  }

  async put(key: string, body: string | Uint8Array): Promise<void> {
    await this.target.s3.send(new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body }));
  }

  async keys(prefix: string): Promise<string[]> {
    return (await listAll(this.world, prefix)).map((object) => object.key);
  }

  async bytes(key: string): Promise<Buffer> {
    const found = await this.target.s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
    return Buffer.from(await found.Body!.transformToByteArray());
  }

  /** The metrics table as `metrics export` prints it. */
  async metrics(): Promise<string> {
    const lines: string[] = [];
    await exportMetrics(this.target, (chunk) => void lines.push(String(chunk)));
    return lines.join("");
  }

  look() {
    return this.watch.look();
  }

  /** Waits until no file waits and no batch is in flight. Returns the batches since the last call, oldest first. */
  async settled(): Promise<Batch[]> {
    const moment = await until("the pipeline is quiet", async () => {
      const now = await this.look();
      return now.isQuiet && now;
    });
    const fresh = moment.batches.filter((batch) => !this.known.includes(batch.batchId));
    this.known.push(...fresh.map((batch) => batch.batchId));
    return fresh;
  }

  /** A batch that `settled` need not return. */
  skip(batchId: string): void {
    this.known.push(batchId);
  }

  async inState(state: string): Promise<Batch> {
    return until(`a batch is ${state}`, async () => {
      const moment = await this.look();
      return moment.batches.find((batch) => batch.batchId === moment.inFlight && batch.state === state);
    });
  }
}

function authorizationsIn(folder: string): string {
  return path.join(folder, "authorizations.ndjson");
}

/** A stream CSV of these rows. */
export function csv(rows: string[]): string {
  return `user_id,track_id,listen_time\n${rows.join("\n")}\n`;
}
