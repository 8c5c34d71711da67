import type { BatchState, Ignored } from "./batch";
import { type Claim, claim, type Waiting } from "./claim";
import { takeQueued } from "./ledger";
import { deadline, type Step, work } from "./settle";
import type { World } from "./world";

export interface TickReport {
  /** `waiting`: a batch is in flight; `idle`: nothing to do; `paused`: nothing in flight, and nothing is claimed. */
  action: "waiting" | "idle" | "paused";
  /** The batch in flight at the end of the tick, or else the one that was settled last in it. */
  batchId?: string;
  state?: BatchState;
  error?: string;
  claimed?: { batchId: string; files: number; bytes: number };
  /** What is left in incoming/; only a tick that listed it knows. */
  waiting?: Claim["waiting"];
  ignored?: Ignored;
  paused?: true;
  steps: Step[];
}

/** A tick's report, and what it saw in incoming/, if it listed it. */
export interface Turn {
  report: TickReport;
  listed?: Waiting;
}

/** `takeTurn` for who wants the report alone. */
export async function tick(world: World, remainingMs?: number): Promise<TickReport> {
  return (await takeTurn(world, remainingMs)).report;
}

/**
 * One turn of the pipeline: settles the batch in flight; when nothing is in flight, takes up the next queued batch or
 * claims what waits, and starts its run. Safe at any time, any number at once; what it can't finish, the next one does.
 * `remainingMs` is the Lambda's time left.
 */
export async function takeTurn(world: World, remainingMs = 60_000): Promise<Turn> {
  const timeIsUp = deadline(world, remainingMs);
  const steps: Step[] = [];
  let claimed: TickReport["claimed"];
  let attempt: Claim | undefined;
  const report = (rest: Omit<TickReport, "steps">): Turn => ({
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
      return report({ action: "waiting", batchId, state, ...(error === undefined ? {} : { error }), ...paused });
    }
    const last = steps.at(-1);
    const settled = last ? { batchId: last.batchId } : {};
    if (pipeline.pausedSince !== undefined) return report({ action: "paused", ...settled, ...paused });
    // Rounds are many only when other Lambdas are faster each time, and then they do the work.
    if (timeIsUp() || rounds >= 30) return report({ action: "idle", ...settled });
    if (pipeline.queued !== undefined) {
      if (await takeQueued(world, pipeline.queued, pipeline.claims))
        world.log({ event: "takenUp", batch_id: pipeline.queued });
      continue;
    }
    attempt = await claim(world, pipeline);
    if (attempt.outcome === "nothing") return report({ action: "idle", ...settled });
    if (attempt.batch) {
      const { batchId, files, bytes } = attempt.batch;
      claimed = { batchId, files, bytes };
      world.log({ event: "claimed", batch_id: batchId, files, bytes, ignored: attempt.ignored });
    }
  }
}
