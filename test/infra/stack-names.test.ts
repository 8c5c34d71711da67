import assert from "node:assert/strict";
import { HERE, type Recorded, runAndRecord } from "../support/program-record";

/** Where the program uses the stack's name, and what AWS accepts there. */
const NAMED: [what: string, valid: RegExp, of: (program: Recorded) => unknown[]][] = [
  // Amazon CloudWatch API reference, PutDashboard.
  ["dashboard", /^[\w-]{1,255}$/, (program) => [dashboardOf(program).dashboardName]],
  // Amazon Athena User Guide, "Name databases, tables, and columns".
  ["database", /^[a-z0-9_]{1,255}$/, ({ outputs }) => [outputs.catalogDatabaseName]],
  // Amazon CloudWatch Logs API reference, CreateLogGroup.
  ["log group", /^[\w./#-]{1,512}$/, (program) => inputs(program, "cloudwatch/logGroup:LogGroup", "name")],
  // Amazon CloudWatch API reference, Metric.
  ["namespace", /^[\w./#: -]{1,255}$/, (program) => inputs(program, "cloudwatch/metricAlarm:MetricAlarm", "namespace")],
  // AWS General Reference, "Tagging AWS resources".
  [
    "tag",
    /^[\w .:/=+@-]{0,256}$/,
    (program) => inputs(program, "s3/bucket:Bucket", "tags").map((tags) => (tags as { stack: string }).stack),
  ],
];

const inputs = (program: Recorded, type: string, key: string) =>
  program.namesOf(type).flatMap((name) => program.inputsOf(type, name)[key] ?? []);
const dashboardOf = (program: Recorded) =>
  program.inputsOf("cloudwatch/dashboard:Dashboard", "music-streams-dashboard");

describe("a stack with an odd name", () => {
  // Pulumi takes letters, digits, `-`, `_` and `.`, 100 characters at most.
  for (const stack of ["a.b", `Team.Prod_2-${"x".repeat(88)}`, "1"])
    it(`gives valid names to all that bears it: ${stack.slice(0, 20)} (${stack.length} characters)`, async () => {
      const program = await runAndRecord(stack, {}, HERE, "dev");
      for (const [what, valid, of] of NAMED) {
        const names = of(program);
        assert.ok(names.length > 0, what);
        for (const name of names) assert.match(String(name), valid, `${what} of stack ${stack}`);
      }
      const { dashboard } = program.outputs.consoleLinks as Record<string, string>;
      assert.ok(dashboard?.endsWith(`/${dashboardOf(program).dashboardName}`), dashboard);
    });
});
