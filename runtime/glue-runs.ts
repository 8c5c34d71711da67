import {
  GetWorkflowRunCommand,
  GetWorkflowRunsCommand,
  StartWorkflowRunCommand,
  StopWorkflowRunCommand,
  type WorkflowRun,
} from "@aws-sdk/client-glue";
import type { Batch } from "./batch";
import { isError, type Settings, type World } from "./world";

/**
 * Glue's view of a run, without the reports. `job`: the job that failed, or `workflow` when no job did. `systemic`: a
 * person stopped the run, or Glue ended it, so the files did not cause the failure.
 */
export type Judgement =
  | { outcome: "running" }
  | { outcome: "succeeded" }
  | {
      outcome: "failed";
      job: "transform" | "publish" | "workflow";
      error: string;
      systemic: boolean;
      transformed: boolean;
    };

/** The time and DPU seconds of a job run; absent when the job never ran or Glue does not report them. */
export interface JobUsage {
  job: "transform" | "publish";
  jobRunId?: string;
  state: string;
  seconds?: number;
  dpuSeconds?: number;
}

/** Clocks of Lambda and Glue may differ. A run that began this long before its batch was due is not the batch's run. */
const CLOCK_SKEW_MS = 15 * 60_000;
/** Glue may not find a run yet for this long after its start. */
const UNKNOWN_FOR_MS = 60_000;

/**
 * A run succeeded when it is COMPLETED and both jobs succeeded: Glue reports COMPLETED also when a job failed (AWS
 * Glue: Resuming a workflow). While a job still works, the run is not over, whatever its status. The run's counts of
 * actions prove nothing: AWS's own example of a COMPLETED run has 11 in all and 9 that succeeded (AWS Glue: Running and
 * monitoring a workflow). So they are only logged. `ageMs`: time since the run was started, by this Lambda's clock.
 */
export function judge(
  run: WorkflowRun | undefined,
  settings: Pick<Settings, "transformJob" | "publishJob">,
  ageMs = Number.POSITIVE_INFINITY,
): Judgement {
  if (!run && ageMs < UNKNOWN_FOR_MS && ageMs > -CLOCK_SKEW_MS) return { outcome: "running" };
  if (!run) return failed("workflow", "the workflow run is gone: Glue no longer knows it", false, false);
  const transform = lastJobRun(run, settings.transformJob);
  const publish = lastJobRun(run, settings.publishJob);
  const active = ["STARTING", "RUNNING", "STOPPING", "WAITING"];
  if (run.Status === "RUNNING" || run.Status === "STOPPING" || run.Status === undefined) return { outcome: "running" };
  if (
    (run.Graph?.Nodes ?? []).some((node) =>
      node.JobDetails?.JobRuns?.some((job) => active.includes(job.JobRunState ?? "")),
    )
  )
    return { outcome: "running" };

  const transformed = transform?.JobRunState === "SUCCEEDED";
  if (run.Status === "COMPLETED" && transformed && publish?.JobRunState === "SUCCEEDED")
    return { outcome: "succeeded" };

  const stopped = run.Status === "STOPPED";
  if (transform && !transformed) return failed("transform", ...cause(transform, stopped), false);
  if (publish && publish.JobRunState !== "SUCCEEDED") return failed("publish", ...cause(publish, stopped), transformed);
  const why = run.ErrorMessage ? `: ${run.ErrorMessage}` : "";
  const job = run.Status === "ERROR" || stopped ? "workflow" : transformed ? "publish" : "workflow";
  const absent = !transform
    ? "transform did not start"
    : !publish
      ? "publish did not start"
      : "though both jobs succeeded";
  return failed(job, `the workflow run ended as ${run.Status}, ${absent}${why}`, stopped, transformed);
}

export async function getRun(world: World, runId: string): Promise<WorkflowRun | undefined> {
  try {
    const { Run } = await world.clients.glue.send(
      new GetWorkflowRunCommand({ Name: world.settings.workflow, RunId: runId, IncludeGraph: true }),
    );
    return Run;
  } catch (error) {
    if (isError(error, "EntityNotFoundException")) return undefined;
    throw error;
  }
}

