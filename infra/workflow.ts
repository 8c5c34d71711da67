import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import layout from "../layout.json";
import { curatedFolder, folderOf, place } from "../runtime/places";
import { type Grant, listing, objectsIn } from "./access";
import { createPythonShellJob, createSparkJob } from "./jobs";
import type { Lake } from "./lake";
import type { Ledger } from "./ledger";
import type { MetricsTable } from "./metrics-table";
import type { Scripts } from "./scripts";
import type { Settings } from "./settings";

interface WorkflowArgs {
  lake: Lake;
  scripts: Scripts;
  ledger: Ledger;
  metrics: MetricsTable;
  settings: Settings;
}

/** Runs transform, and publish once transform has succeeded; one run at a time. */
export class Workflow extends pulumi.ComponentResource {
  readonly workflow: aws.glue.Workflow;
  readonly transform: aws.glue.Job;
  readonly publish: aws.glue.Job;
  /** The folder of the reference data, as an `s3://` URL. */
  readonly referenceLocation: pulumi.Output<string>;

  constructor(name: string, args: WorkflowArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:processing:Workflow", name, {}, opts);
    this.workflow = new aws.glue.Workflow(
      name,
      {
        description: "Transforms a batch of music streams, then publishes its metrics",
        maxConcurrentRuns: 1,
        tags: args.settings.tags,
      },
      { parent: this },
    );
    const { bucket, prefix } = args.settings.referenceLocation ?? {
      bucket: args.lake.bucket.bucket,
      prefix: layout.reference,
    };
    this.referenceLocation = pulumi.interpolate`s3://${bucket}/${prefix}`;
    this.transform = this.createTransform(name, args);
    this.publish = this.createPublish(name, args);

    const start = new aws.glue.Trigger(
      `${name}-start`,
      {
        type: "ON_DEMAND",
        workflowName: this.workflow.name,
        actions: [{ jobName: this.transform.name }],
        // The default `true` would start a run with each deploy that changes the trigger.
        enabled: false,
        tags: args.settings.tags,
      },
      { parent: this },
    );
    new aws.glue.Trigger(
      `${name}-publish`,
      {
        type: "CONDITIONAL",
        workflowName: this.workflow.name,
        predicate: {
          logical: "AND",
          conditions: [{ jobName: this.transform.name, logicalOperator: "EQUALS", state: "SUCCEEDED" }],
        },
        actions: [{ jobName: this.publish.name }],
        enabled: true,
        tags: args.settings.tags,
      },
      // Two triggers that join a workflow at the same time collide: ConcurrentModificationException.
      { parent: this, dependsOn: [start] },
    );
    this.registerOutputs({
      workflowName: this.workflow.name,
      transformJobName: this.transform.name,
      publishJobName: this.publish.name,
    });
  }

  private createTransform(name: string, { lake, scripts, ledger, settings }: WorkflowArgs): aws.glue.Job {
    const { bucket } = lake;
    const names = JSON.stringify(settings.columnNames);
    const curated = curatedFolder();
    const rows = folderOf("quarantinedRows");
    const staged = folderOf("staged");
    return createSparkJob(
      `${name}-transform`,
      {
        script: scripts.transform,
        library: scripts.libraryZip,
        bucket,
        arguments: {
          "--bucket": bucket.bucket,
          "--reference-location": this.referenceLocation,
          "--ledger-table": ledger.table.name,
          "--multi-line": String(settings.multiLine),
          ...(names !== "{}" && { "--column-names": names }),
        },
        grants: [
          // Transform reads a replayed batch in the archive.
          {
            actions: ["s3:GetObject", "s3:GetObjectTagging"],
            resources: objectsIn(bucket, [folderOf("incoming"), folderOf("archived")]),
          },
          ...this.readingReference(lake, settings),
          {
            actions: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            resources: objectsIn(bucket, [folderOf("manifest"), curated, rows, staged]),
          },
          // Before creating a folder, S3A checks for a file of that name.
          {
            actions: ["s3:GetObject"],
            resources: [curated, rows].flatMap(pathOf).map((folder) => pulumi.interpolate`${bucket.arn}/${folder}`),
          },
          // Transform stages files by copies, and a copy keeps its source's tags.
          { actions: ["s3:PutObjectTagging"], resources: objectsIn(bucket, [staged]) },
          listing(bucket),
          // S3A's committer looks for uploads that an earlier writer left, and aborts them.
          { actions: ["s3:ListBucketMultipartUploads"], resources: [bucket.arn] },
          ...this.turn(ledger),
        ],
        timeoutMinutes: settings.transformTimeoutMinutes,
        settings,
      },
      this,
    );
  }

