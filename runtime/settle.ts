import { abandon } from "./abandon";
import { type Batch, type BatchState, iso } from "./batch";
import { type Action, decide } from "./decide";
import { archive, divide, isolate, putBack } from "./endings";
import { type RunEnd, runFacts } from "./facts";
import { stopWorkflow } from "./glue-runs";
import { isLeased, leased, newLease } from "./lease";
import { advance, type Pipeline, readBatch, readPipeline, release, releaseUnknown } from "./ledger";
import { prepareReplay } from "./replay";
import { startRun } from "./start";
import { describe, type World } from "./world";

/** Time kept for the step in progress before Lambda stops the function. */
const RESERVE_MS = 10_000;
/** How long archive waits for a run that is still RUNNING after the event of a job's end. */
const LOOK_AGAIN_MS = 60_000;

export interface Step {
  do: string;
  batchId: string;
  state: BatchState;
}

export interface SettleReport {
  /** `idle`: nothing in flight. Otherwise the last action, or `waiting`. */
  action: string;
  batchId?: string;
  state?: BatchState;
  error?: string;
  steps: Step[];
}

export interface Progress {
  pipeline: Pipeline;
  /** The batch that is still in flight, if any. */
  batch?: Batch;
  steps: Step[];
  timeIsUp: boolean;
}

export interface Allowance {
  mayStart: boolean;
  timeIsUp(): boolean;
}

/**
 * Settles the batch in flight as far as possible, without starting a run. Glue's events call it, and they come a moment
 * before the run's status changes: so it looks again for up to a minute. `remainingMs` is the Lambda's time left.
 */
export async function settle(world: World, remainingMs: number): Promise<SettleReport> {
  const timeIsUp = deadline(world, remainingMs);
  const untilMs = world.clock.now() + LOOK_AGAIN_MS;
  const steps: Step[] = [];
  for (let pauseMs = 500; ; pauseMs = Math.min(5000, pauseMs * 1.5)) {
    const progress = await work(world, { mayStart: false, timeIsUp });
    steps.push(...progress.steps);
    const running = progress.batch?.state === "RUNNING" && !progress.timeIsUp;
    if (running && world.clock.now() + pauseMs < untilMs && !timeIsUp()) {
      await world.clock.sleep(pauseMs);
      continue;
    }
    return settleReport(progress.batch, steps);
  }
}

/** Tells when a Lambda with `remainingMs` left must stop working; one with little time still uses half of it. */
export function deadline(world: World, remainingMs: number): () => boolean {
  const endMs = world.clock.now() + Math.max(remainingMs - RESERVE_MS, remainingMs / 2);
  return () => world.clock.now() >= endMs;
}

/** Works on the batch in flight until it must wait, the time runs out, or nothing is in flight. */
export async function work(world: World, allowed: Allowance): Promise<Progress> {
  const steps: Step[] = [];
  // A batch needs five or six rounds. More come only when another Lambda works on it too, and makes progress.
  for (let rounds = 0; ; rounds++) {
    const pipeline = await readPipeline(world);
    if (pipeline.inFlight === undefined) return { pipeline, steps, timeIsUp: false };
    const batch = await readBatch(world, pipeline.inFlight);
    if (!batch) {
      world.log({ level: "ERROR", event: "unknownBatch", batch_id: pipeline.inFlight });
      await releaseUnknown(world, pipeline.inFlight);
      continue;
    }
    const timeIsUp = allowed.timeIsUp();
    if (timeIsUp || rounds >= 30) return { pipeline, batch, steps, timeIsUp };

    const { done, result } = await step(world, batch, allowed);
    if (done === undefined) return { pipeline, batch, steps, timeIsUp };
    steps.push({ do: done, batchId: batch.batchId, state: batch.state });
    if (result !== "again") {
      const now = await readBatch(world, batch.batchId);
      return { pipeline, batch: now ?? batch, steps, timeIsUp: result === "unfinished" };
    }
  }
}

type Result = "again" | "wait" | "unfinished";

/** Carries out the batch's next action. Gives the action and its result; neither when the batch must wait. */
async function step(world: World, batch: Batch, allowed: Allowance): Promise<{ done?: Action["do"]; result?: Result }> {
  try {
    const run = batch.state === "RUNNING" ? await runFacts(world, batch) : undefined;
    const action = decide(batch, run?.facts, world.settings.limits, world.clock.now());
    // Archive may neither start nor stop a run, nor search for one.
    const isForSense = ["start", "stop", "abandon"].includes(action.do);
    const isBusy = ["archive", "isolate"].includes(action.do) && isLeased(world, batch);
    if (isBusy || action.do === "wait" || (isForSense && !allowed.mayStart)) return {};
    return { done: action.do, result: await carryOut(world, batch, action, run, allowed) };
  } catch (error) {
    // Lambda logs the error too, but can't name the batch.
    const { batchId, attempt, state } = batch;
    world.log({ level: "ERROR", event: "stepFailed", batch_id: batchId, attempt, state, error: describe(error) });
    throw error;
  }
}

