import type { GlueClient, JobRun } from "@aws-sdk/client-glue";
import { InvokeCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import type { Batch, TransformReport } from "../../runtime/batch";
import { isDue } from "../../runtime/decide";
import { readDocument } from "../../runtime/lake";
import { readBatch, readPipeline } from "../../runtime/ledger";
import { place } from "../../runtime/places";
import { publishTotals, totals } from "../../runtime/reports";
import { lookThrough } from "../../runtime/waiting";
import type { World } from "../../runtime/world";
import { jobRuns } from "../read/job-runs";
import { earlyTicks } from "../tick";

/** The pipeline at one moment. */
export interface Moment {
  /** Batches that came into flight since the watch began, in that order. */
  batches: Batch[];
  /** Job runs of the batch in flight by job name. */
  jobs: Record<string, JobRun>;
  inFlight?: string;
  /** Nothing is in flight, queued or waiting. */
  isQuiet: boolean;
}

export interface Watch {
  /** Reads the pipeline's state, and asks sense for a tick when there is work that would wait for the schedule. */
  look(): Promise<Moment>;
}

/** The jobs' events make archive settle a batch. When an event got lost, a tick settles it after this long. */
const settleLateMs = 10_000;
/** After this many failed ticks in a row, the cause does not pass. */
const mostFailedTicks = 5;

/** Follows the batches that come into flight from now on. */
export function watchPipeline(
  world: World,
  lambda: LambdaClient,
  senseFunction: string,
  glue: Pick<GlueClient, "send">,
): Watch {
  const seen: string[] = [];
  const settled = new Map<string, Batch>();
  let failedTicks = 0;
  const nudge = earlyTicks(async () => {
    const answer = await lambda.send(new InvokeCommand({ FunctionName: senseFunction }));
    // One tick may fail, as on AWS, when its process is killed or a call fails: the next one goes on.
    failedTicks = answer.FunctionError ? failedTicks + 1 : 0;
    if (failedTicks >= mostFailedTicks)
      throw new Error(`sense failed ${failedTicks} times: ${Buffer.from(answer.Payload ?? []).toString()}`);
  });

  return {
    async look() {
      const pipeline = await readPipeline(world);
      const batchId = pipeline.inFlight;
      if (batchId && !seen.includes(batchId)) seen.push(batchId);
      // A settled batch changes only when it is in flight again.
      if (batchId) settled.delete(batchId);
      const found = await Promise.all(seen.map(async (id) => settled.get(id) ?? (await readBatch(world, id))));
      const batches = found.filter((batch) => batch !== undefined);
      for (const batch of batches) if (batch.settledAt && batch.batchId !== batchId) settled.set(batch.batchId, batch);
      const current = batches.find((batch) => batch.batchId === batchId);
      const jobs = current?.workflowRunId ? await jobRuns(glue, world.settings.workflow, current.workflowRunId) : {};
      if (current) await addReports(world, current, jobs);
      if (batchId) {
        if (current && isDue(current, Date.now())) await nudge();
        else if (current?.state !== "RETRY") await nudge(settleLateMs);
        return { batches, jobs, inFlight: batchId, isQuiet: false };
      }
      const hasWork = pipeline.queued !== undefined || (await isFileWaiting(world));
      if (hasWork && !pipeline.pausedSince) await nudge();
      return { batches, jobs, isQuiet: !hasWork };
    },
  };
}

/**
 * Adds reports that the ledger does not have yet: it gets them when the run is settled, a job writes its own when it
 * ends.
 */
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
  return (await lookThrough(world, { keep: 0 })).count > 0;
}
