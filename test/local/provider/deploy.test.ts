import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { DescribeAlarmsCommand, PutMetricDataCommand } from "@aws-sdk/client-cloudwatch";
import { DescribeContinuousBackupsCommand, DescribeTableCommand } from "@aws-sdk/client-dynamodb";
import { ListRulesCommand, ListTargetsByRuleCommand } from "@aws-sdk/client-eventbridge";
import { GetJobCommand } from "@aws-sdk/client-glue";
import { GetFunctionCommand, InvokeCommand } from "@aws-sdk/client-lambda";
import { GetBucketVersioningCommand, HeadObjectCommand, ListBucketsCommand } from "@aws-sdk/client-s3";
import { GetScheduleCommand, ListSchedulesCommand } from "@aws-sdk/client-scheduler";
import { ListTopicsCommand } from "@aws-sdk/client-sns";
import { type Deployment, deploy } from "../../../local/deploy";
import { ROOT } from "../../support/program-record";
import { type ProviderCloud, REGION, sharedCloud } from "../../support/provider-cloud";

describe("a deployment onto the local cloud", () => {
  let shared: ProviderCloud;
  let first: Deployment;
  before(async () => {
    shared = await sharedCloud();
    first = await deployTo(ROOT);
  });

  const deployTo = (root: string) => deploy({ root, stack: "local", ...shared.where });

  it("deploys the whole program as real resources, and starts no run", async () => {
    const out = first.outputs as Record<string, string>;
    const TableName = out.metricsTableName;
    const { Table } = await shared.clients.dynamodb.send(new DescribeTableCommand({ TableName }));
    assert.deepEqual(
      Table?.KeySchema?.map(({ AttributeName }) => AttributeName),
      ["pk", "sk"],
    );
    const backups = await shared.clients.dynamodb.send(new DescribeContinuousBackupsCommand({ TableName }));
    const recovery = backups.ContinuousBackupsDescription?.PointInTimeRecoveryDescription;
    assert.equal(recovery?.PointInTimeRecoveryStatus, "ENABLED");
    const versioning = await shared.clients.s3.send(new GetBucketVersioningCommand({ Bucket: out.bucketName }));
    assert.equal(versioning.Status, "Enabled");

    const { Job } = await shared.clients.glue.send(new GetJobCommand({ JobName: out.transformJobName }));
    assert.equal(Job?.DefaultArguments?.["--bucket"], out.bucketName);
    const script = new URL(Job!.Command!.ScriptLocation!);
    const Key = script.pathname.slice(1);
    assert.ok((await shared.clients.s3.send(new HeadObjectCommand({ Bucket: script.host, Key }))).ContentLength);

    const { Configuration } = await shared.clients.lambda.send(
      new GetFunctionCommand({ FunctionName: out.senseFunctionName }),
    );
    const variables = Configuration?.Environment?.Variables;
    assert.equal(variables?.AWS_ENDPOINT_URL_GLUE, shared.glue.endpoint);
    assert.equal(variables?.WORKFLOW, out.workflowName);
    assert.equal(shared.glue.runs.length, 0);
  });

  it("connects Glue's events to archive and the schedule to sense", async () => {
    const { Rules = [] } = await shared.clients.events.send(new ListRulesCommand({}));
    assert.equal(Rules.length, 1);
    const { Targets } = await shared.clients.events.send(new ListTargetsByRuleCommand({ Rule: Rules[0]!.Name }));
    assert.match(Targets![0]!.Arn!, /:function:music-streams-archive-/);
    const { Schedules = [] } = await shared.clients.scheduler.send(new ListSchedulesCommand({}));
    const schedule = await shared.clients.scheduler.send(new GetScheduleCommand({ Name: Schedules[0]!.Name }));
    assert.equal(schedule.ScheduleExpression, "rate(1 minute)");
    assert.match(schedule.Target!.Arn!, /:function:music-streams-sense-/);
  });

  it("raises an alarm when the pipeline's metric reaches its threshold", async () => {
    const failed = async () => {
      const AlarmNamePrefix = "music-streams-alarms-batch-failed-";
      return (await shared.clients.cloudwatch.send(new DescribeAlarmsCommand({ AlarmNamePrefix }))).MetricAlarms?.[0];
    };
    assert.notEqual((await failed())?.StateValue, "ALARM");
    const MetricData = [{ MetricName: "RecentBatchesFailed", Value: 1 }];
    await shared.clients.cloudwatch.send(new PutMetricDataCommand({ Namespace: "music-streams/local", MetricData }));
    const alarm = await failed();
    assert.equal(alarm?.StateValue, "ALARM");
    assert.match(alarm?.AlarmDescription ?? "", /What to do: docs\/operations\.md#batch-failed$/);
    const { Topics } = await shared.clients.sns.send(new ListTopicsCommand({}));
    assert.deepEqual(
      alarm?.AlarmActions,
      Topics?.map(({ TopicArn }) => TopicArn),
    );
  });

  it("runs the deployed Lambdas in the emulator's Node", async () => {
    const { outputs } = first;
    for (const name of [outputs.senseFunctionName, outputs.archiveFunctionName]) {
      const answer = await shared.clients.lambda.send(new InvokeCommand({ FunctionName: String(name) }));
      assert.equal(answer.FunctionError, undefined, Buffer.from(answer.Payload!).toString());
      assert.equal(JSON.parse(Buffer.from(answer.Payload!).toString()).action, "idle");
    }
  });

  describe("an error names what stops a deployment:", () => {
    /** A project whose program is `source`, with this project's settings and packages. */
    async function project(name: string, source: string): Promise<string> {
      const root = path.join(shared.cloud.folder, name);
      await mkdir(root);
      await writeFile(path.join(root, "Pulumi.yaml"), "name: odd\nmain: index.ts\nruntime: nodejs\n");
      await writeFile(path.join(root, "Pulumi.local.yaml"), `config:\n  aws:region: ${REGION}\n`);
      await writeFile(path.join(root, "index.ts"), source);
      await symlink(path.join(ROOT, "node_modules"), path.join(root, "node_modules"));
      return root;
    }

    it("a resource that the local cloud does not support", async () => {
      const root = await project("stream", `import * as aws from "@pulumi/aws";\nnew aws.kinesis.Stream("s");`);
      const problem = /aws:kinesis\/stream:Stream "s" could not be created: .* resource type aws:kinesis/;
      await assert.rejects(deployTo(root), problem);
    });

    it("an input that the local cloud does not support", async () => {
      const source = `import * as aws from "@pulumi/aws";\nnew aws.s3.Bucket("b", { objectLockEnabled: true });`;
      const problem = /aws:s3\/bucket:Bucket "b" could not be created: the local cloud has no objectLockEnabled/;
      await assert.rejects(deployTo(await project("lock", source)), problem);
    });

    it("a program that throws", async () => {
      await assert.rejects(deployTo(await project("throws", `throw new Error("no such luck");`)), /no such luck/);
    });

    it("a promise that fails within the program", async () => {
      const source = `import * as aws from "@pulumi/aws";\nnew aws.s3.Bucket("b", { bucket: Promise.reject(new Error("no name")) });`;
      await assert.rejects(deployTo(await project("promise", source)), /no name/);
    });

    it("an emulator that is not there", async () => {
      const nowhere = {
        ...shared.where,
        root: ROOT,
        stack: "local" as const,
        endpoint: "http://127.0.0.1:1",
      };
      await assert.rejects(deploy(nowhere), /http:\/\/127\.0\.0\.1:1 .*does not answer|fetch failed/);
    });
  });

  // Mocha runs a suite's own tests before its inner suites: this comes after the deployments that fail.
  describe("after that", () => {
    it("deploys again onto the same resources, in the same process", async () => {
      const buckets = async () =>
        (await shared.clients.s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name);
      const before = await buckets();
      assert.deepEqual(await deployTo(ROOT), first);
      assert.deepEqual(await buckets(), before);
      assert.equal(shared.glue.runs.length, 0);
    });
  });
});
