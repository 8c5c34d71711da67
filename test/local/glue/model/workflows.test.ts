import assert from "node:assert/strict";
import {
  ConcurrentRunsExceededException,
  GetJobRunsCommand,
  GetWorkflowCommand,
  GetWorkflowRunCommand,
  GetWorkflowRunPropertiesCommand,
  GetWorkflowRunsCommand,
  IllegalWorkflowStateException,
  InvalidInputException,
  PutWorkflowRunPropertiesCommand,
  ResumeWorkflowRunCommand,
  StartTriggerCommand,
  StopWorkflowRunCommand,
} from "@aws-sdk/client-glue";
import {
  createJob,
  type GlueCloud,
  outputOf,
  sharedGlueCloud,
  until,
  workflowEnded,
} from "../../../support/glue-cloud";
import {
  createChain,
  createConditionalTrigger,
  createStartTrigger,
  createWorkflow,
  jobStates,
  runWorkflow,
  startWorkflow,
} from "../../../support/glue-workflows";

const OK = "import sys\nprint(sys.argv)\n";
const BAD = "raise ValueError('bad batch')\n";
const SLOW = "import time\ntime.sleep(900)\n";

describe("workflows of the local Glue", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await sharedGlueCloud();
  });

  it("a run goes from job to job, has its graph and counts, and passes its name and id to the jobs", async () => {
    await createChain(cloud, "chain", OK, OK, {
      MaxConcurrentRuns: 1,
      DefaultRunProperties: { a: "default", b: "default" },
    });
    const runId = await startWorkflow(cloud, "chain", { b: "given" });
    assert.match(runId, /^wr_[0-9a-f]{64}$/);
    const done = await workflowEnded(cloud, "chain", runId);
    assert.equal(done.Status, "COMPLETED");
    assert.deepEqual(done.WorkflowRunProperties, { a: "default", b: "given" });
    assert.deepEqual(jobStates(done), { one: ["SUCCEEDED"], two: ["SUCCEEDED"] });
    const { TotalActions, SucceededActions, FailedActions, RunningActions, ErroredActions } = done.Statistics!;
    assert.deepEqual([TotalActions, SucceededActions, FailedActions, RunningActions, ErroredActions], [2, 2, 0, 0, 0]);
    const nodes = new Map(done.Graph!.Nodes!.map((node) => [node.UniqueId, node.Name]));
    const edges = done.Graph!.Edges!.map((edge) => `${nodes.get(edge.SourceId)} > ${nodes.get(edge.DestinationId)}`);
    assert.deepEqual(edges.sort(), ["chain-next > chain-two", "chain-one > chain-next", "chain-start > chain-one"]);
    const two = done.Graph!.Nodes!.find((node) => node.Name === "chain-two")!.JobDetails!.JobRuns![0]!;
    assert.equal(two.TriggerName, "chain-next");
    const one = done.Graph!.Nodes!.find((node) => node.Name === "chain-one")!.JobDetails!.JobRuns![0]!;
    assert.deepEqual(two.PredecessorRuns, [{ JobName: "chain-one", RunId: one.Id }]);
    assert.match(outputOf(cloud, two.Id!), new RegExp(`'--WORKFLOW_NAME', 'chain', '--WORKFLOW_RUN_ID', '${runId}'`));
    const { Workflow } = await cloud.glue.send(new GetWorkflowCommand({ Name: "chain", IncludeGraph: true }));
    assert.equal(Workflow!.LastRun!.WorkflowRunId, runId);
    assert.equal(Workflow!.Graph!.Nodes!.length, 4);
  });

  it("a run with a failed job is COMPLETED, and jobs that depend on its success never start", async () => {
    await createChain(cloud, "broken", BAD, OK);
    const done = await runWorkflow(cloud, "broken");
    assert.equal(done.Status, "COMPLETED");
    assert.deepEqual(jobStates(done), { one: ["FAILED"], two: [] });
    assert.deepEqual(
      [done.Statistics!.TotalActions, done.Statistics!.FailedActions, done.Statistics!.SucceededActions],
      [2, 1, 0],
    );
    const node = done.Graph!.Nodes!.find((each) => each.Name === "broken-one")!;
    assert.equal(node.JobDetails!.JobRuns![0]!.ErrorMessage, "ValueError: bad batch");
  });

  it("a run ends after its last job, not before", async () => {
    await createChain(cloud, "trail", BAD, OK);
    const runId = await startWorkflow(cloud, "trail");
    const jobRun = await until(async () => {
      const { JobRuns } = await cloud.glue.send(new GetJobRunsCommand({ JobName: "trail-one" }));
      return JobRuns!.find((each) => each.JobRunState === "FAILED");
    }, "the job");
    const { Run } = await cloud.glue.send(new GetWorkflowRunCommand({ Name: "trail", RunId: runId }));
    assert.equal(Run!.Status, "RUNNING");
    const done = await workflowEnded(cloud, "trail", runId);
    assert.ok(done.CompletedOn! > jobRun.CompletedOn!);
  });

  it("a workflow goes on after a retry that succeeds", async () => {
    const flaky = "import os, sys\nsys.exit(0) if '_attempt_1' in os.getcwd() else sys.exit(5)\n";
    await createJob(cloud, "flaky-one", flaky, { MaxRetries: 1 });
    await createJob(cloud, "flaky-two", OK);
    await createWorkflow(cloud, "flaky");
    await createStartTrigger(cloud, "flaky", "flaky-one");
    await createConditionalTrigger(cloud, "flaky-next", { "flaky-one": "SUCCEEDED" }, ["flaky-two"], {
      WorkflowName: "flaky",
    });
    const done = await runWorkflow(cloud, "flaky");
    assert.deepEqual(jobStates(done), { one: ["FAILED", "SUCCEEDED"], two: ["SUCCEEDED"] });
    assert.deepEqual([done.Statistics!.SucceededActions, done.Statistics!.FailedActions], [2, 0]);
  });

  it("a workflow has no more runs at once than its limit", async () => {
    await createChain(cloud, "once", SLOW, OK, { MaxConcurrentRuns: 1 });
    const runId = await startWorkflow(cloud, "once");
    await assert.rejects(startWorkflow(cloud, "once"), ConcurrentRunsExceededException);
    await assert.rejects(
      cloud.glue.send(new StartTriggerCommand({ Name: "once-start" })),
      ConcurrentRunsExceededException,
    );
    await cloud.glue.send(new StopWorkflowRunCommand({ Name: "once", RunId: runId }));
    const stopped = await workflowEnded(cloud, "once", runId);
    assert.equal(stopped.Status, "STOPPED");
    assert.deepEqual(jobStates(stopped), { one: ["STOPPED"], two: [] });
    await assert.rejects(
      cloud.glue.send(new StopWorkflowRunCommand({ Name: "once", RunId: runId })),
      IllegalWorkflowStateException,
    );
    const again = await startWorkflow(cloud, "once");
    assert.notEqual(again, runId);
    await cloud.glue.send(new StopWorkflowRunCommand({ Name: "once", RunId: again }));
    await workflowEnded(cloud, "once", again);
  });

  it("run properties can be read and added during the run", async () => {
    await createChain(cloud, "properties", OK, OK);
    const RunId = await startWorkflow(cloud, "properties", { batch_id: "20240625T171313Z-abcdefgh" });
    const of = { Name: "properties", RunId };
    await cloud.glue.send(new PutWorkflowRunPropertiesCommand({ ...of, RunProperties: { more: "é" } }));
    const { RunProperties } = await cloud.glue.send(new GetWorkflowRunPropertiesCommand(of));
    assert.deepEqual(RunProperties, { batch_id: "20240625T171313Z-abcdefgh", more: "é" });
    await workflowEnded(cloud, "properties", RunId);
  });

  it("runs are listed newest first, page by page", async () => {
    await createJob(cloud, "paged-job", OK, { ExecutionProperty: { MaxConcurrentRuns: 9 } });
    await createWorkflow(cloud, "paged");
    await createStartTrigger(cloud, "paged", "paged-job");
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) ids.unshift(await startWorkflow(cloud, "paged"));
    const seen: string[] = [];
    let NextToken: string | undefined;
    do {
      const page = await cloud.glue.send(new GetWorkflowRunsCommand({ Name: "paged", MaxResults: 2, NextToken }));
      seen.push(...page.Runs!.map((each) => each.WorkflowRunId!));
      if (NextToken === undefined) await startWorkflow(cloud, "paged"); // A run that comes in between moves nothing.
      NextToken = page.NextToken;
    } while (NextToken);
    assert.deepEqual(seen, ids);
    const bad = new GetWorkflowRunsCommand({ Name: "paged", NextToken: "nonsense" });
    await assert.rejects(cloud.glue.send(bad), InvalidInputException);
  });

  it("a completed run is resumed from a job, in a new run, without the jobs before it", async () => {
    await createChain(cloud, "resume", OK, BAD);
    const broken = await runWorkflow(cloud, "resume");
    const node = broken.Graph!.Nodes!.find((each) => each.Name === "resume-two")!;
    const ids = { Name: "resume", RunId: broken.WorkflowRunId };
    const resumed = await cloud.glue.send(new ResumeWorkflowRunCommand({ ...ids, NodeIds: [node.UniqueId!] }));
    assert.deepEqual(resumed.NodeIds, [node.UniqueId]);
    const done = await workflowEnded(cloud, "resume", resumed.RunId!);
    assert.equal(done.PreviousRunId, broken.WorkflowRunId);
    assert.deepEqual(jobStates(done), { one: [], two: ["FAILED"] });
    const from = broken.Graph!.Nodes!.find((each) => each.Name === "resume-one")!.UniqueId!;
    const whole = await cloud.glue.send(new ResumeWorkflowRunCommand({ ...ids, NodeIds: [from, node.UniqueId!] }));
    assert.deepEqual(whole.NodeIds, [from]);
    const again = await workflowEnded(cloud, "resume", whole.RunId!);
    assert.deepEqual(jobStates(again), { one: ["SUCCEEDED"], two: ["FAILED"] });
    const unknown = new ResumeWorkflowRunCommand({ ...ids, NodeIds: ["wnode_no"] });
    await assert.rejects(cloud.glue.send(unknown), InvalidInputException);
  });

  it("a workflow without a start trigger can't be started", async () => {
    await createWorkflow(cloud, "empty");
    await assert.rejects(startWorkflow(cloud, "empty"), InvalidInputException);
  });
});
