import { type Batch, iso } from "./batch";
import { head, readManifest } from "./lake";
import { letGo, queue, readBatch, setPause } from "./ledger";
import { incoming } from "./places";
import { planReplay } from "./replay";
import type { Store } from "./world";

/** A person's request that can't be met now. The message says why; nothing was changed. */
export class RefusedError extends Error {}

/** From now on no batch is claimed or taken up; the batch in flight is still settled. */
export async function pause(world: Store): Promise<void> {
  await setPause(world, true);
}

export async function resume(world: Store): Promise<void> {
  await setPause(world, false);
}

/**
 * Queues an archived batch to run again from archive/. Throws RefusedError when the batch is not archived, or when a
 * file that it read is no longer in the archive: a replay without the file would remove its listens.
 */
export async function requestReplay(world: Store, batchId: string): Promise<void> {
  const batch = await known(world, batchId);
  if (batch.state === "REPLAY") return;
  if (batch.state !== "ARCHIVED")
    throw new RefusedError(`batch ${batchId} is ${batch.state}: only an archived batch runs again`);
  const plan = await planReplay(world, batch);
  if ("problem" in plan) throw new RefusedError(`batch ${batchId} can't run again: ${plan.problem}`);
  const queued = await queue(world, batch, {
    state: "REPLAY",
    attempt: batch.attempt + 1,
    dueAt: iso(world.clock.now()),
    replay: true,
    prepared: undefined,
    notReplayed: undefined,
    startBy: undefined,
    settledAt: undefined,
    nextAttemptAt: undefined,
  });
  if (queued) world.log({ event: "replayRequested", batch_id: batchId });
  else if (!(await readBatch(world, batchId))?.replay) throw changedMeanwhile(batchId);
}

/**
 * Queues a FAILED batch's file to be put back into incoming/, where the next claim takes it. Gives false when the file
 * was put back already. Throws RefusedError when there is no such batch, or another file has its key now.
 */
export async function requestRetry(world: Store, batchId: string): Promise<boolean> {
  const batch = await known(world, batchId);
  if (batch.state === "FAILED" && batch.puttingBack) return true;
  if (batch.state !== "FAILED" || batch.settledAt === undefined)
    throw new RefusedError(
      `batch ${batchId} is ${batch.state}${batch.state === "FAILED" ? ", not settled yet" : ""}: only a failed batch's file can be put back`,
    );
  if (batch.retriedAt !== undefined) return false;
  const manifest = await readManifest(world, batchId);
  const [file] = manifest.files;
  if (batch.moves?.held && file) {
    // The file never left incoming/, so no tick has to put it back.
    if (await letGo(world, batch, { retriedAt: iso(world.clock.now()) }, file)) return true;
    throw changedMeanwhile(batchId);
  }
  for (const { name } of manifest.files) {
    if (await head(world, incoming() + name))
      throw new RefusedError(
        `batch ${batchId}: ${incoming()}${name} holds another file by now; try again when that one is processed`,
      );
  }
  const queued = await queue(world, batch, { puttingBack: true, settledAt: undefined, notPutBack: undefined });
  if (queued) world.log({ event: "retryRequested", batch_id: batchId });
  else if (!(await readBatch(world, batchId))?.puttingBack) throw changedMeanwhile(batchId);
  return true;
}

async function known(world: Store, batchId: string): Promise<Batch> {
  const batch = await readBatch(world, batchId);
  if (batch) return batch;
  throw new RefusedError(`the ledger knows no batch ${batchId}`);
}

function changedMeanwhile(batchId: string): RefusedError {
  return new RefusedError(`batch ${batchId} changed meanwhile: try again`);
}
