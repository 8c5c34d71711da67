import { type Batch, iso } from "./batch";
import { findRun, startWorkflow, stopWorkflow } from "./glue-runs";
import { advance, readBatch } from "./ledger";
import { correctRestored } from "./restored";
import { describe, isError, type World } from "./world";

/** No tick sends StartWorkflowRun later than this after announcing it in the ledger. */
const SEND_WITHIN_MS = 20_000;
/** A request that was sent may still arrive for this long: until then no other tick starts the batch. */
const ARRIVES_WITHIN_MS = 10_000;

/**
 * Starts at most one workflow run for the batch's attempt, although StartWorkflowRun has no idempotency token. A tick
 * writes its intention to the ledger first, so only one of two ticks starts a run. A tick that finds an intention
 * without a run searches for the run by its properties before it takes over: the reply may be lost, or the sender may
 * be dead.
 */
export async function startRun(world: World, batch: Batch): Promise<"again" | "wait"> {
  const earlier = await announcedStart(world, batch);
  if (earlier) return earlier;
  if (await correctRestored(world, batch)) return "again";
  const deadlineMs = world.clock.now() + SEND_WITHIN_MS;
  const announced = await advance(world, batch, { startBy: iso(deadlineMs) });
  if (!announced) return "again";
  if (world.clock.now() >= deadlineMs) return "wait";

  let runId: string;
  try {
    runId = await startWorkflow(world, announced);
  } catch (error) {
    return notStarted(world, announced, error);
  }
  world.log({ event: "runStarted", batch_id: batch.batchId, attempt: batch.attempt, workflow_run_id: runId });
  await record(world, announced, runId);
  return "again";
}

/**
 * Looks after a start that was announced. `again`: its run is recorded now. `wait`: the request may still arrive.
 * Undefined: there is none, or it is lost.
 */
export async function announcedStart(world: World, batch: Batch): Promise<"again" | "wait" | undefined> {
  if (batch.startBy === undefined) return undefined;
  if (await adopt(world, batch)) return "again";
  const now = world.clock.now();
  const settledMs = Date.parse(batch.startBy) + ARRIVES_WITHIN_MS;
  // A time far in the future comes from a clock that was ahead.
  if (now < settledMs && settledMs - now <= SEND_WITHIN_MS + ARRIVES_WITHIN_MS) return "wait";
  return undefined;
}

/** Searches for a run of the attempt and records it in the ledger. */
async function adopt(world: World, batch: Batch): Promise<boolean> {
  const runId = await findRun(world, batch);
  if (runId === undefined) return false;
  world.log({ event: "runFound", batch_id: batch.batchId, attempt: batch.attempt, workflow_run_id: runId });
  await advance(world, batch, running(world, runId));
  return true;
}

async function record(world: World, batch: Batch, runId: string): Promise<void> {
  let mine: Batch | undefined = batch;
  for (let tries = 0; tries < 3 && mine; tries++) {
    if (await advance(world, mine, running(world, runId))) return;
    mine = await readBatch(world, batch.batchId);
    if (mine?.workflowRunId === runId) return;
    if (mine?.attempt !== batch.attempt || mine.state !== batch.state) mine = undefined;
  }
  // The batch went on without this run, which must not touch it: stop the run, which has hardly begun.
  world.log({ level: "ERROR", event: "runStopped", batch_id: batch.batchId, workflow_run_id: runId });
  await stopWorkflow(world, runId);
}

async function notStarted(world: World, batch: Batch, error: unknown): Promise<"again" | "wait"> {
  const busy = isError(error, "ConcurrentRunsExceededException");
  // A request that the SDK repeated after a lost reply ends here too: the run that blocks it may be our own.
  if (busy && (await adopt(world, batch))) return "again";
  const why = `the workflow could not be started: ${describe(error)}`;
  world.log({ level: busy ? "INFO" : "ERROR", event: "runNotStarted", batch_id: batch.batchId, error: why });
  // Counted as a failure, so that an alarm reports it.
  if (!busy) await advance(world, batch, { error: why, errorJob: "workflow", failures: (batch.failures ?? 0) + 1 });
  return "wait";
}

function running(world: World, runId: string) {
  return {
    state: "RUNNING" as const,
    workflowRunId: runId,
    startedAt: iso(world.clock.now()),
    startBy: undefined,
    nextAttemptAt: undefined,
  };
}
