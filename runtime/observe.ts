import { lookThrough } from "./claim";
import { readBatch, readPipeline } from "./ledger";
import { type TickReport, tick } from "./tick";
import type { World } from "./world";

/** A tick, and then a line that tells how the pipeline stands. */
export async function observedTick(world: World, remainingMs: number): Promise<TickReport> {
  const report = await tick(world, remainingMs);
  await observe(world, report);
  return report;
}

/**
 * Logs how much waits, for how long, and how the batch in flight is doing: what only a look from outside can tell, since
 * a pipeline that hangs has no event. A quiet pipeline logs nothing, and so costs no metric.
 *
 * Waiting is every CSV in incoming/, claimed or not, since nobody can be sure of it until it is archived; but for those
 * that are held, which wait for a person, and were told of when their batch failed.
 */
async function observe(world: World, report: TickReport): Promise<void> {
  if (report.action === "idle" && !report.claimed && report.waiting?.files === 0) return;
  const pipeline = await readPipeline(world);
  const batch = pipeline.inFlight === undefined ? undefined : await readBatch(world, pipeline.inFlight);
  const { files } = await lookThrough(world);
  const nowMs = world.clock.now();
  const ageSeconds = (sinceMs: number) => Math.max(0, Math.round((nowMs - sinceMs) / 1000));
  const [oldest] = files;
  if (!oldest && !batch) return;
  world.log({
    event: "observed",
    ...(batch ? { batch_id: batch.batchId, state: batch.state, attempt: batch.attempt } : {}),
    // Who failed last, and how often in a row; a batch that works again has neither.
    ...(batch?.errorJob === undefined ? {} : { job: batch.errorJob, failures: batch.failures ?? 0 }),
    waiting_files: files.length,
    oldest_file_age_seconds: oldest ? ageSeconds(oldest.lastModifiedMs) : 0,
    batch_age_seconds: pipeline.inFlightSince === undefined ? 0 : ageSeconds(Date.parse(pipeline.inFlightSince)),
    ...(pipeline.pausedSince === undefined ? {} : { paused: true }),
  });
}
