import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { folderOf } from "../runtime/places";
import type { Alarms } from "./alarms";
import type { Settings } from "./settings";
import { arranged, graph, type Metric, type Section, table } from "./widgets";

interface DashboardArgs {
  alarms: Alarms;
  functions: { sense: aws.lambda.Function; archive: aws.lambda.Function };
  bucket: aws.s3.Bucket;
  tables: { ledger: aws.dynamodb.Table; metrics: aws.dynamodb.Table };
  settings: Settings;
}

const DAY = 24 * 3600;
const JOBS = ["transform", "publish"];
const INCOMING = folderOf("incoming");

/** The pipeline on one page, in four questions: is it healthy, how fresh, how much, and what does it cost. */
export class Dashboard extends pulumi.ComponentResource {
  readonly dashboard: aws.cloudwatch.Dashboard;

  constructor(name: string, args: DashboardArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:operations:Dashboard", name, {}, opts);
    const sections = [health(args), freshness(args), amounts(args), cost(args)];
    const { region } = aws.getRegionOutput({}, { parent: this });
    const dashboardBody = pulumi.jsonStringify({
      // Otherwise the console chooses periods by the time range, and a daily sum would cover another period.
      periodOverride: "inherit",
      widgets: arranged(sections, region),
    });
    // People find dashboards by name, so this one has the stack's. CloudWatch takes no dot in it (Amazon CloudWatch API
    // reference, PutDashboard), and Pulumi does.
    const dashboardName = `${pulumi.getProject()}-${pulumi.getStack()}`.replace(/[^\w-]/g, "_");
    this.dashboard = new aws.cloudwatch.Dashboard(name, { dashboardName, dashboardBody }, { parent: this });
    this.registerOutputs({ dashboardName: this.dashboard.dashboardName });
  }
}

function health({ alarms, functions, settings }: DashboardArgs): Section {
  const own = settings.metricsNamespace;
  const byJob = (metric: string): Metric[] => [...JOBS, "workflow"].map((job) => [own, metric, "Job", job]);
  const ofFunctions = (metric: string): Metric[] =>
    Object.values(functions).map((fn) => ["AWS/Lambda", metric, "FunctionName", fn.name]);
  return {
    text:
      "## Is it healthy?\nYes, when no alarm is red. Each alarm's description names the section of docs/operations.md that says what to do. " +
      "A single failed run does no harm: sense starts the next attempt. A rising line of failures in a row blocks everything.",
    widgets: [
      { type: "alarm", properties: { title: "Alarms", alarms: alarms.alarms.map(({ arn }) => arn) } },
      graph("Batches settled", "Sum", ownMetrics(own, "BatchesArchived", "BatchesSplit", "BatchesFailed"), {
        stacked: true,
      }),
      graph("Runs failed, by job", "Sum", byJob("RunsFailed")),
      graph("Failures in a row, by job", "Maximum", byJob("FailuresInARow")),
      graph(
        "Batches failed and files held in the last half hour",
        "Maximum",
        ownMetrics(own, "RecentBatchesFailed", "RecentFilesHeld"),
      ),
      graph("Errors of the Lambdas", "Sum", ofFunctions("Errors")),
      graph("Duration of the Lambdas, in milliseconds (limit: 300,000)", "Maximum", ofFunctions("Duration")),
      table(
        "The last errors",
        logGroups(functions),
        'fields @timestamp, event, batch_id, job, error, errorMessage | filter level = "ERROR" | sort @timestamp desc | limit 20',
      ),
    ],
  };
}

function freshness({ functions, settings }: DashboardArgs): Section {
  const own = settings.metricsNamespace;
  return {
    text:
      "## How fresh?\nA listen is in the metrics when its batch is archived. The age of the oldest file shows how far they are behind; a gap means that nothing waits. " +
      "The table below shows when files were last archived. The part of a batch's time that its steps don't explain is waiting: for the next tick, for machines, or for the next attempt.",
    widgets: [
      graph(`Age of the oldest file in ${INCOMING}, and of the batch in flight, in seconds`, "Maximum", [
        ...ownMetrics(own, "OldestFileAgeSeconds", "BatchAgeSeconds"),
      ]),
      graph(`Files in ${INCOMING}`, "Maximum", ownMetrics(own, "WaitingFiles")),
      graph("A batch from claim to archive, in seconds", "Maximum", ownMetrics(own, "BatchSeconds")),
      graph(
        "Its steps, in seconds",
        "Maximum",
        ownMetrics(own, "TransformSeconds", "PublishSeconds", "ArchiveSeconds"),
      ),
      table(
        "The last archived batches",
        logGroups(functions),
        'fields @timestamp, batch_id, moved as files, report.rowsRead as rows, report.rowsKept as kept, batch_seconds | filter event = "archived" | sort @timestamp desc | limit 20',
      ),
    ],
  };
}

