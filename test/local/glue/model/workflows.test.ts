import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import {
  type Action,
  BatchStopJobRunCommand,
  ConcurrentRunsExceededException,
  CreateTriggerCommand,
  type CreateTriggerCommandInput,
  CreateWorkflowCommand,
  type CreateWorkflowCommandInput,
  DeleteJobCommand,
  GetJobRunsCommand,
  GetTriggerCommand,
  GetWorkflowCommand,
  GetWorkflowRunCommand,
  GetWorkflowRunPropertiesCommand,
  GetWorkflowRunsCommand,
  IllegalWorkflowStateException,
  InvalidInputException,
  type JobRunState,
  PutWorkflowRunPropertiesCommand,
  ResumeWorkflowRunCommand,
  StartJobRunCommand,
  StartTriggerCommand,
  StartWorkflowRunCommand,
  StopTriggerCommand,
  StopWorkflowRunCommand,
  type WorkflowRun,
} from "@aws-sdk/client-glue";
import {
  createJob,
  ended,
  type GlueCloud,
  runJob,
  startGlueCloud,
  until,
  workflowEnded,
} from "../../../support/glue-cloud";

const OK = "import sys\nprint(sys.argv)\n";
const BAD = "raise ValueError('bad batch')\n";
const SLOW = "import time\ntime.sleep(30)\n";

