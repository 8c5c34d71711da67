import { GetWorkflowRunCommand, type GlueClient, type JobRun } from "@aws-sdk/client-glue";
import { isError } from "../../runtime/world";

/**
 * The job runs of a workflow run by job name. None when Glue does not know the run: a local cloud without kept data
 * forgets its runs when it ends, and sense settles the batch.
 */
export async function jobRuns(
  glue: Pick<GlueClient, "send">,
  workflow: string,
  runId: string,
): Promise<Record<string, JobRun>> {
  const ask = glue.send(new GetWorkflowRunCommand({ Name: workflow, RunId: runId, IncludeGraph: true }));
  const { Run } = await ask.catch((error) => {
    if (isError(error, "EntityNotFoundException")) return { Run: undefined };
    throw error;
  });
  const runs = (Run?.Graph?.Nodes ?? []).flatMap((node) => node.JobDetails?.JobRuns ?? []);
  return Object.fromEntries(runs.map((run) => [run.JobName ?? "", run]));
}
