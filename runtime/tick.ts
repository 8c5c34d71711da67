import type { BatchState, Ignored } from "./batch";
import { type Claim, claim } from "./claim";
import { type Pipeline, takeQueued } from "./ledger";
import { deadline, type Step, work } from "./settle";
import type { Waiting } from "./waiting";
import type { World } from "./world";

export interface TickReport {
  /** `waiting`: a batch is in flight; `idle`: nothing to do; `paused`: nothing in flight, and nothing is claimed. */
  action: "waiting" | "idle" | "paused";
  /** The batch in flight at the end of the tick; if there is none, the last one that it settled. */
  batchId?: string;
  state?: BatchState;
  error?: string;
  claimed?: { batchId: string; files: number; bytes: number };
  /** What the tick left in incoming/; absent when it did not list the folder. */
  waiting?: Claim["waiting"];
  ignored?: Ignored;
  paused?: true;
  steps: Step[];
}

/** A tick's report, and what the tick saw in incoming/ if it listed the folder. */
export interface Tick {
  report: TickReport;
  /** The state that the tick last read. */
  pipeline: Pipeline;
  listed?: Waiting;
}

/** Ticks, and gives the report alone. */
export async function tick(world: World, remainingMs?: number): Promise<TickReport> {
  return (await tickAndList(world, remainingMs)).report;
}

/**
 * One tick: settles the batch in flight. When nothing is in flight, takes up the next queued batch or claims what
 * waits, and starts its run. Safe at any time and any number at once: the next tick does what this one can't finish.
 * `remainingMs` is the Lambda's time left.
 */
export async function tickAndList(world: World, remainingMs = 60_000): Promise<Tick> {
  const timeIsUp = deadline(world, remainingMs);
  // Half of the time is for starting the run, and for settling what comes first.
  const listingIsUp = deadline(world, remainingMs / 2);
  const steps: Step[] = [];
  let claimed: TickReport["claimed"];
  let attempt: Claim | undefined;
  const report = (pipeline: Pipeline, rest: Omit<TickReport, "steps">): Tick => ({
    pipeline,
    report: {
      ...rest,
      ...(claimed ? { claimed } : {}),
      ...(attempt ? { waiting: attempt.waiting, ignored: attempt.ignored } : {}),
      steps,
    },
    ...(attempt ? { listed: attempt.listed } : {}),
  });

  for (let rounds = 0; ; rounds++) {
    const { pipeline, batch, steps: done } = await work(world, { mayStart: true, timeIsUp });
    steps.push(...done);
    const paused = pipeline.pausedSince === undefined ? {} : { paused: true as const };
    if (batch) {
      const { batchId, state, error } = batch;
      return report(pipeline, {
        action: "waiting",
        batchId,
        state,
        ...(error === undefined ? {} : { error }),
        ...paused,
      });
    }
    const last = steps.at(-1);
    const settled = last ? { batchId: last.batchId } : {};
    if (pipeline.pausedSince !== undefined) return report(pipeline, { action: "paused", ...settled, ...paused });
    // Many rounds come only when other Lambdas are faster each time: then they do the work.
    if (timeIsUp() || rounds >= 30) return report(pipeline, { action: "idle", ...settled });
    if (pipeline.queued !== undefined) {
      if (await takeQueued(world, pipeline.queued, pipeline))
        world.log({ event: "takenUp", batch_id: pipeline.queued });
      continue;
    }
    attempt = await claim(world, pipeline, listingIsUp);
    if (attempt.outcome === "nothing") return report(pipeline, { action: "idle", ...settled });
    if (attempt.batch) {
      const { batchId, files, bytes } = attempt.batch;
      claimed = { batchId, files, bytes };
      world.log({ event: "claimed", batch_id: batchId, files, bytes, ignored: attempt.ignored });
    }
  }
}
