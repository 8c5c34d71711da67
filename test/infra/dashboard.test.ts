import assert from "node:assert/strict";
import { METRICS } from "../../runtime/embedded-metrics";
import { type Recorded, recordProgram } from "../support/program-record";
import { createStory, written } from "../support/simulated-cloudwatch";

interface Widget {
  type: string;
  x: number;
  y: number;
  width: number;
  height: number;
  properties: Record<string, unknown>;
}

interface Options {
  id?: string;
  expression?: string;
  visible?: boolean;
}

const OWN = "music-streams/dev";

/** Metrics of AWS that the dashboard may show, with their dimensions, as the services' manuals have them. */
const OF_AWS: Record<string, string> = {
  // AWS Lambda Developer Guide, "Types of metrics for Lambda functions"
  "AWS/Lambda Errors": "FunctionName",
  "AWS/Lambda Duration": "FunctionName",
  // Amazon DynamoDB Developer Guide, "DynamoDB metrics and dimensions"
  "AWS/DynamoDB ConsumedReadCapacityUnits": "TableName",
  "AWS/DynamoDB ConsumedWriteCapacityUnits": "TableName",
  // Amazon S3 User Guide, "Amazon S3 metrics and dimensions in CloudWatch"
  "AWS/S3 BucketSizeBytes": "BucketName StorageType",
};