/** The run that a tick started for this attempt of the batch, if any; finds it also when the reply was lost. */
export async function findRun(world: World, batch: Batch): Promise<string | undefined> {
  const oldestMs = Date.parse(batch.dueAt) - CLOCK_SKEW_MS;
  const mine: WorkflowRun[] = [];
  let token: string | undefined;
  do {
    const page = await world.clients.glue.send(
      new GetWorkflowRunsCommand({
        Name: world.settings.workflow,
        MaxResults: 25,
        ...(token === undefined ? {} : { NextToken: token }),
      }),
    );
    const runs = page.Runs ?? [];
    for (const run of runs) {
      const properties = run.WorkflowRunProperties ?? {};
      if (properties.batch_id === batch.batchId && properties.attempt === String(batch.attempt)) mine.push(run);
    }
    token = page.NextToken;
    // Runs come newest first: after a page of too old runs, all others are older still.
    if (runs.length > 0 && runs.every((run) => (run.StartedOn?.getTime() ?? 0) < oldestMs)) break;
  } while (token !== undefined && token !== "");
  // One attempt has two runs only if a clock is wrong: then the run that still works decides.
  return (mine.find(({ Status }) => Status === "RUNNING") ?? mine[0])?.WorkflowRunId;
}

export async function startWorkflow(world: World, batch: Batch): Promise<string> {
  const { RunId } = await world.clients.glue.send(
    new StartWorkflowRunCommand({
      Name: world.settings.workflow,
      RunProperties: { batch_id: batch.batchId, attempt: String(batch.attempt) },
    }),
  );
  if (!RunId) throw new Error("StartWorkflowRun gave no run id");
  return RunId;
}

/** Stops a run, unless it is over or gone. */
export async function stopWorkflow(world: World, runId: string): Promise<void> {
  try {
    await world.clients.glue.send(new StopWorkflowRunCommand({ Name: world.settings.workflow, RunId: runId }));
  } catch (error) {
    if (!isError(error, "IllegalWorkflowStateException", "EntityNotFoundException")) throw error;
  }
}

/** The usage of each job run in an ended workflow run; a job that Glue tried several times has several. */
export function usage(
  run: WorkflowRun | undefined,
  settings: Pick<Settings, "transformJob" | "publishJob">,
): JobUsage[] {
  const of = (job: "transform" | "publish", name: string) => jobRuns(run, name).map((each) => usageOf(job, each));
  return [...of("transform", settings.transformJob), ...of("publish", settings.publishJob)];
}

function usageOf(job: JobUsage["job"], run: JobRun): JobUsage {
  const { Id: jobRunId, JobRunState: state = "UNKNOWN", ExecutionTime: seconds } = run;
  const ids = { job, ...(jobRunId === undefined ? {} : { jobRunId }), state };
  if (!seconds) return ids;
  // Only auto-scaled and FLEX runs report their DPU seconds; all others use their full capacity from start to end (AWS
  // Glue API: JobRun).
  const dpuSeconds = run.DPUSeconds ?? (run.MaxCapacity === undefined ? undefined : seconds * run.MaxCapacity);
  return { ...ids, seconds, ...(dpuSeconds === undefined ? {} : { dpuSeconds }) };
}

type JobRun = NonNullable<
  NonNullable<NonNullable<NonNullable<WorkflowRun["Graph"]>["Nodes"]>[number]["JobDetails"]>["JobRuns"]
>[number];

/** The last run of a job in the run's graph. */
function lastJobRun(run: WorkflowRun, job: string): JobRun | undefined {
  return jobRuns(run, job).sort((one, other) => (other.Attempt ?? 0) - (one.Attempt ?? 0))[0];
}

function jobRuns(run: WorkflowRun | undefined, job: string): JobRun[] {
  return (run?.Graph?.Nodes ?? [])
    .filter((node) => node.Type === "JOB" && node.Name === job)
    .flatMap((node) => node.JobDetails?.JobRuns ?? []);
}

function cause(run: JobRun, runStopped: boolean): [string, boolean] {
  const systemic =
    runStopped || run.JobRunState === "STOPPED" || run.JobRunState === "ERROR" || run.JobRunState === "EXPIRED";
  const message = run.ErrorMessage?.trim();
  return [`${run.JobRunState}${message ? `: ${message}` : ""}`.slice(0, 2000), systemic];
}

function failed(
  job: "transform" | "publish" | "workflow",
  error: string,
  systemic: boolean,
  transformed: boolean,
): Judgement {
  return { outcome: "failed", job, error, systemic, transformed };
}
