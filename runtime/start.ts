import { type Batch, iso } from "./batch";
import { findRun, startWorkflow, stopWorkflow } from "./glue-runs";
import { advance, readBatch } from "./ledger";
import { describe, isError, type World } from "./world";

/** Nobody sends StartWorkflowRun later than this after announcing it in the ledger. */
const SEND_WITHIN_MS = 20_000;
/** For so long after that, a request that was sent may still arrive: until then the batch is not started anew. */
const ARRIVES_WITHIN_MS = 10_000;

/**
 * Gives the batch's attempt its workflow run: at most one, though StartWorkflowRun knows no idempotency token. The
 * intention is written to the ledger first, so of two ticks one starts; and whoever finds an intention without a run
 * looks for the run by its properties (the reply may be lost, or the sender dead) before it takes over.
 */
export async function startRun(world: World, batch: Batch): Promise<"again" | "wait"> {
  if (batch.startBy !== undefined) {
    if (await adopt(world, batch)) return "again";
    const now = world.clock.now();
    const settledMs = Date.parse(batch.startBy) + ARRIVES_WITHIN_MS;
    // A date far ahead comes from a clock that was ahead.
    if (now < settledMs && settledMs - now <= SEND_WITHIN_MS + ARRIVES_WITHIN_MS) return "wait";
  }
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

/** Writes the run that was found for the attempt into the ledger. */
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
  // The ledger went on without this run, so it must not touch the batch: it has not got far yet.
  world.log({ level: "ERROR", event: "runStopped", batch_id: batch.batchId, workflow_run_id: runId });
  await stopWorkflow(world, runId);
}

async function notStarted(world: World, batch: Batch, error: unknown): Promise<"again" | "wait"> {
  const busy = isError(error, "ConcurrentRunsExceededException");
  // Also a request that was repeated after a lost reply ends here: the run that is in the way may be our own.
  if (busy && (await adopt(world, batch))) return "again";
  const why = `the workflow could not be started: ${describe(error)}`;
  world.log({ level: busy ? "INFO" : "ERROR", event: "runNotStarted", batch_id: batch.batchId, error: why });
  // Counted, so that somebody is told.
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