describe("the dashboard", () => {
  let program: Recorded;
  let widgets: Widget[];
  const of = (type: string) => widgets.filter((widget) => widget.type === type).map(({ properties }) => properties);
  const rows = () => of("metric").flatMap(({ metrics }) => metrics as unknown[][]);
  /** Namespace, name and dimensions of everything that is shown or calculated with. */
  const shown = () =>
    rows()
      .map((row) => row.filter((part) => typeof part === "string"))
      .filter((parts) => parts.length > 0)
      .map(([namespace, name, ...pairs]) => {
        const dimensions: Record<string, string> = {};
        for (let at = 0; at < pairs.length; at += 2) dimensions[pairs[at]!] = pairs[at + 1]!;
        return { namespace: namespace!, name: name!, dimensions };
      });

  before(async () => {
    program = await recordProgram("dev");
    const { dashboardName, dashboardBody } = program.inputsOf(
      "cloudwatch/dashboard:Dashboard",
      "music-streams-dashboard",
    );
    assert.equal(dashboardName, "music-streams-dev");
    const { periodOverride, ...body } = JSON.parse(String(dashboardBody));
    assert.equal(periodOverride, "inherit");
    assert.deepEqual(Object.keys(body), ["widgets"]);
    widgets = body.widgets;
  });

  it("asks its four questions, each above what answers it and with how to read it", () => {
    const texts = of("text").map(({ markdown }) => String(markdown));
    const questions = texts.map((text) => /^## (.+)\n\w.{80,}/.exec(text)?.[1]);
    assert.deepEqual(questions, ["Is it healthy?", "How fresh?", "How much?", "What does it cost?"]);
    assert.equal(widgets[0]?.type, "text");
    for (const text of texts) assert.doesNotMatch(text, /[$€]|\bUSD\b/, "prices differ by region");
  });

  it("shows all alarms", () => {
    const named = (of("alarm")[0]!.alarms as string[]).map((arn) => arn.split(":").at(-1));
    assert.deepEqual(named.sort(), program.namesOf("cloudwatch/metricAlarm:MetricAlarm").sort());
  });

  it("shows every metric that the pipeline sends", () => {
    const own = new Set(shown().flatMap(({ namespace, name }) => (namespace === OWN ? [name] : [])));
    assert.deepEqual([...own].sort(), [...METRICS].sort());
  });

  it("shows only metrics that a pipeline sends with just these dimensions, or AWS does", async () => {
    const story = createStory([], OWN);
    story.simulation.jobs.referenceFilesSkipped = [
      { name: "new.csv", key: "reference/songs/new.csv", reason: "missing_columns" },
    ];
    story.simulation.drop("a.csv", "one,BAD-two");
    for (const end of ["transformFailsEarly", "publishFails", "error", "good"] as const) {
      await story.tick();
      await story.tick();
      await story.end(end);
    }
    story.simulation.drop("b.csv", "POISON");
    story.simulation.drop("c.csv", "three,STUCK");
    for (let tick = 0; tick < 12; tick++) {
      await story.tick();
      await story.end("good");
    }
    const sent = new Set(story.points.map(({ metric, dimensions }) => `${metric} ${dimensions}`));
    for (const { namespace, name, dimensions } of shown())
      if (namespace === OWN) assert.ok(sent.has(`${name} ${written(dimensions)}`), `${name} ${written(dimensions)}`);
      else assert.equal(OF_AWS[`${namespace} ${name}`], Object.keys(dimensions).join(" "), `${namespace} ${name}`);
  });

  it("looks at this stack's own functions, tables and bucket", () => {
    const names = shown().flatMap(({ namespace, dimensions }) =>
      namespace === OWN ? [] : [dimensions.FunctionName ?? dimensions.TableName ?? dimensions.BucketName],
    );
    assert.deepEqual([...new Set(names)].sort(), [
      "music-streams-archive",
      "music-streams-lake-bucket",
      "music-streams-ledger-table",
      "music-streams-metrics-table",
      "music-streams-sense",
    ]);
  });

  it("calculates only with what stands in the same graph: hours from seconds, and memory by the functions' size", () => {
    for (const { title, metrics } of of("metric")) {
      const options = (metrics as unknown[][])
        .map((row) => row.at(-1) as Options)
        .filter((one) => one instanceof Object);
      const ids = options.flatMap(({ id }) => (id === undefined ? [] : [id]));
      assert.equal(new Set(ids).size, ids.length, String(title));
      for (const { expression } of options)
        for (const [used] of expression?.matchAll(/[a-z]\w*/g) ?? [])
          assert.ok(ids.includes(used), `${title}: ${used}`);
    }
    const expressions = rows().flatMap((row) => (row.at(-1) as Options).expression ?? []);
    assert.deepEqual(expressions, ["m0/3600", "m1/3600", "m0/1000*512/1024", "m1/1000*512/1024"]);
  });

  it("adds up what is billed day by day, over a month", () => {
    const daily = of("metric").filter(({ period }) => period === 86_400);
    assert.equal(daily.length, 5);
    for (const { title, start, stat, metrics } of daily) {
      assert.equal(start, "-P30D", String(title));
      assert.equal(stat, JSON.stringify(metrics).includes("BucketSizeBytes") ? "Average" : "Sum", String(title));
    }
  });

  it("lists the last errors and the last batches that got through, of both functions", () => {
    const queries = of("log").map(({ query }) => String(query));
    for (const query of queries)
      assert.match(
        query,
        /^SOURCE 'music-streams-sense-logs' \| SOURCE 'music-streams-archive-logs' \| fields @timestamp/,
      );
    assert.match(queries[0]!, /\| filter level = "ERROR" \| sort @timestamp desc \| limit 20$/);
    assert.match(queries[1]!, /\| filter event = "archived" \| sort @timestamp desc \| limit 20$/);
  });

  it("names a region in each widget that reads from one, and covers no widget by another", () => {
    for (const { type, properties } of widgets)
      if (type === "metric" || type === "log")
        assert.equal(properties.region, "eu-central-1", String(properties.title));
    const covered = new Set<string>();
    for (const { x, y, width, height } of widgets) {
      assert.ok(x >= 0 && x + width <= 24);
      for (let column = x; column < x + width; column++)
        for (let row = y; row < y + height; row++) {
          assert.ok(!covered.has(`${column} ${row}`), `${column} ${row}`);
          covered.add(`${column} ${row}`);
        }
    }
    const rowsUsed = Math.max(...widgets.map(({ y, height }) => y + height));
    assert.equal(covered.size, 24 * rowsUsed, "and leaves no hole");
  });
});