describe("workflows and triggers of the local Glue", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await startGlueCloud();
  });
  after(() => cloud.close());

  const workflow = (Name: string, more: Partial<CreateWorkflowCommandInput> = {}) =>
    cloud.glue.send(new CreateWorkflowCommand({ Name, ...more }));
  const trigger = (input: CreateTriggerCommandInput) => cloud.glue.send(new CreateTriggerCommand(input));
  const actions = (...jobs: (string | Action)[]): Action[] =>
    jobs.map((job) => (typeof job === "string" ? { JobName: job } : job));
  const first = (WorkflowName: string, ...jobs: (string | Action)[]) =>
    trigger({ Name: `${WorkflowName}-start`, Type: "ON_DEMAND", WorkflowName, Actions: actions(...jobs) });
  const when = (
    Name: string,
    on: Record<string, JobRunState>,
    jobs: string[],
    more: Partial<CreateTriggerCommandInput> = {},
  ) =>
    trigger({
      Name,
      Type: "CONDITIONAL",
      StartOnCreation: true,
      Actions: actions(...jobs),
      Predicate: {
        Logical: "AND",
        Conditions: Object.entries(on).map(([JobName, State]) => ({
          JobName,
          State,
          LogicalOperator: "EQUALS" as const,
        })),
      },
      ...more,
    });
  const start = async (Name: string, RunProperties?: Record<string, string>) =>
    (await cloud.glue.send(new StartWorkflowRunCommand({ Name, RunProperties }))).RunId!;
  const run = async (name: string) => workflowEnded(cloud, name, await start(name));
  const states = (ofRun: WorkflowRun) =>
    Object.fromEntries(
      ofRun
        .Graph!.Nodes!.filter((node) => node.Type === "JOB")
        .map((node) => [
          node.Name!.replace(/^.*-/, ""),
          (node.JobDetails!.JobRuns ?? []).map((each) => each.JobRunState),
        ]),
    );
  /** A workflow of two jobs, the second after the first's success. */
  const chain = async (name: string, one: string, two: string, more: Partial<CreateWorkflowCommandInput> = {}) => {
    await createJob(cloud, `${name}-one`, one);
    await createJob(cloud, `${name}-two`, two);
    await workflow(name, more);
    await first(name, `${name}-one`);
    await when(`${name}-next`, { [`${name}-one`]: "SUCCEEDED" }, [`${name}-two`], { WorkflowName: name });
  };

  it("a run goes from job to job, knows its graph and its counts, and tells the jobs its name and id", async () => {
    await chain("chain", OK, OK, { MaxConcurrentRuns: 1, DefaultRunProperties: { a: "default", b: "default" } });
    const runId = await start("chain", { b: "given" });
    assert.match(runId, /^wr_[0-9a-f]{64}$/);
    const done = await workflowEnded(cloud, "chain", runId);
    assert.equal(done.Status, "COMPLETED");
    assert.deepEqual(done.WorkflowRunProperties, { a: "default", b: "given" });
    assert.deepEqual(states(done), { one: ["SUCCEEDED"], two: ["SUCCEEDED"] });
    const { TotalActions, SucceededActions, FailedActions, RunningActions, ErroredActions } = done.Statistics!;
    assert.deepEqual([TotalActions, SucceededActions, FailedActions, RunningActions, ErroredActions], [2, 2, 0, 0, 0]);
    const nodes = new Map(done.Graph!.Nodes!.map((node) => [node.UniqueId, node.Name]));
    const edges = done.Graph!.Edges!.map((edge) => `${nodes.get(edge.SourceId)} > ${nodes.get(edge.DestinationId)}`);
    assert.deepEqual(edges.sort(), ["chain-next > chain-two", "chain-one > chain-next", "chain-start > chain-one"]);
    const two = done.Graph!.Nodes!.find((node) => node.Name === "chain-two")!.JobDetails!.JobRuns![0]!;
    assert.equal(two.TriggerName, "chain-next");
    const one = done.Graph!.Nodes!.find((node) => node.Name === "chain-one")!.JobDetails!.JobRuns![0]!;
    assert.deepEqual(two.PredecessorRuns, [{ JobName: "chain-one", RunId: one.Id }]);
    const said = await readFile(cloud.local.logFile(two.Id!), "utf8");
    assert.match(said, new RegExp(`'--WORKFLOW_NAME', 'chain', '--WORKFLOW_RUN_ID', '${runId}'`));
    const { Workflow } = await cloud.glue.send(new GetWorkflowCommand({ Name: "chain", IncludeGraph: true }));
    assert.equal(Workflow!.LastRun!.WorkflowRunId, runId);
    assert.equal(Workflow!.Graph!.Nodes!.length, 4);
  });

  it("a run whose job failed is COMPLETED all the same, and what depends on its success never starts", async () => {
    await chain("broken", BAD, OK);
    const done = await run("broken");
    assert.equal(done.Status, "COMPLETED");
    assert.deepEqual(states(done), { one: ["FAILED"], two: [] });
    assert.deepEqual(
      [done.Statistics!.TotalActions, done.Statistics!.FailedActions, done.Statistics!.SucceededActions],
      [2, 1, 0],
    );
    const node = done.Graph!.Nodes!.find((each) => each.Name === "broken-one")!;
    assert.equal(node.JobDetails!.JobRuns![0]!.ErrorMessage, "ValueError: bad batch");
  });

  it("a run's status follows its last job's, not before it", async () => {
    await chain("trail", BAD, OK);
    const runId = await start("trail");
    const jobRun = await until(async () => {
      const { JobRuns } = await cloud.glue.send(new GetJobRunsCommand({ JobName: "trail-one" }));
      return JobRuns!.find((each) => each.JobRunState === "FAILED");
    }, "the job");
    const { Run } = await cloud.glue.send(new GetWorkflowRunCommand({ Name: "trail", RunId: runId }));
    assert.equal(Run!.Status, "RUNNING");
    const done = await workflowEnded(cloud, "trail", runId);
    assert.ok(done.CompletedOn! > jobRun.CompletedOn!);
  });

  it("triggers wait for a failure, for all of several jobs, or for any of them", async () => {
    for (const job of ["a", "b", "fixed", "all", "any", "never"])
      await createJob(cloud, `many-${job}`, job === "b" ? BAD : OK);
    await workflow("many");
    await first("many", "many-a", "many-b");
    const inMany = { WorkflowName: "many" };
    await when("many-on-failure", { "many-b": "FAILED" }, ["many-fixed"], inMany);
    await when("many-on-all", { "many-a": "SUCCEEDED", "many-b": "FAILED" }, ["many-all"], inMany);
    await when("many-on-wrong", { "many-a": "SUCCEEDED", "many-b": "SUCCEEDED" }, ["many-never"], inMany);
    const any = (["many-a", "many-b"] as const).map((JobName) => {
      return { JobName, State: "SUCCEEDED" as const, LogicalOperator: "EQUALS" as const };
    });
    await when("many-on-any", {}, ["many-any"], { ...inMany, Predicate: { Logical: "ANY", Conditions: any } });
    assert.deepEqual(states(await run("many")), {
      a: ["SUCCEEDED"],
      b: ["FAILED"],
      fixed: ["SUCCEEDED"],
      all: ["SUCCEEDED"],
      any: ["SUCCEEDED"],
      never: [],
    });
  });

  it("a conditional trigger that isn't active doesn't fire", async () => {
    await chain("asleep", OK, OK);
    await cloud.glue.send(new StopTriggerCommand({ Name: "asleep-next" }));
    assert.deepEqual(states(await run("asleep")), { one: ["SUCCEEDED"], two: [] });
    await cloud.glue.send(new StartTriggerCommand({ Name: "asleep-next" }));
    assert.deepEqual(states(await run("asleep")), { one: ["SUCCEEDED"], two: ["SUCCEEDED"] });
  });

  it("only what a trigger started moves a workflow on: a job started by hand doesn't", async () => {
    await chain("byhand", OK, OK);
    await runJob(cloud, "byhand-one");
    await pause(300);
    assert.equal((await cloud.glue.send(new GetJobRunsCommand({ JobName: "byhand-two" }))).JobRuns!.length, 0);
  });

  it("a failed job's retry goes on where its first attempt failed", async () => {
    const flaky = "import os, sys\nsys.exit(0) if '_attempt_1' in os.getcwd() else sys.exit(5)\n";
    await createJob(cloud, "flaky-one", flaky, { MaxRetries: 1 });
    await createJob(cloud, "flaky-two", OK);
    await workflow("flaky");
    await first("flaky", "flaky-one");
    await when("flaky-next", { "flaky-one": "SUCCEEDED" }, ["flaky-two"], { WorkflowName: "flaky" });
    const done = await run("flaky");
    assert.deepEqual(states(done), { one: ["FAILED", "SUCCEEDED"], two: ["SUCCEEDED"] });
    assert.deepEqual([done.Statistics!.SucceededActions, done.Statistics!.FailedActions], [2, 0]);
  });

  it("a workflow runs as often at once as it may, and no more", async () => {
    await chain("once", SLOW, OK, { MaxConcurrentRuns: 1 });
    const runId = await start("once");
    await assert.rejects(start("once"), ConcurrentRunsExceededException);
    await assert.rejects(
      cloud.glue.send(new StartTriggerCommand({ Name: "once-start" })),
      ConcurrentRunsExceededException,
    );
    await cloud.glue.send(new StopWorkflowRunCommand({ Name: "once", RunId: runId }));
    const stopped = await workflowEnded(cloud, "once", runId);
    assert.equal(stopped.Status, "STOPPED");
    assert.deepEqual(states(stopped), { one: ["STOPPED"], two: [] });
    await assert.rejects(
      cloud.glue.send(new StopWorkflowRunCommand({ Name: "once", RunId: runId })),
      IllegalWorkflowStateException,
    );
    const again = await start("once");
    assert.notEqual(again, runId);
    await cloud.glue.send(new StopWorkflowRunCommand({ Name: "once", RunId: again }));
    await workflowEnded(cloud, "once", again);
  });

  it("an action that is refused is an errored action", async () => {
    await chain("refused", OK, SLOW);
    const { JobRunId } = await cloud.glue.send(new StartJobRunCommand({ JobName: "refused-two" }));
    const done = await run("refused");
    assert.deepEqual(states(done), { one: ["SUCCEEDED"], two: ["ERROR"] });
    assert.equal(done.Statistics!.ErroredActions, 1);
    const node = done.Graph!.Nodes!.find((each) => each.Name === "refused-two")!;
    assert.equal(node.JobDetails!.JobRuns![0]!.ErrorMessage, "Concurrent runs exceeded for refused-two");
    await cloud.glue.send(new BatchStopJobRunCommand({ JobName: "refused-two", JobRunIds: [JobRunId!] }));
    await ended(cloud, "refused-two", JobRunId!);
    await cloud.glue.send(new DeleteJobCommand({ JobName: "refused-two" }));
    assert.deepEqual(states(await run("refused")), { one: ["SUCCEEDED"], two: ["ERROR"] });
  });

  it("a trigger's arguments and timeout are those of the runs that it starts", async () => {
    await createJob(cloud, "given-job", OK, { DefaultArguments: { "--who": "job" } });
    await workflow("given");
    await first("given", { JobName: "given-job", Arguments: { "--who": "trigger" }, Timeout: 7 });
    const job = (await run("given")).Graph!.Nodes!.find((node) => node.Type === "JOB")!.JobDetails!.JobRuns![0]!;
    assert.deepEqual([job.Arguments, job.Timeout], [{ "--who": "trigger" }, 7]);
  });

  it("run properties can be read and added to, also while the run goes on", async () => {
    await chain("properties", OK, OK);
    const RunId = await start("properties", { batch_id: "20240625T171313Z-abcdefgh" });
    const of = { Name: "properties", RunId };
    await cloud.glue.send(new PutWorkflowRunPropertiesCommand({ ...of, RunProperties: { more: "é" } }));
    const { RunProperties } = await cloud.glue.send(new GetWorkflowRunPropertiesCommand(of));
    assert.deepEqual(RunProperties, { batch_id: "20240625T171313Z-abcdefgh", more: "é" });
    await workflowEnded(cloud, "properties", RunId);
  });

  it("runs are listed newest first, page by page", async () => {
    await createJob(cloud, "paged-job", OK, { ExecutionProperty: { MaxConcurrentRuns: 9 } });
    await workflow("paged");
    await first("paged", "paged-job");
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) ids.unshift(await start("paged"));
    const seen: string[] = [];
    let NextToken: string | undefined;
    do {
      const page = await cloud.glue.send(new GetWorkflowRunsCommand({ Name: "paged", MaxResults: 2, NextToken }));
      seen.push(...page.Runs!.map((each) => each.WorkflowRunId!));
      if (NextToken === undefined) await start("paged"); // A run that comes in between moves nothing.
      NextToken = page.NextToken;
    } while (NextToken);
    assert.deepEqual(seen, ids);
    const bad = new GetWorkflowRunsCommand({ Name: "paged", NextToken: "nonsense" });
    await assert.rejects(cloud.glue.send(bad), InvalidInputException);
  });

  it("a completed run is resumed from a job, in a new run, without the jobs before it", async () => {
    await chain("resume", OK, BAD);
    const broken = await run("resume");
    const node = broken.Graph!.Nodes!.find((each) => each.Name === "resume-two")!;
    const ids = { Name: "resume", RunId: broken.WorkflowRunId };
    const resumed = await cloud.glue.send(new ResumeWorkflowRunCommand({ ...ids, NodeIds: [node.UniqueId!] }));
    assert.deepEqual(resumed.NodeIds, [node.UniqueId]);
    const done = await workflowEnded(cloud, "resume", resumed.RunId!);
    assert.equal(done.PreviousRunId, broken.WorkflowRunId);
    assert.deepEqual(states(done), { one: [], two: ["FAILED"] });
    const from = broken.Graph!.Nodes!.find((each) => each.Name === "resume-one")!.UniqueId!;
    const whole = await cloud.glue.send(new ResumeWorkflowRunCommand({ ...ids, NodeIds: [from, node.UniqueId!] }));
    assert.deepEqual(whole.NodeIds, [from]);
    const again = await workflowEnded(cloud, "resume", whole.RunId!);
    assert.deepEqual(states(again), { one: ["SUCCEEDED"], two: ["FAILED"] });
    const unknown = new ResumeWorkflowRunCommand({ ...ids, NodeIds: ["wnode_no"] });
    await assert.rejects(cloud.glue.send(unknown), InvalidInputException);
  });

  it("a workflow without a start trigger can't be started", async () => {
    await workflow("empty");
    await assert.rejects(start("empty"), InvalidInputException);
  });

  it("starting the ON_DEMAND trigger of a workflow starts a run, and the trigger stays CREATED", async () => {
    await chain("demand", OK, OK);
    assert.equal((await cloud.glue.send(new GetWorkflowRunsCommand({ Name: "demand" }))).Runs!.length, 0);
    await cloud.glue.send(new StartTriggerCommand({ Name: "demand-start" }));
    const { Runs } = await cloud.glue.send(new GetWorkflowRunsCommand({ Name: "demand" }));
    assert.equal((await workflowEnded(cloud, "demand", Runs![0]!.WorkflowRunId!)).Status, "COMPLETED");
    assert.equal((await cloud.glue.send(new GetTriggerCommand({ Name: "demand-start" }))).Trigger!.State, "CREATED");
  });

  it("triggers outside of a workflow start jobs too, and those fire the conditional ones", async () => {
    await createJob(cloud, "alone-one", OK);
    await createJob(cloud, "alone-two", OK);
    await trigger({ Name: "alone-start", Type: "ON_DEMAND", Actions: actions("alone-one") });
    await when("alone-next", { "alone-one": "SUCCEEDED" }, ["alone-two"]);
    await cloud.glue.send(new StartTriggerCommand({ Name: "alone-start" }));
    const two = await until(async () => {
      const { JobRuns } = await cloud.glue.send(new GetJobRunsCommand({ JobName: "alone-two" }));
      return JobRuns![0];
    }, "the second job");
    assert.equal(two.TriggerName, "alone-next");
    assert.equal((await ended(cloud, "alone-two", two.Id!)).JobRunState, "SUCCEEDED");
    await runJob(cloud, "alone-one");
    await pause(300);
    const { JobRuns } = await cloud.glue.send(new GetJobRunsCommand({ JobName: "alone-two" }));
    assert.equal(JobRuns!.length, 1, "a job started by hand fires nothing");
  });
});
