import { GetWorkflowRunCommand, type GlueClient, type JobRun } from "@aws-sdk/client-glue";
import { InvokeCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import type { Batch, TransformReport } from "../../runtime/batch";
import { lookThrough } from "../../runtime/claim";
import { readDocument } from "../../runtime/lake";
import { readBatch, readPipeline } from "../../runtime/ledger";
import { place } from "../../runtime/places";
import { publishTotals, totals } from "../../runtime/reports";
import type { World } from "../../runtime/world";
import { earlyTicks } from "../tick";

/** The pipeline as it stands at one moment. */
export interface Moment {
  /** Batches taken up since the watch began, in that order. */
  batches: Batch[];
  /** Job runs of the batch in flight by job name. */
  jobs: Record<string, JobRun>;
  inFlight?: string;
  /** Nothing is in flight, queued or waiting. */
  isQuiet: boolean;
}

export interface Watch {
  /** Looks once, and asks sense for a tick where the schedule would only bring it later. */
  look(): Promise<Moment>;
}

/** The jobs' events make archive settle; an event that got lost is made up for after this long. */
const settleLateMs = 10_000;

/** Follows the batches that come after this moment. */
export function watchPipeline(world: World, lambda: LambdaClient, senseFunction: string, glue: GlueClient): Watch {
  const seen: string[] = [];
  const settled = new Map<string, Batch>();
  const nudge = earlyTicks(async () => {
    const answer = await lambda.send(new InvokeCommand({ FunctionName: senseFunction }));
    if (answer.FunctionError) throw new Error(`sense failed: ${Buffer.from(answer.Payload ?? []).toString()}`);
  });

  return {
    async look() {
      const pipeline = await readPipeline(world);
      const batchId = pipeline.inFlight;
      if (batchId && !seen.includes(batchId)) seen.push(batchId);
      // A settled batch changes only when it comes into flight again.
      if (batchId) settled.delete(batchId);
      const found = await Promise.all(seen.map(async (id) => settled.get(id) ?? (await readBatch(world, id))));
      const batches = found.filter((batch) => batch !== undefined);
      for (const batch of batches) if (batch.settledAt && batch.batchId !== batchId) settled.set(batch.batchId, batch);
      const current = batches.find((batch) => batch.batchId === batchId);
      const jobs = current?.workflowRunId ? await jobRuns(glue, world.settings.workflow, current.workflowRunId) : {};
      if (current) await addReports(world, current, jobs);
      if (batchId) {
        if (current && isDue(current)) await nudge();
        else if (current?.state !== "RETRY") await nudge(settleLateMs);
        return { batches, jobs, inFlight: batchId, isQuiet: false };
      }
      const hasWork = pipeline.queued !== undefined || (await isFileWaiting(world));
      if (hasWork && !pipeline.pausedSince) await nudge();
      return { batches, jobs, isQuiet: !hasWork };
    },
  };
}

/** Whether the batch's pause is over, or it never started. */
function isDue(batch: Batch): boolean {
  if (batch.state === "CLAIMED") return true;
  return batch.state === "RETRY" && Date.parse(batch.nextAttemptAt ?? batch.updatedAt) <= Date.now();
}

async function jobRuns(glue: GlueClient, workflow: string, runId: string): Promise<Record<string, JobRun>> {
  const { Run } = await glue.send(new GetWorkflowRunCommand({ Name: workflow, RunId: runId, IncludeGraph: true }));
  const runs = (Run?.Graph?.Nodes ?? []).flatMap((node) => node.JobDetails?.JobRuns ?? []);
  return Object.fromEntries(runs.map((run) => [run.JobName ?? "", run]));
}

/** The ledger has the reports when the whole run is settled; a job's own report is there as soon as the job has ended. */
async function addReports(world: World, batch: Batch, jobs: Record<string, JobRun>): Promise<void> {
  const { transformJob, publishJob } = world.settings;
  const hasEnded = (job: string) => jobs[job]?.JobRunState === "SUCCEEDED";
  const read = (name: "transformReport" | "publishReport") =>
    readDocument(world, place(name, { batchId: batch.batchId }));
  if (!batch.report && hasEnded(transformJob)) {
    const report = await read("transformReport");
    if (report) batch.report = totals(report as TransformReport);
  }
  if (!batch.publishReport && hasEnded(publishJob)) {
    const report = await read("publishReport");
    if (report) batch.publishReport = publishTotals(report);
  }
}

async function isFileWaiting(world: World): Promise<boolean> {
  return (await lookThrough(world)).files.length > 0;
}
