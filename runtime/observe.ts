import { lookThrough } from "./claim";
import { readBatch, readPipeline } from "./ledger";
import { type Tick, type TickReport, tickAndList } from "./tick";
import type { World } from "./world";

/** Ticks, then logs the state of the pipeline. */
export async function observedTick(world: World, remainingMs: number): Promise<TickReport> {
  const tick = await tickAndList(world, remainingMs);
  await observe(world, tick);
  return tick.report;
}

/**
 * Logs how much waits and for how long, and the age of the batch in flight: a pipeline that hangs logs no event itself.
 * A pipeline with nothing to do logs nothing, so its metrics cost nothing.
 *
 * Counts every CSV in incoming/, claimed or not, because only an archived file is safe. That includes archived-class
 * files, which someone must restore. It excludes held files: the failure of their batch was reported already.
 */
async function observe(world: World, { report, listed }: Tick): Promise<void> {
  if (report.action === "idle" && !report.claimed && listed?.files.length === 0 && listed.cold.length === 0) return;
  const pipeline = await readPipeline(world);
  const batch = pipeline.inFlight === undefined ? undefined : await readBatch(world, pipeline.inFlight);
  // A tick that claimed has just listed the files, and has only started a run since.
  const { files, cold } = listed ?? (await lookThrough(world));
  const nowMs = world.clock.now();
  const ageSeconds = (sinceMs: number) => Math.max(0, Math.round((nowMs - sinceMs) / 1000));
  if (files.length + cold.length === 0 && !batch) return;
  const oldestMs = Math.min(nowMs, ...[files[0], cold[0]].flatMap((one) => (one ? [one.lastModifiedMs] : [])));
  world.log({
    event: "observed",
    ...(batch ? { batch_id: batch.batchId, state: batch.state, attempt: batch.attempt } : {}),
    // The job that failed last and the failures in a row; a batch that works again has neither.
    ...(batch?.errorJob === undefined ? {} : { job: batch.errorJob, failures: batch.failures ?? 0 }),
    waiting_files: files.length + cold.length,
    ...(cold.length > 0 ? { cold_files: cold.length } : {}),
    oldest_file_age_seconds: ageSeconds(oldestMs),
    batch_age_seconds: pipeline.inFlightSince === undefined ? 0 : ageSeconds(Date.parse(pipeline.inFlightSince)),
    ...(pipeline.pausedSince === undefined ? {} : { paused: true }),
  });
}
