import { readBatch, readPipeline } from "./ledger";
import { repeatOutcomes } from "./recent";
import { deadline } from "./settle";
import { type Tick, type TickReport, tickAndList } from "./tick";
import { lookThrough, type Waiting } from "./waiting";
import type { World } from "./world";

/** Ticks, then logs the state of the pipeline, and once more how recent batches ended. */
export async function observedTick(world: World, remainingMs: number): Promise<TickReport> {
  const endMs = world.clock.now() + remainingMs;
  const tick = await tickAndList(world, remainingMs);
  await repeatOutcomes(world, tick.pipeline);
  await observe(world, tick, endMs - world.clock.now());
  return tick.report;
}

/**
 * Logs how much waits and for how long, and the age of the batch in flight: a pipeline that hangs logs no event itself.
 * A pipeline with nothing to do logs nothing, so its metrics cost nothing.
 *
 * Counts every CSV in incoming/, claimed or not, because only an archived file is safe. That includes archived-class
 * files, which someone must restore. It excludes held files: the failure of their batch was reported already.
 */
async function observe(world: World, { report, listed }: Tick, remainingMs: number): Promise<void> {
  if (report.action === "idle" && !report.claimed && listed?.count === 0 && !listed.ignored.cold) {
    const { notCsv } = listed.ignored;
    if (notCsv > 0) world.log({ event: "keysIgnored", not_csv_keys: notCsv, ...partial(listed) });
    return;
  }
  const pipeline = await readPipeline(world);
  const batch = pipeline.inFlight === undefined ? undefined : await readBatch(world, pipeline.inFlight);
  // A tick that claimed has just listed the files, and has only started a run since.
  const listing = { keep: 0, after: pipeline.listedTo, timeIsUp: deadline(world, remainingMs) };
  const seen = listed ?? (await lookThrough(world, listing));
  const { cold = 0, notCsv } = seen.ignored;
  const waiting = seen.count + cold;
  const nowMs = world.clock.now();
  const ageSeconds = (sinceMs: number) => Math.max(0, Math.round((nowMs - sinceMs) / 1000));
  if (waiting === 0 && !batch) return;
  const oldestMs = Math.min(nowMs, seen.oldestMs ?? nowMs);
  world.log({
    event: "observed",
    ...(batch ? { batch_id: batch.batchId, state: batch.state, attempt: batch.attempt } : {}),
    // The job that failed last and the failures in a row; a batch that works again has neither.
    ...(batch?.errorJob === undefined ? {} : { job: batch.errorJob, failures: batch.failures ?? 0 }),
    waiting_files: waiting,
    ...(cold > 0 ? { cold_files: cold } : {}),
    ...(notCsv > 0 ? { not_csv_keys: notCsv } : {}),
    ...partial(seen),
    oldest_file_age_seconds: ageSeconds(oldestMs),
    batch_age_seconds: pipeline.inFlightSince === undefined ? 0 : ageSeconds(Date.parse(pipeline.inFlightSince)),
    ...(pipeline.pausedSince === undefined ? {} : { paused: true }),
  });
}

/** Says that the time was up before the whole folder was listed. */
function partial({ listedTo }: Waiting): { listing?: "partial" } {
  return listedTo === undefined ? {} : { listing: "partial" };
}
