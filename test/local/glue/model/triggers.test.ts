import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import {
  BatchStopJobRunCommand,
  CreateTriggerCommand,
  DeleteJobCommand,
  GetJobRunsCommand,
  GetTriggerCommand,
  GetWorkflowRunsCommand,
  StartJobRunCommand,
  StartTriggerCommand,
  StopTriggerCommand,
} from "@aws-sdk/client-glue";
import {
  createJob,
  ended,
  type GlueCloud,
  runJob,
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
} from "../../../support/glue-workflows";

const OK = "import sys\nprint(sys.argv)\n";
const BAD = "raise ValueError('bad batch')\n";
const SLOW = "import time\ntime.sleep(900)\n";

describe("triggers of the local Glue", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await sharedGlueCloud();
  });

  it("triggers wait for a failure, for all of several jobs, or for any of them", async () => {
    for (const job of ["a", "b", "fixed", "all", "any", "never"])
      await createJob(cloud, `many-${job}`, job === "b" ? BAD : OK);
    await createWorkflow(cloud, "many");
    await createStartTrigger(cloud, "many", "many-a", "many-b");
    const inMany = { WorkflowName: "many" };
    await createConditionalTrigger(cloud, "many-on-failure", { "many-b": "FAILED" }, ["many-fixed"], inMany);
    await createConditionalTrigger(
      cloud,
      "many-on-all",
      { "many-a": "SUCCEEDED", "many-b": "FAILED" },
      ["many-all"],
      inMany,
    );
    await createConditionalTrigger(
      cloud,
      "many-on-wrong",
      { "many-a": "SUCCEEDED", "many-b": "SUCCEEDED" },
      ["many-never"],
      inMany,
    );
    const any = (["many-a", "many-b"] as const).map((JobName) => {
      return { JobName, State: "SUCCEEDED" as const, LogicalOperator: "EQUALS" as const };
    });
    await createConditionalTrigger(cloud, "many-on-any", {}, ["many-any"], {
      ...inMany,
      Predicate: { Logical: "ANY", Conditions: any },
    });
    assert.deepEqual(jobStates(await runWorkflow(cloud, "many")), {
      a: ["SUCCEEDED"],
      b: ["FAILED"],
      fixed: ["SUCCEEDED"],
      all: ["SUCCEEDED"],
      any: ["SUCCEEDED"],
      never: [],
    });
  });

  it("a conditional trigger that isn't active doesn't fire", async () => {
    await createChain(cloud, "asleep", OK, OK);
    await cloud.glue.send(new StopTriggerCommand({ Name: "asleep-next" }));
    assert.deepEqual(jobStates(await runWorkflow(cloud, "asleep")), { one: ["SUCCEEDED"], two: [] });
    await cloud.glue.send(new StartTriggerCommand({ Name: "asleep-next" }));
    assert.deepEqual(jobStates(await runWorkflow(cloud, "asleep")), { one: ["SUCCEEDED"], two: ["SUCCEEDED"] });
  });

  it("a job started by hand does not advance a workflow", async () => {
    await createChain(cloud, "byhand", OK, OK);
    await runJob(cloud, "byhand-one");
    await pause(300);
    assert.equal((await cloud.glue.send(new GetJobRunsCommand({ JobName: "byhand-two" }))).JobRuns!.length, 0);
  });

  it("a refused action is an errored action", async () => {
    await createChain(cloud, "refused", OK, SLOW);
    const { JobRunId } = await cloud.glue.send(new StartJobRunCommand({ JobName: "refused-two" }));
    const done = await runWorkflow(cloud, "refused");
    assert.deepEqual(jobStates(done), { one: ["SUCCEEDED"], two: ["ERROR"] });
    assert.equal(done.Statistics!.ErroredActions, 1);
    const node = done.Graph!.Nodes!.find((each) => each.Name === "refused-two")!;
    assert.equal(node.JobDetails!.JobRuns![0]!.ErrorMessage, "Concurrent runs exceeded for refused-two");
    await cloud.glue.send(new BatchStopJobRunCommand({ JobName: "refused-two", JobRunIds: [JobRunId!] }));
    await ended(cloud, "refused-two", JobRunId!);
    await cloud.glue.send(new DeleteJobCommand({ JobName: "refused-two" }));
    assert.deepEqual(jobStates(await runWorkflow(cloud, "refused")), { one: ["SUCCEEDED"], two: ["ERROR"] });
  });

  it("a trigger's arguments and timeout apply to the runs that it starts", async () => {
    await createJob(cloud, "given-job", OK, { DefaultArguments: { "--who": "job" } });
    await createWorkflow(cloud, "given");
    await createStartTrigger(cloud, "given", { JobName: "given-job", Arguments: { "--who": "trigger" }, Timeout: 7 });
    const job = (await runWorkflow(cloud, "given")).Graph!.Nodes!.find((node) => node.Type === "JOB")!.JobDetails!
      .JobRuns![0]!;
    assert.deepEqual([job.Arguments, job.Timeout], [{ "--who": "trigger" }, 7]);
  });

  it("starting the ON_DEMAND trigger of a workflow starts a run, and the trigger stays CREATED", async () => {
    await createChain(cloud, "demand", OK, OK);
    assert.equal((await cloud.glue.send(new GetWorkflowRunsCommand({ Name: "demand" }))).Runs!.length, 0);
    await cloud.glue.send(new StartTriggerCommand({ Name: "demand-start" }));
    const { Runs } = await cloud.glue.send(new GetWorkflowRunsCommand({ Name: "demand" }));
    assert.equal((await workflowEnded(cloud, "demand", Runs![0]!.WorkflowRunId!)).Status, "COMPLETED");
    assert.equal((await cloud.glue.send(new GetTriggerCommand({ Name: "demand-start" }))).Trigger!.State, "CREATED");
  });

  it("triggers outside of a workflow start jobs, whose ends fire conditional triggers", async () => {
    await createJob(cloud, "alone-one", OK);
    await createJob(cloud, "alone-two", OK);
    await cloud.glue.send(
      new CreateTriggerCommand({ Name: "alone-start", Type: "ON_DEMAND", Actions: [{ JobName: "alone-one" }] }),
    );
    await createConditionalTrigger(cloud, "alone-next", { "alone-one": "SUCCEEDED" }, ["alone-two"]);
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
