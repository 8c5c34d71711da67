import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { METRICS } from "../../runtime/embedded-metrics";
import { EVERY_CHOICE, type Recorded, ROOT, recordProgram } from "../support/program-record";

const MANUAL = readFileSync(path.join(ROOT, "docs", "operations.md"), "utf8");
const ALARM = "cloudwatch/metricAlarm:MetricAlarm";

/** The anchors of a document's headings, as GitHub makes them. */
function anchors(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title]) => title!.toLowerCase().replace(/[^\w]+/g, "-"));
}

describe("the alarms", () => {
  let program: Recorded;
  before(async () => {
    program = await recordProgram("dev");
  });

  /** What makes an alarm go off, in one line. */
  function rule(name: string): string {
    const alarm = program.inputsOf(ALARM, name);
    const dimensions = Object.entries((alarm.dimensions ?? {}) as Record<string, string>).map((one) => one.join("="));
    const signs = `${alarm.datapointsToAlarm} of ${alarm.evaluationPeriods} x ${alarm.period} s`;
    const than = { GreaterThanOrEqualToThreshold: ">=", LessThanThreshold: "<" }[String(alarm.comparisonOperator)];
    const what = [alarm.namespace, alarm.metricName, ...dimensions].join(" ");
    return `${alarm.statistic} of ${what} ${than} ${alarm.threshold}, ${signs}, else ${alarm.treatMissingData}`;
  }

  it("watch what must not stay unseen, each with its bound", () => {
    const rules = program.namesOf(ALARM).map((name) => [name.replace("music-streams-alarms-", ""), rule(name)]);
    const own = "of music-streams/dev";
    const event = "1 of 1 x 300 s, else notBreaching";
    const outcome = "1 of 3 x 300 s, else notBreaching";
    const state = "1 of 12 x 300 s, else notBreaching";
    assert.deepEqual(Object.fromEntries(rules), {
      "batch-failed": `Maximum ${own} RecentBatchesFailed >= 1, ${outcome}`,
      "files-held": `Maximum ${own} RecentFilesHeld >= 1, ${outcome}`,
      "transform-failing": `Maximum ${own} FailuresInARow Job=transform >= 3, ${state}`,
      "publish-failing": `Maximum ${own} FailuresInARow Job=publish >= 3, ${state}`,
      "workflow-failing": `Maximum ${own} FailuresInARow Job=workflow >= 3, ${state}`,
      "batch-stuck": `Maximum ${own} BatchAgeSeconds >= 14400, ${state}`,
      "files-waiting": `Maximum ${own} OldestFileAgeSeconds >= 21600, ${state}`,
      "rows-quarantined": `Maximum ${own} RowsQuarantinedPercent >= 5, ${outcome}`,
      "reference-faults": `Maximum ${own} ReferenceFaults >= 1, ${outcome}`,
      "sense-errors": `Sum of AWS/Lambda Errors FunctionName=music-streams-sense >= 1, ${event}`,
      "archive-errors": `Sum of AWS/Lambda Errors FunctionName=music-streams-archive >= 1, ${event}`,
      "dead-letters": `Maximum of AWS/SQS ApproximateNumberOfMessagesVisible QueueName=music-streams-dead-letters >= 1, 1 of 12 x 300 s, else ignore`,
      silence: "Sum of AWS/Lambda Invocations FunctionName=music-streams-sense < 1, 3 of 3 x 3600 s, else breaching",
    });
  });

  it("follow the stack's settings", async () => {
    const other = await recordProgram("dev", EVERY_CHOICE);
    const bound = (name: string) => other.inputsOf(ALARM, `music-streams-alarms-${name}`);
    assert.equal(bound("publish-failing").threshold, 7);
    assert.equal(bound("batch-stuck").threshold, 600);
    assert.equal(bound("files-waiting").threshold, 1200);
    assert.equal(bound("rows-quarantined").threshold, 33);
    assert.deepEqual([bound("silence").evaluationPeriods, bound("silence").datapointsToAlarm], [12, 12]);
  });

  it("watch only metrics that the Lambdas send and the manual explains", () => {
    for (const name of program.namesOf(ALARM)) {
      const { namespace, metricName } = program.inputsOf(ALARM, name);
      if (namespace === "music-streams/dev")
        assert.ok(METRICS.includes(String(metricName)), `${metricName} of ${name}`);
    }
    for (const metric of METRICS) assert.match(MANUAL, new RegExp(`^\\|.*\\b${metric}\\b.*\\|.*\\|.*\\|$`, "m"));
  });

  it("each lead to a section of the manual", () => {
    const sections = anchors(MANUAL);
    for (const name of program.namesOf(ALARM)) {
      const description = String(program.inputsOf(ALARM, name).alarmDescription);
      const [, section] = /^[A-Z].*\. What to do: docs\/operations\.md#([a-z-]+)$/.exec(description) ?? [];
      assert.ok(section && sections.includes(section), `${name}: ${description}`);
    }
  });

  it("all tell the topic, and of a state also that it is over", () => {
    for (const name of program.namesOf(ALARM)) {
      const { alarmActions, okActions, evaluationPeriods } = program.inputsOf(ALARM, name);
      assert.equal((alarmActions as string[]).length, 1, name);
      assert.match((alarmActions as string[])[0]!, /^arn:aws:sns:.*:music-streams-alarms-topic$/, name);
      const isState = name.endsWith("-silence") || evaluationPeriods === 12;
      assert.deepEqual(okActions, isState ? alarmActions : undefined, name);
    }
  });

  it("reach the address that the stack names, and nobody where it names none", async () => {
    const told = await recordProgram("dev", EVERY_CHOICE);
    const { topic, ...subscription } = told.inputsOf(
      "sns/topicSubscription:TopicSubscription",
      "music-streams-alarms-email",
    );
    assert.match(String(topic), /music-streams-alarms-topic$/);
    assert.deepEqual(subscription, { protocol: "email", endpoint: "ops@example.org" });
    assert.deepEqual(program.namesOf("sns/topicSubscription:TopicSubscription"), []);
  });

  it("come from this account's CloudWatch alone", () => {
    const { policy } = program.inputsOf("sns/topicPolicy:TopicPolicy", "music-streams-alarms-topic-policy");
    const [allow, deny] = JSON.parse(String(policy)).Statement;
    assert.deepEqual(
      [allow.Effect, allow.Principal, allow.Action, allow.Condition],
      [
        "Allow",
        { Service: "cloudwatch.amazonaws.com" },
        "sns:Publish",
        { StringEquals: { "aws:SourceAccount": "111122223333" } },
      ],
    );
    assert.deepEqual([deny.Effect, deny.Condition], ["Deny", { Bool: { "aws:SecureTransport": "false" } }]);
  });
});
