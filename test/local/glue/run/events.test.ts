import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { CloudWatchLogsClient, GetLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  DeleteRuleCommand,
  EventBridgeClient,
  PutRuleCommand,
  PutTargetsCommand,
  RemoveTargetsCommand,
  type Target,
} from "@aws-sdk/client-eventbridge";
import { StartJobRunCommand } from "@aws-sdk/client-glue";
import { CreateFunctionCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { strToU8, zipSync } from "fflate";
import pMap from "p-map";
import { parseSchedule } from "../../../../local/glue/model/schedule";
import { jobStateEvent, targetInput } from "../../../../local/glue/run/events";
import { firstBatch } from "../../../../local/glue/run/logs";
import {
  BUCKET,
  client,
  createJob,
  type GlueCloud,
  runJob,
  sharedGlueCloud,
  startAnotherGlue,
  until,
} from "../../../support/glue-cloud";
import { createRole } from "../../../support/roles";
import { puttingCode } from "../../../support/signed";

/** A function that writes each event to the bucket, named by job and state. */
const KEEPER = `${puttingCode(BUCKET)}
exports.handler = async (event) => {
  const key = "events/" + (event.detail ? event.detail.jobName + "-" + event.detail.state : "plain");
  await put(key, JSON.stringify(event));
};`;

describe("events and logs of the local Glue", () => {
  let cloud: GlueCloud;
  let rules: EventBridgeClient;
  let functionArn: string;
  before(async () => {
    cloud = await sharedGlueCloud();
    rules = new EventBridgeClient({ ...client, endpoint: cloud.emulator });
    const lambda = new LambdaClient({ ...client, endpoint: cloud.emulator });
    const keeper = await createRole(cloud.emulator, "keeper", { service: "lambda.amazonaws.com", actions: ["logs:*"] });
    const created = await lambda.send(
      new CreateFunctionCommand({
        FunctionName: "keeper",
        Runtime: "nodejs24.x",
        Role: keeper,
        Handler: "index.handler",
        Code: { ZipFile: zipSync({ "index.js": strToU8(KEEPER) }) },
      }),
    );
    functionArn = created.FunctionArn!;
    await createJob(cloud, "good", "import sys\nprint('to output')\nprint('to error', file=sys.stderr)\n");
    await createJob(cloud, "bad", "raise ValueError('boom')\n");
  });
  // Every rule would cost the job runs of other tests time.
  after(() => pMap(made, removeRule, { concurrency: 8 }));

  const made: string[] = [];
  const rule = async (name: string, pattern: object, targets: Target[], state: "ENABLED" | "DISABLED" = "ENABLED") => {
    await rules.send(new PutRuleCommand({ Name: name, EventPattern: JSON.stringify(pattern), State: state }));
    made.push(name);
    if (targets.length > 0) await rules.send(new PutTargetsCommand({ Rule: name, Targets: targets }));
  };
  const removeRule = async (name: string) => {
    await rules.send(new RemoveTargetsCommand({ Rule: name, Ids: ["1"] }));
    await rules.send(new DeleteRuleCommand({ Name: name }));
  };
  const kept = (key: string) =>
    until(async () => {
      const object = await cloud.s3
        .send(new GetObjectCommand({ Bucket: BUCKET, Key: `events/${key}` }))
        .catch(() => undefined);
      return object && JSON.parse(await object.Body!.transformToString());
    }, `event ${key}`);

  it("the function behind a rule that matches gets the job's event, and no other rule's target does", async () => {
    const ofJobs = { source: ["aws.glue"], "detail-type": ["Glue Job State Change"] };
    // More rules than one page of ListRules holds.
    const others = Array.from({ length: 101 }, (_, nth) => `another-${nth}`);
    await pMap(others, (name) => rule(name, { source: ["aws.s3"] }, []), { concurrency: 8 });
    await rule("zz-jobs", { ...ofJobs, detail: { jobName: ["good", "bad"], state: ["SUCCEEDED", "FAILED"] } }, [
      { Id: "1", Arn: functionArn },
    ]);
    const wrong = [{ Id: "1", Arn: functionArn, Input: '{"detail":{"jobName":"wrong","state":"rule"}}' }];
    await rule("zz-other", { ...ofJobs, detail: { jobName: ["else"] } }, wrong);
    await rule("zz-disabled", ofJobs, wrong, "DISABLED");
    const good = await runJob(cloud, "good");
    const bad = await runJob(cloud, "bad");
    const event = await kept("good-SUCCEEDED");
    assert.deepEqual(event.detail, {
      jobName: "good",
      severity: "INFO",
      state: "SUCCEEDED",
      jobRunId: good.Id,
      message: "Job run succeeded",
    });
    assert.deepEqual([event.source, event["detail-type"], event.resources], ["aws.glue", "Glue Job State Change", []]);
    assert.deepEqual((await kept("bad-FAILED")).detail, {
      jobName: "bad",
      severity: "ERROR",
      state: "FAILED",
      jobRunId: bad.Id,
      message: "ValueError: boom",
    });
    const missing = cloud.s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: "events/wrong-rule" }));
    await assert.rejects(missing, { name: "NoSuchKey" });
  });

  it("a missing target is a line in the log, and does not affect the run", async () => {
    const Arn = functionArn.replace("keeper", "nobody");
    await rule("zz-broken", { source: ["aws.glue"] }, [{ Id: "1", Arn }]);
    assert.equal((await runJob(cloud, "good")).JobRunState, "SUCCEEDED");
    await until(
      () => cloud.lines.find((line) => line.includes("not delivered") && line.includes("nobody")),
      "the log line",
    );
  });

  it("a target's own input, path or transformer decides what it gets", () => {
    const run = { Id: "jr_1", JobName: 'a "b"', JobRunState: "TIMEOUT" as const };
    const event = jobStateEvent(run, "eu-west-1", "123456789012")!;
    assert.deepEqual([event.detail.severity, event.detail.message], ["WARN", "Job run timed out"]);
    const input = (target: Partial<Target>) => targetInput({ Id: "1", Arn: "arn", ...target }, event, { Name: "rule" });
    assert.equal(input({}), JSON.stringify(event));
    assert.equal(input({ Input: '{"a":1}' }), '{"a":1}');
    assert.equal(input({ InputPath: "$.detail.state" }), '"TIMEOUT"');
    const InputPathsMap = { job: "$.detail.jobName", all: "$.detail" };
    const transformed = (InputTemplate: string) => input({ InputTransformer: { InputPathsMap, InputTemplate } });
    assert.equal(transformed('{"text": "job <job> by <aws.events.rule-name>"}'), '{"text": "job a \\"b\\" by rule"}');
    assert.deepEqual(JSON.parse(transformed('{"whole": <all>}')), { whole: event.detail });
  });

  it("what a job writes is in CloudWatch Logs, output and errors apart", async () => {
    const run = await runJob(cloud, "good");
    const logs = new CloudWatchLogsClient({ ...client, endpoint: cloud.emulator });
    const read = async (group: string) => {
      const logGroupName = `/aws-glue/python-jobs/${group}`;
      const { events } = await logs.send(new GetLogEventsCommand({ logGroupName, logStreamName: run.Id! }));
      return events!.map((event) => event.message);
    };
    assert.deepEqual(await read("output"), ["to output"]);
    assert.deepEqual(await read("error"), ["to error"]);
  });

  it("log lines go out in batches that PutLogEvents takes", () => {
    const many = Array.from({ length: 10_001 }, () => ({ timestamp: 1, message: "x" }));
    assert.equal(firstBatch(many).length, 10_000);
    const large = Array.from({ length: 30 }, () => ({ timestamp: 1, message: "ü".repeat(30_000) }));
    assert.equal(firstBatch(large).length, 16);
  });

  it("with the emulator gone, calls are errors, a run is FAILED, and the local Glue goes on", async () => {
    // Grants every permission while it runs, and closes the connection of any other call.
    const dying = createServer(({ headers, socket }, response) =>
      "x-local-glue-resource" in headers ? response.end("{}") : socket.destroy(),
    );
    await once(dying.listen(0, "127.0.0.1"), "listening");
    const emulatorEndpoint = `http://127.0.0.1:${(dying.address() as AddressInfo).port}`;
    const lonely = await startAnotherGlue(cloud, "lonely", { emulatorEndpoint });
    try {
      await createJob(lonely, "alone", "print(1)\n");
      const run = await runJob(lonely, "alone");
      assert.equal(run.JobRunState, "FAILED");
      assert.match(run.ErrorMessage!, /^LAUNCH ERROR \| No session of role role: ECONNRESET/);
      dying.close().closeAllConnections();
      await assert.rejects(lonely.glue.send(new StartJobRunCommand({ JobName: "alone" })), {
        name: "InternalServiceException",
        message: /The emulator does not answer/,
      });
    } finally {
      dying.close().closeAllConnections();
      await lonely.close();
    }
  });

  it("schedules are read as Glue's cron, in UTC", () => {
    const at = (schedule: string, time: string) => parseSchedule(schedule)(new Date(time));
    assert.ok(at("cron(15 12 * * ? *)", "2026-11-23T12:15:00Z"));
    assert.ok(!at("cron(15 12 * * ? *)", "2026-11-23T12:16:00Z"));
    assert.ok(at("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-23T17:55:00Z"), "a Monday");
    assert.ok(!at("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-22T17:55:00Z"), "a Sunday");
    assert.ok(at("cron(0 0 1,15 NOV ? 2026)", "2026-11-15T00:00:00Z"));
    for (const wrong of ["cron(* * * * * *)", "cron(60 * * * ? *)", "cron(0 0 L * ? *)", "0 12 * * ? *"])
      assert.throws(() => parseSchedule(wrong), { code: "InvalidInputException" }, wrong);
  });
});