async function carryOut(
  world: World,
  batch: Batch,
  action: Action,
  run: RunEnd | undefined,
  allowed: Allowance,
): Promise<Result> {
  switch (action.do) {
    case "start":
      return startRun(world, batch);
    case "prepare":
      return prepareReplay(world, batch);
    case "accept": {
      const written = await advance(world, batch, {
        state: "PROCESSED",
        lease: newLease(world, batch),
        day: batch.day ?? today(world),
        report: action.report,
        publishReport: action.publishReport,
        transformed: true,
        failures: undefined,
        dataFailures: undefined,
        error: undefined,
        errorJob: undefined,
      });
      if (written) logRun(world, batch, run);
      return "again";
    }
    case "retry":
      return planNextAttempt(world, batch, action, run);
    case "giveUp": {
      const written = await advance(world, batch, {
        state: action.state,
        lease: action.state === "FAILED" ? newLease(world, batch) : undefined,
        day: batch.day ?? today(world),
        failures: action.failures,
        dataFailures: action.dataFailures,
        error: action.error,
        errorJob: action.job,
      });
      if (written) {
        logRun(world, batch, run);
        logFailure(world, batch, action);
      }
      return "again";
    }
    case "stop":
      await stopWorkflow(world, batch.workflowRunId ?? "");
      return "wait";
    case "abandon":
      return abandon(world, batch, () => logRun(world, batch, run));
    case "archive":
    case "isolate": {
      const mine = await leased(world, batch);
      if (!mine) return "again";
      const end = action.do === "archive" ? archive : isolate;
      const result = await end(world, mine, () => allowed.timeIsUp());
      if (result === "unfinished") await advance(world, mine, { lease: undefined });
      return result;
    }
    case "putBack":
      return putBack(world, batch);
    case "divide":
      return divide(world, batch);
    case "release":
      await release(world, batch, {});
      return "again";
    case "look":
    case "wait":
      return "wait";
  }
}

/** Of a batch that was transformed before its run could be stopped. */
const notAbandoned = {
  abandonedAt: undefined,
  notAbandoned: "the metrics may hold its rows by now: only a successful run ends it",
};

async function planNextAttempt(
  world: World,
  batch: Batch,
  action: Action & { do: "retry" },
  run: RunEnd | undefined,
): Promise<"again"> {
  const written = await advance(world, batch, {
    state: "RETRY",
    attempt: batch.attempt + 1,
    dueAt: iso(world.clock.now()),
    nextAttemptAt: iso(action.nextMs),
    failures: action.failures,
    dataFailures: action.dataFailures,
    transformed: action.transformed || undefined,
    prepared: undefined,
    ...(batch.abandonedAt === undefined ? {} : notAbandoned),
    error: action.error,
    errorJob: action.job,
  });
  if (written) {
    logRun(world, batch, run);
    logFailure(world, batch, action, { next_attempt_at: iso(action.nextMs) });
  }
  return "again";
}

/** Logs a run's end and what each job used. Whoever wrote the run's end into the ledger calls it, so once a run. */
function logRun(world: World, batch: Batch, run: RunEnd | undefined): void {
  const ids = { batch_id: batch.batchId, attempt: batch.attempt, workflow_run_id: batch.workflowRunId };
  if (run?.status !== undefined) world.log({ event: "runEnded", ...ids, status: run.status, actions: run.actions });
  for (const { job, jobRunId, state, seconds, dpuSeconds } of run?.jobs ?? [])
    world.log({ event: "jobEnded", ...ids, job, job_run_id: jobRunId, state, seconds, dpu_seconds: dpuSeconds });
}

function logFailure(world: World, batch: Batch, failure: { job: string; error: string }, more: object = {}): void {
  world.log({
    level: "ERROR",
    event: "runFailed",
    batch_id: batch.batchId,
    attempt: batch.attempt,
    workflow_run_id: batch.workflowRunId,
    job: failure.job,
    error: failure.error,
    ...more,
  });
}

function settleReport(batch: Batch | undefined, steps: Step[]): SettleReport {
  const last = steps.at(-1);
  if (batch)
    return {
      action: "waiting",
      batchId: batch.batchId,
      state: batch.state,
      ...(batch.error === undefined ? {} : { error: batch.error }),
      steps,
    };
  return { action: last?.do ?? "idle", ...(last ? { batchId: last.batchId } : {}), steps };
}

function today(world: World): string {
  return iso(world.clock.now()).slice(0, 10);
}
