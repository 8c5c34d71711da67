import type { Batch, PublishReport, ReportTotals, TransformReport } from "./batch";
import { getRun, type JobUsage, type Judgement, judge, usage } from "./glue-runs";
import { readDocument, readManifest } from "./lake";
import { place } from "./places";
import { breach, publishTotals, totals } from "./reports";
import type { World } from "./world";

/** The facts about a batch's run, with its reports. `filesFault`: transform failed after it began to read the files. */
export type RunFacts =
  | { outcome: "running" }
  | { outcome: "succeeded"; report: ReportTotals; publishReport: PublishReport }
  | { outcome: "failed"; job: string; error: string; filesFault: boolean; transformed: boolean };

/** A run's outcome, with all that is logged of it once it has ended. `status` and `actions` are Glue's own words. */
export interface RunEnd {
  facts: RunFacts;
  jobs: JobUsage[];
  status?: string | undefined;
  actions?: object | undefined;
}

/** The outcome of a batch's run, and what its jobs used. */
export async function runFacts(world: World, batch: Batch): Promise<RunEnd> {
  const run = await getRun(world, batch.workflowRunId ?? "");
  const ageMs = world.clock.now() - Date.parse(batch.startedAt ?? "");
  return {
    facts: await factsOf(world, batch, judge(run, world.settings, ageMs)),
    jobs: usage(run, world.settings),
    status: run?.Status,
    actions: run?.Statistics,
  };
}

/** Combines Glue's judgement of a run with the documents that its jobs wrote. */
async function factsOf(world: World, batch: Batch, judgement: Judgement): Promise<RunFacts> {
  const { batchId, workflowRunId: runId = "" } = batch;
  if (judgement.outcome === "running") return judgement;
  const transform = await readDocument(world, place("transformReport", { batchId }));
  // Transform writes its report last: when it exists, the failure came later.
  const reported = transform?.workflowRunId === runId;

  if (judgement.outcome === "succeeded") {
    const publish = await readDocument(world, place("publishReport", { batchId }));
    const wrong = breach(await readManifest(world, batchId), runId, transform, publish);
    if (wrong) return { outcome: "failed", job: wrong.job, error: wrong.why, filesFault: false, transformed: true };
    return {
      outcome: "succeeded",
      report: totals(transform as unknown as TransformReport),
      publishReport: publishTotals(publish!),
    };
  }
  const { job, error, systemic } = judgement;
  const transformed = judgement.transformed || reported;
  const began =
    job === "transform" && !systemic && !transformed
      ? (await readDocument(world, place("readingMarker", { batchId })))?.workflowRunId === runId
      : false;
  return { outcome: "failed", job, error, filesFault: began, transformed };
}
