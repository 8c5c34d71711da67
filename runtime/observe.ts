import { lookThrough } from "./claim";
import { readBatch, readPipeline } from "./ledger";
import { type TickReport, type Turn, takeTurn } from "./tick";
import type { World } from "./world";

/** A tick, and then a line that tells how the pipeline stands. */
export async function observedTick(world: World, remainingMs: number): Promise<TickReport> {
  const turn = await takeTurn(world, remainingMs);
  await observe(world, turn);
  return turn.report;
}

/**
 * Logs how much waits, for how long, and how the batch in flight is doing: what only a look from outside can tell, since
 * a pipeline that hangs has no event. A quiet pipeline logs nothing, and so costs no metric.
 *
 * Waiting is every CSV in incoming/, claimed or not, since nobody can be sure of it until it is archived. So are those in
 * a cold class, which wait for a person who does not know of it; but not those that are held, which were told of when
 * their batch failed.
 */
async function observe(world: World, { report, listed }: Turn): Promise<void> {
  if (report.action === "idle" && !report.claimed && listed?.files.length === 0 && listed.cold.length === 0) return;
  const pipeline = await readPipeline(world);
  const batch = pipeline.inFlight === undefined ? undefined : await readBatch(world, pipeline.inFlight);
  // A tick that claimed has just listed them; all that it did since is start the run.
  const { files, cold } = listed ?? (await lookThrough(world));
  const nowMs = world.clock.now();
  const ageSeconds = (sinceMs: number) => Math.max(0, Math.round((nowMs - sinceMs) / 1000));
  if (files.length + cold.length === 0 && !batch) return;
  const oldestMs = Math.min(nowMs, ...[files[0], cold[0]].flatMap((one) => (one ? [one.lastModifiedMs] : [])));
  world.log({
    event: "observed",
    ...(batch ? { batch_id: batch.batchId, state: batch.state, attempt: batch.attempt } : {}),
    // Who failed last, and how often in a row; a batch that works again has neither.
    ...(batch?.errorJob === undefined ? {} : { job: batch.errorJob, failures: batch.failures ?? 0 }),
    waiting_files: files.length + cold.length,
    ...(cold.length > 0 ? { cold_files: cold.length } : {}),
    oldest_file_age_seconds: ageSeconds(oldestMs),
    batch_age_seconds: pipeline.inFlightSince === undefined ? 0 : ageSeconds(Date.parse(pipeline.inFlightSince)),
    ...(pipeline.pausedSince === undefined ? {} : { paused: true }),
  });
}
