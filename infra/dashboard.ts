import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Alarms } from "./alarms";
import type { Settings } from "./settings";

interface DashboardArgs {
  alarms: Alarms;
  functions: { sense: aws.lambda.Function; archive: aws.lambda.Function };
  settings: Settings;
}

/** One widget, as Amazon CloudWatch API reference describes it: "Dashboard body structure and syntax". */
interface Widget {
  type: "metric" | "alarm" | "log";
  properties: Record<string, unknown>;
}

const WIDTH = 12;
const HEIGHT = 6;

/** The pipeline on one page: alarms, what waits, what came of it, what failed, and the last errors. */
export class Dashboard extends pulumi.ComponentResource {
  readonly dashboard: aws.cloudwatch.Dashboard;

  constructor(name: string, args: DashboardArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:operations:Dashboard", name, {}, opts);
    const { region } = aws.getRegionOutput({}, { parent: this });
    const own = args.settings.metricsNamespace;
    const logGroups = Object.values(args.functions).map((fn) => fn.loggingConfig.logGroup);
    const graph = (title: string, stat: string, metrics: unknown[][], more: object = {}): Widget => ({
      type: "metric",
      properties: { title, region, stat, metrics, period: 300, view: "timeSeries", ...more },
    });
    const functions = (metric: string) =>
      Object.values(args.functions).map((fn) => ["AWS/Lambda", metric, "FunctionName", fn.name]);
    const jobs = ["transform", "publish", "workflow"];

    const widgets: Widget[] = [
      { type: "alarm", properties: { title: "Alarms", alarms: args.alarms.alarms.map(({ arn }) => arn) } },
      graph("Files in incoming/", "Maximum", [[own, "WaitingFiles"]]),
      graph("Waiting and working, in seconds", "Maximum", [
        [own, "OldestFileAgeSeconds"],
        [own, "BatchAgeSeconds"],
      ]),
      graph(
        "Batches settled",
        "Sum",
        ["BatchesArchived", "BatchesSplit", "BatchesFailed"].map((metric) => [own, metric]),
        { stacked: true },
      ),
      graph(
        "Rows, by what became of them",
        "Sum",
        ["RowsKept", "RowsDuplicate", "RowsQuarantined"].map((metric) => [own, metric]),
        { stacked: true },
      ),
      graph(
        "Runs failed, by job",
        "Sum",
        jobs.map((job) => [own, "RunsFailed", "Job", job]),
      ),
      graph("Errors of the functions", "Sum", functions("Errors")),
      graph("Time of the functions, in milliseconds", "Maximum", functions("Duration")),
      {
        type: "log",
        properties: {
          title: "The last errors",
          region,
          query: pulumi.all(logGroups).apply(lastErrors),
        },
      },
    ];
    const dashboardBody = pulumi.jsonStringify({
      widgets: widgets.map((widget, at) => ({
        ...widget,
        x: (at % 2) * WIDTH,
        y: Math.floor(at / 2) * HEIGHT,
        width: at === widgets.length - 1 ? 2 * WIDTH : WIDTH,
        height: HEIGHT,
      })),
    });
    // Named after the stack, because people find it by name.
    const dashboardName = `${pulumi.getProject()}-${pulumi.getStack()}`;
    this.dashboard = new aws.cloudwatch.Dashboard(name, { dashboardName, dashboardBody }, { parent: this });
    this.registerOutputs({ dashboardName: this.dashboard.dashboardName });
  }
}

function lastErrors(groups: (string | undefined)[]): string {
  const sources = groups.map((group) => `SOURCE '${group}'`).join(" | ");
  return `${sources} | fields @timestamp, event, batch_id, job, error, errorMessage | filter level = "ERROR" | sort @timestamp desc | limit 20`;
}