function amounts({ settings }: DashboardArgs): Section {
  const own = settings.metricsNamespace;
  return {
    text:
      `## How much?\nEach row read is kept, or a duplicate of a counted listen, or quarantined with a reason in \`${folderOf("quarantinedRows")}\`. ` +
      "Many duplicates are normal where producers send files again. More quarantined rows usually mean that a producer changed its format.",
    widgets: [
      graph("Files claimed", "Sum", ownMetrics(own, "FilesClaimed")),
      graph("Bytes claimed", "Sum", ownMetrics(own, "BytesClaimed")),
      graph("Rows read", "Sum", ownMetrics(own, "RowsRead")),
      graph("Rows by outcome", "Sum", ownMetrics(own, "RowsKept", "RowsDuplicate", "RowsQuarantined"), {
        stacked: true,
      }),
      graph("Quarantined rows of the worst batch, in percent", "Maximum", ownMetrics(own, "RowsQuarantinedPercent")),
      graph("Files quarantined or held", "Sum", ownMetrics(own, "FilesQuarantined", "FilesHeld")),
      graph("Faults of the reference data", "Maximum", ownMetrics(own, "ReferenceFaults")),
    ],
  };
}

function cost({ functions, bucket, tables, settings }: DashboardArgs): Section {
  const own = settings.metricsNamespace;
  const byDay = { period: DAY, start: "-P30D", end: "PT0H" };
  const dpuHours: Metric[] = JOBS.flatMap((job, at): Metric[] => [
    [own, "DpuSeconds", "Job", job, { id: `m${at}`, visible: false }],
    [{ expression: `m${at}/3600`, label: job, id: `e${at}` }],
  ]);
  const gigabyteSeconds = Object.entries(functions).flatMap(([what, fn], at): Metric[] => [
    ["AWS/Lambda", "Duration", "FunctionName", fn.name, { id: `m${at}`, visible: false }],
    [{ expression: pulumi.interpolate`m${at}/1000*${fn.memorySize}/1024`, label: what, id: `e${at}` }],
  ]);
  const units = (metric: string): Metric[] =>
    Object.entries(tables).map(([label, { name }]) => ["AWS/DynamoDB", metric, "TableName", name, { label }]);
  const classes = { StandardStorage: "Standard", GlacierInstantRetrievalStorage: "Glacier Instant Retrieval" };
  return {
    text:
      "## What does it cost?\nAmounts per day over 30 days. Prices differ by region; see the pricing pages of AWS Glue, Lambda, DynamoDB and S3. " +
      'The jobs\' DPU hours are nearly all of the cost. docs/operations.md, "Cost", adds the amounts up and says how to lower them. In Cost Explorer, the tags project and stack select this stack.',
    widgets: [
      graph("DPU hours a day, by job", "Sum", dpuHours, { ...byDay, stacked: true }),
      graph("Gigabyte seconds of the Lambdas a day", "Sum", gigabyteSeconds, { ...byDay, stacked: true }),
      graph("Write units of the tables a day", "Sum", units("ConsumedWriteCapacityUnits"), byDay),
      graph("Read units of the tables a day", "Sum", units("ConsumedReadCapacityUnits"), byDay),
      graph(
        "Bytes in the bucket, old versions included, by storage class",
        "Average",
        Object.entries(classes).map(([StorageType, label]) => [
          ...["AWS/S3", "BucketSizeBytes", "BucketName", bucket.bucket, "StorageType", StorageType],
          { label },
        ]),
        { ...byDay, stacked: true },
      ),
    ],
  };
}

const ownMetrics = (namespace: string, ...metrics: string[]): Metric[] => metrics.map((metric) => [namespace, metric]);

function logGroups(functions: DashboardArgs["functions"]): pulumi.Output<string>[] {
  return Object.values(functions).map((fn) => fn.loggingConfig.logGroup.apply((group) => group ?? ""));
}
