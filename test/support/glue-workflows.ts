import {
  type Action,
  CreateTriggerCommand,
  type CreateTriggerCommandInput,
  CreateWorkflowCommand,
  type CreateWorkflowCommandInput,
  type JobRunState,
  StartWorkflowRunCommand,
  type WorkflowRun,
} from "@aws-sdk/client-glue";
import { createJob, type GlueCloud, workflowEnded } from "./glue-cloud";

export async function createWorkflow(
  { glue }: GlueCloud,
  Name: string,
  more: Partial<CreateWorkflowCommandInput> = {},
) {
  await glue.send(new CreateWorkflowCommand({ Name, ...more }));
}

/** Creates the start trigger of a workflow, with jobs or whole actions. */
export async function createStartTrigger({ glue }: GlueCloud, WorkflowName: string, ...jobs: (string | Action)[]) {
  const Actions = jobs.map((job) => (typeof job === "string" ? { JobName: job } : job));
  await glue.send(
    new CreateTriggerCommand({ Name: `${WorkflowName}-start`, Type: "ON_DEMAND", WorkflowName, Actions }),
  );
}

/** Creates an active trigger that starts jobs when all of the watched jobs have ended in the given states. */
export async function createConditionalTrigger(
  { glue }: GlueCloud,
  Name: string,
  watched: Record<string, JobRunState>,
  jobs: string[],
  more: Partial<CreateTriggerCommandInput> = {},
) {
  const Conditions = Object.entries(watched).map(([JobName, State]) => {
    return { JobName, State, LogicalOperator: "EQUALS" as const };
  });
  const Actions = jobs.map((JobName) => ({ JobName }));
  const Predicate = { Logical: "AND" as const, Conditions };
  const trigger = { Name, Type: "CONDITIONAL" as const, StartOnCreation: true, Actions, Predicate, ...more };
  await glue.send(new CreateTriggerCommand(trigger));
}

/** Creates a workflow of two jobs with the given scripts. The second starts after the success of the first. */
export async function createChain(
  cloud: GlueCloud,
  name: string,
  one: string,
  two: string,
  more: Partial<CreateWorkflowCommandInput> = {},
) {
  await createJob(cloud, `${name}-one`, one);
  await createJob(cloud, `${name}-two`, two);
  await createWorkflow(cloud, name, more);
  await createStartTrigger(cloud, name, `${name}-one`);
  const watched = { [`${name}-one`]: "SUCCEEDED" as const };
  await createConditionalTrigger(cloud, `${name}-next`, watched, [`${name}-two`], { WorkflowName: name });
}

/** Starts a workflow. @returns the id of its run */
export async function startWorkflow(
  { glue }: GlueCloud,
  Name: string,
  RunProperties?: Record<string, string>,
): Promise<string> {
  return (await glue.send(new StartWorkflowRunCommand({ Name, RunProperties }))).RunId!;
}

/** Starts a workflow, and waits for the end of its run. */
export async function runWorkflow(cloud: GlueCloud, name: string): Promise<WorkflowRun> {
  return workflowEnded(cloud, name, await startWorkflow(cloud, name));
}

/** States of all attempts of a run's jobs, by the last part of the job's name. */
export function jobStates(run: WorkflowRun) {
  const jobs = run.Graph!.Nodes!.filter((node) => node.Type === "JOB");
  return Object.fromEntries(
    jobs.map(({ Name, JobDetails }) => [
      Name!.replace(/^.*-/, ""),
      (JobDetails!.JobRuns ?? []).map((each) => each.JobRunState),
    ]),
  );
}
