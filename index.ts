import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Alarms } from "./infra/alarms";
import { Archive } from "./infra/archive";
import { Arrivals } from "./infra/arrivals";
import { Catalog } from "./infra/catalog";
import { consoleLinks as linksTo } from "./infra/console";
import { Dashboard } from "./infra/dashboard";
import { DeadLetters } from "./infra/dead-letters";
import { Lake } from "./infra/lake";
import { Ledger } from "./infra/ledger";
import { MetricsTable } from "./infra/metrics-table";
import { Scripts } from "./infra/scripts";
import { Sense } from "./infra/sense";
import { readSettings } from "./infra/settings";
import { Workflow } from "./infra/workflow";

const settings = readSettings();

const lake = new Lake("music-streams-lake", settings);
const scripts = new Scripts("music-streams-scripts", { bucket: lake.bucket, root: __dirname });
const ledger = new Ledger("music-streams-ledger", settings);
const metrics = new MetricsTable("music-streams-metrics", settings);
const catalog = new Catalog("music-streams-catalog", { bucket: lake.bucket, tags: settings.tags });

const workflow = new Workflow("music-streams", { lake, scripts, ledger, metrics, settings });
const deadLetters = new DeadLetters("music-streams-dead-letters", settings);
const arrivals = settings.startOnArrival
  ? new Arrivals("music-streams-arrivals", { lake, workflow, deadLetters, settings })
  : undefined;
const sense = new Sense("music-streams-sense", { lake, ledger, workflow, deadLetters, arrivals, settings });
const archive = new Archive("music-streams-archive", { lake, ledger, workflow, deadLetters, settings });

const functions = { sense: sense.function, archive: archive.function };
const alarms = new Alarms("music-streams-alarms", { functions, deadLetters, settings });
const { dashboard } = new Dashboard("music-streams-dashboard", {
  functions,
  alarms,
  bucket: lake.bucket,
  tables: { ledger: ledger.table, metrics: metrics.table },
  settings,
});

export const bucketName = lake.bucket.bucket;
export const ledgerTableName = ledger.table.name;
export const metricsTableName = metrics.table.name;
export const catalogDatabaseName = catalog.database.name;
export const workflowName = workflow.workflow.name;
export const transformJobName = workflow.transform.name;
export const publishJobName = workflow.publish.name;
export const senseFunctionName = sense.function.name;
export const archiveFunctionName = archive.function.name;
export const referenceLocation = workflow.referenceLocation;
export const deadLettersUrl = deadLetters.queue.url;
export const alarmTopicArn = alarms.topic.arn;
export const consoleLinks = linksTo({
  bucket: lake.bucket,
  ledger: ledger.table,
  metrics: metrics.table,
  listens: catalog.listens,
  workflow: workflow.workflow,
  dashboard,
});
export const readme = readFileSync(join(__dirname, "Pulumi.README.md"), "utf8");