  private createPublish(name: string, { lake, scripts, ledger, metrics, settings }: WorkflowArgs): aws.glue.Job {
    const { bucket } = lake;
    const onSpark = settings.publishEngine === "spark";
    const args = {
      script: scripts.publish,
      library: onSpark ? scripts.libraryZip : scripts.libraryWheel,
      bucket,
      arguments: {
        "--bucket": bucket.bucket,
        "--ledger-table": ledger.table.name,
        "--metrics-table": metrics.table.name,
        "--engine": settings.publishEngine,
      },
      grants: [
        { actions: ["s3:GetObject"], resources: objectsIn(bucket, [folderOf("manifest"), curatedFolder()]) },
        { actions: ["s3:PutObject"], resources: objectsIn(bucket, [folderOf("manifest")]) },
        {
          actions: ["s3:DeleteObject"],
          resources: [pulumi.interpolate`${bucket.arn}/${place("publishCheckpoint", { batchId: "*" })}`],
        },
        listing(bucket),
        {
          actions: ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem"],
          resources: [metrics.table.arn],
        },
        // With DuckDB, the checkpoint names the table that it is about.
        ...(onSpark ? [] : [{ actions: ["dynamodb:DescribeTable"], resources: [metrics.table.arn] }]),
        ...this.turn(ledger),
      ],
      timeoutMinutes: settings.publishTimeoutMinutes,
      settings,
    };
    return onSpark
      ? createSparkJob(`${name}-publish`, args, this)
      : createPythonShellJob(`${name}-publish`, { ...args, packages: scripts.packages }, this);
  }

  /** Permission to read the two reference data sets, and in another bucket to list only them. */
  private readingReference(lake: Lake, { referenceLocation }: Settings): Grant[] {
    const actions = ["s3:GetObject", "s3:GetObjectTagging"];
    if (!referenceLocation) return [{ actions, resources: objectsIn(lake.bucket, [layout.reference]) }];
    const { partition } = aws.getPartitionOutput({}, { parent: this });
    const bucket = pulumi.interpolate`arn:${partition}:s3:::${referenceLocation.bucket}`;
    const folders = [layout.users, layout.songs].map((folder) => `${referenceLocation.prefix}${folder}*`);
    return [
      { actions, resources: folders.map((folder) => pulumi.interpolate`${bucket}/${folder}`) },
      { actions: ["s3:ListBucket"], resources: [bucket], condition: { StringLike: { "s3:prefix": folders } } },
    ];
  }

  /** A job reads the batch's id from its run's properties, and checks in the ledger that the batch expects this run. */
  private turn(ledger: Ledger): Grant[] {
    return [
      { actions: ["glue:GetWorkflowRunProperties"], resources: [this.workflow.arn] },
      { actions: ["dynamodb:GetItem"], resources: [ledger.table.arn] },
    ];
  }
}

/** A folder's name without its slash, after the names of the folders above it: `a` and `a/b` for `a/b/`. */
function pathOf(folder: string): string[] {
  const parts = folder.split("/").slice(0, -1);
  return parts.map((_, at) => parts.slice(0, at + 1).join("/"));
}
