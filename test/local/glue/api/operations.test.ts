// One file: nearly all of it is a table of requests, with the answer of the API to each.
import assert from "node:assert/strict";
import {
  CreateDatabaseCommand,
  CreateJobCommand,
  EntityNotFoundException,
  GetDatabaseCommand,
  GetJobCommand,
} from "@aws-sdk/client-glue";
import { client, createJob, type GlueCloud, runJob, sharedGlueCloud, until } from "../../../support/glue-cloud";
import { deviations, glueModel } from "../../../support/glue-model";
import { signedFetch } from "../../../support/signed";

const COMMAND = { Name: "pythonshell", ScriptLocation: "s3://glue-tests/scripts/x.py", PythonVersion: "3.9" };
const JOB = { Role: "role", Command: COMMAND };
const CONDITION = { JobName: "shell", State: "SUCCEEDED", LogicalOperator: "EQUALS" };

interface Answer {
  status: number;
  body: Record<string, unknown>;
  type: string | null;
}

describe("the API of the local Glue", () => {
  const model = glueModel();
  let cloud: GlueCloud;
  before(async () => {
    cloud = await sharedGlueCloud();
    await createJob(cloud, "shell", "print(1)\n", { Tags: { team: "music" } });
    await createJob(cloud, "other", "print(1)\n");
    await post("CreateWorkflow", { Name: "flow", Tags: { team: "music" } });
    await post("CreateTrigger", {
      Name: "start",
      Type: "ON_DEMAND",
      WorkflowName: "flow",
      Actions: [{ JobName: "shell" }],
    });
  });

  async function post(operation: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await signedFetch("glue", cloud.local.endpoint, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": `AWSGlue.${operation}`,
        ...headers,
      },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const type = answer.headers.get("x-amzn-errortype");
    return { status: answer.status, body: JSON.parse((await answer.text()) || "{}"), type };
  }

  /** Calls an operation and checks its answer by AWS's model: the output's shape, or an error that it declares. */
  async function call(operation: string, body: unknown): Promise<Answer> {
    const answer = await post(operation, body);
    const { output, errors = [] } = model.operations[operation]!;
    if (answer.status === 200) {
      assert.deepEqual(deviations(model, output!.shape, answer.body), [], operation);
    } else {
      const declared = [...errors.map((error) => error.shape), "ValidationException", "SerializationException"];
      assert.equal(answer.status, 400);
      assert.ok(declared.includes(answer.body.__type as string), `${operation} answered ${answer.body.__type}`);
      assert.equal(answer.type, answer.body.__type);
      assert.equal(typeof answer.body.Message, "string");
    }
    return answer;
  }

  const ok = async (operation: string, body: unknown) => {
    const answer = await call(operation, body);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body as Record<string, unknown>;
  };
  const fails = async (operation: string, body: unknown, type: string, message = /./) => {
    const answer = await call(operation, body);
    assert.equal(
      answer.body.__type,
      type,
      `${operation} ${JSON.stringify(body)} answered ${JSON.stringify(answer.body)}`,
    );
    assert.match(answer.body.Message as string, message);
  };

  it("every operation answers in the shapes of AWS's model", async () => {
    const run = await runJob(cloud, "shell");
    const { RunId } = await ok("StartWorkflowRun", { Name: "flow", RunProperties: { a: "b" } });
    await until(async () => {
      const { Run } = (await ok("GetWorkflowRun", { Name: "flow", RunId, IncludeGraph: true })) as {
        Run: { Status: string };
      };
      return Run.Status === "COMPLETED" ? Run : undefined;
    }, "the workflow");
    const calls: [string, unknown][] = [
      ["GetJob", { JobName: "shell" }],
      ["GetJobs", {}],
      ["BatchGetJobs", { JobNames: ["shell", "nobody"] }],
      ["ListJobs", { Tags: { team: "music" } }],
      ["GetJobRun", { JobName: "shell", RunId: run.Id, PredecessorsIncluded: true }],
      ["GetJobRuns", { JobName: "shell", MaxResults: 1 }],
      ["BatchStopJobRun", { JobName: "shell", JobRunIds: [run.Id] }],
      ["GetTrigger", { Name: "start" }],
      ["GetTriggers", { DependentJobName: "shell" }],
      ["BatchGetTriggers", { TriggerNames: ["start", "nobody"] }],
      ["ListTriggers", {}],
      ["UpdateTrigger", { Name: "start", TriggerUpdate: { Description: "new", Actions: [{ JobName: "shell" }] } }],
      ["GetWorkflow", { Name: "flow", IncludeGraph: true }],
      ["BatchGetWorkflows", { Names: ["flow", "nobody"], IncludeGraph: true }],
      ["ListWorkflows", {}],
      ["UpdateWorkflow", { Name: "flow", MaxConcurrentRuns: 2 }],
      ["GetWorkflowRuns", { Name: "flow", IncludeGraph: true }],
      ["GetWorkflowRunProperties", { Name: "flow", RunId }],
      ["PutWorkflowRunProperties", { Name: "flow", RunId, RunProperties: { c: "d" } }],
      ["UpdateJob", { JobName: "other", JobUpdate: { ...JOB, Timeout: 5 } }],
      ["TagResource", { ResourceArn: arn("job/other"), TagsToAdd: { a: "1", b: "2" } }],
      ["UntagResource", { ResourceArn: arn("job/other"), TagsToRemove: ["a"] }],
      ["GetTags", { ResourceArn: arn("job/other") }],
      ["DeleteTrigger", { Name: "nobody" }],
      ["DeleteJob", { JobName: "nobody" }],
      ["DeleteWorkflow", { Name: "nobody" }],
    ];
    for (const [operation, body] of calls) await ok(operation, body);
    assert.deepEqual((await ok("GetTags", { ResourceArn: arn("job/other") })).Tags, { b: "2" });
    assert.deepEqual((await ok("ListJobs", { Tags: { team: "music" } })).JobNames, ["shell"]);
    assert.deepEqual((await ok("BatchGetJobs", { JobNames: ["nobody"] })).JobsNotFound, ["nobody"]);
    assert.equal(((await ok("GetJob", { JobName: "other" })).Job as { Timeout: number }).Timeout, 5);
  });

  it("a missing resource is an error that the operation declares", async () => {
    const missing = "EntityNotFoundException";
    const nobody = "nobody";
    await fails("GetJob", { JobName: nobody }, missing);
    await fails("UpdateJob", { JobName: nobody, JobUpdate: JOB }, missing);
    await fails("StartJobRun", { JobName: nobody }, missing, /missing metadata/);
    await fails("StartJobRun", { JobName: "shell", JobRunId: "jr_no" }, missing);
    await fails("GetJobRun", { JobName: "shell", RunId: "jr_no" }, missing);
    await fails("GetJobRuns", { JobName: nobody }, missing);
    await fails("GetJobBookmark", { JobName: "shell" }, missing);
    await fails("ResetJobBookmark", { JobName: "shell" }, missing);
    for (const operation of ["GetTrigger", "StartTrigger", "StopTrigger"])
      await fails(operation, { Name: nobody }, missing);
    await fails("GetTriggers", { DependentJobName: nobody }, missing);
    await fails("GetWorkflow", { Name: nobody }, missing);
    await fails("StartWorkflowRun", { Name: nobody }, missing);
    await fails("GetWorkflowRuns", { Name: nobody }, missing);
    for (const operation of ["GetWorkflowRun", "GetWorkflowRunProperties", "StopWorkflowRun"])
      await fails(operation, { Name: "flow", RunId: "wr_no" }, missing);
    await fails("GetTags", { ResourceArn: arn("job/nobody") }, missing);
  });

  it("a request that breaks the model's rules is refused, with each breach named", async () => {
    const bad = "ValidationException";
    await fails("CreateJob", { Name: "x" }, bad, /2 validation errors.*'role'.*'command'/);
    await fails("CreateJob", { ...JOB, Name: "" }, bad, /'name'.*greater than or equal to 1/);
    await fails(
      "CreateJob",
      { ...JOB, Name: "x", Command: { ...COMMAND, PythonVersion: "3.13" } },
      bad,
      /command\.pythonVersion/,
    );
    await fails("CreateJob", { ...JOB, Name: "x", WorkerType: "G.3X" }, bad, /workerType/);
    await fails("CreateJob", { ...JOB, Name: "x", GlueVersion: "six" }, bad, /glueVersion/);
    await fails("StartJobRun", { JobName: "shell", Timeout: 0 }, bad, /timeout/);
    await fails("GetJobRuns", { JobName: "shell", MaxResults: 201 }, bad, /maxResults/);
    await fails("CreateTrigger", { Name: "x", Type: "SOMETIMES", Actions: [] }, bad, /'type'.*enum/);
    await fails("BatchStopJobRun", { JobName: "shell", JobRunIds: [] }, bad, /jobRunIds/);
    await fails("GetJob", { JobName: 7 }, "SerializationException");
    await fails("GetJob", "{not json", "SerializationException");
    await ok("GetJob", { JobName: "shell", Unknown: [1], Other: null });
  });

  it("a job's capacity must fit its command", async () => {
    const bad = "InvalidInputException";
    const spark = { Role: "role", Command: { ...COMMAND, Name: "glueetl", PythonVersion: "3" } };
    await fails(
      "CreateJob",
      { ...JOB, Name: "x", WorkerType: "G.1X", NumberOfWorkers: 2 },
      bad,
      /Worker Type is not supported/,
    );
    await fails("CreateJob", { ...JOB, Name: "x", MaxCapacity: 2 }, bad, /0\.0625 or 1/);
    await fails(
      "CreateJob",
      { ...spark, Name: "x", WorkerType: "G.1X", NumberOfWorkers: 2, MaxCapacity: 2 },
      bad,
      /do not set Max Capacity/,
    );
    await fails("CreateJob", { ...spark, Name: "x", WorkerType: "G.1X" }, bad, /set together/);
    await fails("CreateJob", { ...spark, Name: "x", WorkerType: "G.1X", NumberOfWorkers: 1 }, bad);
    await fails("StartJobRun", { JobName: "shell", MaxCapacity: 0.5 }, bad);
    await fails("CreateJob", { Name: "shell", ...JOB }, "IdempotentParameterMismatchException");
    await ok("CreateJob", { Name: "twice", ...JOB });
    await fails("CreateJob", { Name: "twice", ...JOB }, "AlreadyExistsException");
    await fails("CreateWorkflow", { Name: "flow" }, "AlreadyExistsException");
    const { Job: job } = (await ok("GetJob", { JobName: "twice" })) as { Job: Record<string, unknown> };
    assert.deepEqual([job.MaxRetries, job.MaxCapacity, job.ExecutionProperty], [0, 0.0625, { MaxConcurrentRuns: 1 }]);
  });

  it("a job has AWS's defaults: no execution class, no timeout for a stream, and one worker of type Standard is enough", async () => {
    const command = (Name: string) => ({ ...COMMAND, Name, PythonVersion: "3" });
    const created = async (Name: string, more: object) => {
      await ok("CreateJob", { Name, Role: "role", ...more });
      return (await ok("GetJob", { JobName: Name })).Job as Record<string, unknown>;
    };
    const plain = await created("plain-spark", { Command: command("glueetl") });
    assert.deepEqual(["ExecutionClass" in plain, plain.Timeout], [false, 480]);
    const flex = await created("flex-spark", { Command: command("glueetl"), ExecutionClass: "FLEX" });
    assert.equal(flex.ExecutionClass, "FLEX");
    const stream = await created("stream", { Command: command("gluestreaming") });
    assert.deepEqual(["ExecutionClass" in stream, stream.Timeout], [false, 0]);
    assert.equal((await created("short-stream", { Command: command("gluestreaming"), Timeout: 7 })).Timeout, 7);
    const old = { Command: command("glueetl"), GlueVersion: "2.0", WorkerType: "Standard" };
    assert.equal((await created("one-worker", { ...old, NumberOfWorkers: 1 })).NumberOfWorkers, 1);
    await fails("CreateJob", { Name: "no-worker", Role: "role", ...old, NumberOfWorkers: 0 }, "InvalidInputException");
  });

  it("the tagging API finds jobs, triggers and workflows by their tags, until they are deleted", async () => {
    const tagged = async (value: string) => {
      const headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "ResourceGroupsTaggingAPI_20170126.GetResources",
      };
      const body = JSON.stringify({ TagFilters: [{ Key: "owner", Values: [value] }] });
      const answer = await signedFetch("tagging", cloud.emulator, { method: "POST", headers, body });
      const { ResourceTagMappingList: list } = (await answer.json()) as {
        ResourceTagMappingList: { ResourceARN: string }[];
      };
      return list.map(({ ResourceARN }) => ResourceARN).sort();
    };
    const becomes = (value: string, names: string[]) =>
      until(
        async () => (JSON.stringify(await tagged(value)) === JSON.stringify(names.map(arn)) ? true : undefined),
        value,
      );
    const Tags = { owner: "us" };
    await ok("CreateJob", { ...JOB, Name: "tagged", Tags });
    await ok("CreateWorkflow", { Name: "tagged-flow", Tags });
    await ok("CreateTrigger", { Name: "tagged-trigger", Type: "ON_DEMAND", Actions: [{ JobName: "tagged" }], Tags });
    await becomes("us", ["job/tagged", "trigger/tagged-trigger", "workflow/tagged-flow"]);
    await ok("TagResource", { ResourceArn: arn("job/tagged"), TagsToAdd: { owner: "them" } });
    await ok("UntagResource", { ResourceArn: arn("workflow/tagged-flow"), TagsToRemove: ["owner"] });
    await becomes("them", ["job/tagged"]);
    await becomes("us", ["trigger/tagged-trigger"]);
    await ok("DeleteTrigger", { Name: "tagged-trigger" });
    await ok("DeleteJob", { JobName: "tagged" });
    await ok("DeleteWorkflow", { Name: "tagged-flow" });
    await becomes("us", []);
    await becomes("them", []);
  });

  it("triggers that Glue would refuse are refused", async () => {
    const bad = "InvalidInputException";
    const on = { Name: "x", Actions: [{ JobName: "other" }] };
    const conditional = { ...on, Type: "CONDITIONAL" };
    const refuse = (body: object, message: RegExp) => fails("CreateTrigger", body, bad, message);
    await refuse({ ...on, Type: "ON_DEMAND", StartOnCreation: true }, /ON_DEMAND/);
    await refuse({ ...on, Type: "ON_DEMAND", Actions: [] }, /action/);
    await refuse({ ...on, Type: "EVENT" }, /local Glue does not support triggers of type EVENT/);
    const crawler = { CrawlerName: "c" };
    await refuse({ ...on, Type: "ON_DEMAND", Actions: [crawler] }, /local Glue does not run crawlers from triggers/);
    const Conditions = [{ ...crawler, LogicalOperator: "EQUALS", CrawlState: "SUCCEEDED" }];
    await refuse({ ...on, Type: "CONDITIONAL", Predicate: { Conditions } }, /local Glue does not watch crawlers/);
    await refuse({ ...on, Type: "SCHEDULED" }, /schedule/);
    await refuse({ ...on, Type: "SCHEDULED", Schedule: "rate(5 minutes)" }, /cron/);
    await refuse(conditional, /predicate/);
    await refuse({ ...conditional, Predicate: { Conditions: [{ ...CONDITION, State: "ERROR" }] } }, /state/);
    await refuse(
      { ...conditional, Predicate: { Conditions: [{ JobName: "shell", State: "FAILED" }] } },
      /Logical operator cannot be null/,
    );
    await refuse(
      { ...conditional, Predicate: { Conditions: [{ ...CONDITION, JobName: "other" }] } },
      /Predicate and Action/,
    );
    await refuse({ ...on, Type: "ON_DEMAND", WorkflowName: "flow" }, /start trigger/);
    await fails("CreateTrigger", { ...on, Type: "ON_DEMAND", WorkflowName: "nobody" }, "EntityNotFoundException");
    await fails(
      "CreateTrigger",
      { ...on, Type: "ON_DEMAND", Actions: [{ JobName: "nobody" }] },
      "EntityNotFoundException",
    );
    await fails("StopTrigger", { Name: "start" }, bad);
    await ok("CreateTrigger", { ...conditional, Name: "after", Predicate: { Conditions: [CONDITION] } });
    assert.equal(((await ok("GetTrigger", { Name: "after" })).Trigger as { State: string }).State, "CREATED");
    await ok("StartTrigger", { Name: "after" });
    assert.equal(((await ok("GetTrigger", { Name: "after" })).Trigger as { State: string }).State, "ACTIVATED");
    await ok("StopTrigger", { Name: "after" });
    assert.equal(((await ok("GetTrigger", { Name: "after" })).Trigger as { State: string }).State, "DEACTIVATED");
  });

  it("the SDK gets error classes with messages, and dates", async () => {
    await assert.rejects(cloud.glue.send(new GetJobCommand({ JobName: "nobody" })), (error) => {
      assert.ok(error instanceof EntityNotFoundException);
      assert.equal(error.message, "Job nobody not found.");
      return true;
    });
    const { Job } = await cloud.glue.send(new GetJobCommand({ JobName: "shell" }));
    assert.ok(Job!.CreatedOn instanceof Date && Math.abs(Date.now() - Job!.CreatedOn.getTime()) < 60_000);
    const again = new CreateJobCommand({ Name: "shell", ...JOB });
    await assert.rejects(cloud.glue.send(again), { name: "IdempotentParameterMismatchException" });
  });

  it("the catalog is the emulator's", async () => {
    await cloud.glue.send(new CreateDatabaseCommand({ DatabaseInput: { Name: "music" } }));
    const { Database } = await cloud.glue.send(new GetDatabaseCommand({ Name: "music" }));
    assert.equal(Database!.Name, "music");
    await assert.rejects(cloud.glue.send(new GetDatabaseCommand({ Name: "nobody" })), EntityNotFoundException);
    const { status } = await post("TagResource", { ResourceArn: arn("database/music"), TagsToAdd: { a: "b" } });
    assert.equal(status, 200);
  });

  it("web pages and other callers that aren't Glue clients are refused", async () => {
    assert.equal((await post("GetJobs", {}, { origin: "https://example.com" })).status, 403);
    const plain = await fetch(cloud.local.endpoint);
    assert.equal(plain.status, 400);
    const odd = await post("toString", {});
    assert.notEqual(odd.status, 200);
  });

  const arn = (resource: string) => `arn:aws:glue:${client.region}:000000000000:${resource}`;
});
