import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  CreateTriggerCommand,
  CreateWorkflowCommand,
  GetWorkflowRunsCommand,
  GlueClient,
  StartWorkflowRunCommand,
  UpdateJobCommand,
} from "@aws-sdk/client-glue";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { BUCKET, client, createJob, type GlueCloud, put, runJob, sharedGlueCloud } from "../../../support/glue-cloud";
import { createRole } from "../../../support/roles";

const READ = `
import boto3
print("I am", boto3.client("sts").get_caller_identity()["Arn"])
s3 = boto3.client("s3", config=boto3.session.Config(s3={"addressing_style": "path"}))
print("open", s3.get_object(Bucket="${BUCKET}", Key="open.txt")["Body"].read().decode())
s3.get_object(Bucket="${BUCKET}", Key="closed.txt")
`;

describe("what roles may do on the local Glue", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await sharedGlueCloud();
    for (const name of ["own", "foreign"]) {
      await createJob(cloud, `${name}-job`, "print(1)\n");
      await cloud.glue.send(new CreateWorkflowCommand({ Name: name }));
      const Actions = [{ JobName: `${name}-job` }];
      await cloud.glue.send(
        new CreateTriggerCommand({ Name: `${name}-start`, Type: "ON_DEMAND", WorkflowName: name, Actions }),
      );
    }
  });

  const role = (name: string, service: string, actions: string[], resources: string[]) =>
    createRole(cloud.emulator, name, { service, actions, resources });

  /** Glue, called with a session of a role, as a Lambda does. */
  async function glueAs(RoleArn: string, more: { secretAccessKey?: string } = {}): Promise<GlueClient> {
    const sts = new STSClient({ ...client, endpoint: cloud.emulator });
    const { Credentials: found } = await sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: "test" }));
    const keys = { accessKeyId: found!.AccessKeyId!, secretAccessKey: found!.SecretAccessKey! };
    const credentials = { ...keys, sessionToken: found!.SessionToken!, ...more };
    return new GlueClient({ ...client, endpoint: cloud.local.endpoint, credentials, maxAttempts: 1 });
  }

  it("a job may do what its role may, and nothing else", async () => {
    const own = [`arn:aws:s3:::${BUCKET}/open.txt`, `arn:aws:s3:::${BUCKET}/scripts/reader.py`];
    await put(cloud, "open.txt", "sesame");
    await put(cloud, "closed.txt", "secret");
    await createJob(cloud, "reader", READ, { Role: await role("reader", "glue.amazonaws.com", ["s3:GetObject"], own) });
    const run = await runJob(cloud, "reader");
    const log = readFileSync(cloud.local.logFile(run.Id!), "utf8");
    assert.match(log, /I am arn:aws:sts::000000000000:assumed-role\/reader\/GlueJobRunnerSession/);
    assert.match(log, /open sesame/);
    assert.equal(run.JobRunState, "FAILED");
    assert.match(run.ErrorMessage!, /AccessDenied.* calling the GetObject operation.*reader/);
  });

  it("a script that the job's role may not read fails the run", async () => {
    const Role = await role("blind", "glue.amazonaws.com", ["s3:GetObject"], [`arn:aws:s3:::${BUCKET}/open.txt`]);
    await createJob(cloud, "blind", "print(1)\n", { Role });
    const run = await runJob(cloud, "blind");
    assert.equal(run.JobRunState, "FAILED");
    assert.match(run.ErrorMessage!, /^LAUNCH ERROR \| Error downloading from S3 .*scripts\/blind\.py.*s3:GetObject/);
  });

  it("a missing role, or one that Glue may not assume, fails the run", async () => {
    await role("of-lambda", "lambda.amazonaws.com", ["s3:*"], ["*"]);
    await createJob(cloud, "roleless", "print(1)\n");
    const Command = { Name: "pythonshell", PythonVersion: "3.9", ScriptLocation: `s3://${BUCKET}/scripts/roleless.py` };
    for (const Role of ["nobody", "of-lambda"]) {
      await cloud.glue.send(
        new UpdateJobCommand({ JobName: "roleless", JobUpdate: { Role, Command, GlueVersion: "3.0" } }),
      );
      const run = await runJob(cloud, "roleless");
      assert.equal(run.JobRunState, "FAILED");
      assert.match(run.ErrorMessage!, new RegExp(`^Role ${Role} should be given assume role permissions for Glue`));
    }
  });

  it("a caller starts the workflow that its role names, and no other", async () => {
    const own = "arn:aws:glue:us-east-1:000000000000:workflow/own";
    const glue = await glueAs(await role("starter", "lambda.amazonaws.com", ["glue:StartWorkflowRun"], [own]));
    const { RunId } = await glue.send(new StartWorkflowRunCommand({ Name: "own" }));
    assert.match(RunId!, /^wr_/);
    await assert.rejects(glue.send(new StartWorkflowRunCommand({ Name: "foreign" })), {
      name: "AccessDeniedException",
      message: /assumed-role\/starter\/test is not authorized to perform: glue:StartWorkflowRun/,
    });
    await assert.rejects(glue.send(new GetWorkflowRunsCommand({ Name: "own" })), { name: "AccessDeniedException" });
    assert.deepEqual((await cloud.glue.send(new GetWorkflowRunsCommand({ Name: "foreign" }))).Runs, []);
  });

  it("a caller with a forged signature is refused", async () => {
    const arn = await role("forger", "lambda.amazonaws.com", ["glue:*"], ["*"]);
    await (await glueAs(arn)).send(new GetWorkflowRunsCommand({ Name: "own" }));
    const forged = await glueAs(arn, { secretAccessKey: "another" });
    await assert.rejects(forged.send(new GetWorkflowRunsCommand({ Name: "own" })), {
      name: "InvalidSignatureException",
    });
  });

  it("the calls of roles are recorded, refused ones too, and those of root are not", () => {
    const calls = readFileSync(cloud.authorizations, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const by = (name: string) =>
      calls.filter(({ role: who }) => who === name).map(({ role: _, ...call }) => JSON.stringify(call));
    const call = (action: string, resource: string, allowed: boolean) => JSON.stringify({ action, resource, allowed });
    const object = (key: string) => `arn:aws:s3:::${BUCKET}/${key}`;
    const flow = (name: string) => `arn:aws:glue:us-east-1:000000000000:workflow/${name}`;
    const ofReader = by("reader").filter((line) => line.includes("s3:"));
    assert.deepEqual(ofReader, [
      call("s3:GetObject", object("scripts/reader.py"), true),
      call("s3:GetObject", object("open.txt"), true),
      call("s3:GetObject", object("closed.txt"), false),
    ]);
    assert.deepEqual(by("starter"), [
      call("glue:StartWorkflowRun", flow("own"), true),
      call("glue:StartWorkflowRun", flow("foreign"), false),
      call("glue:GetWorkflowRuns", flow("own"), false),
    ]);
    assert.ok(calls.every(({ role: who }) => typeof who === "string" && who !== "root"));
  });
});
