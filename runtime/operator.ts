import { type Batch, iso } from "./batch";
import { canAbandon } from "./decide";
import { head, readManifest } from "./lake";
import { advance, letGo, queue, queueUnknown, readBatch, setPause } from "./ledger";
import { lostBatch } from "./lost";
import { incoming, place } from "./places";
import { RefusedError } from "./refused";
import { notAbandoned, planReplay, requested } from "./replay";
import type { Store } from "./world";

/** From now on no batch is claimed or taken up; the batch in flight is still settled. */
export async function pause(world: Store): Promise<void> {
  await setPause(world, true);
}

export async function resume(world: Store): Promise<void> {
  await setPause(world, false);
}

/**
 * Queues an archived batch to run again from archive/. Throws RefusedError when the batch is not archived, or when a
 * file that it read is no longer in the archive: a replay without the file would remove its listens. Also takes up a
 * batch that a restored ledger has lost: it is unknown there, or unsettled without a turn.
 */
export async function requestReplay(world: Store, batchId: string): Promise<void> {
  const lost = await lostBatch(world, batchId);
  if (lost) {
    const queued = lost.isKnown ? await queue(world, lost.batch, {}) : await queueUnknown(world, lost.batch);
    if (!queued) throw changedMeanwhile(batchId);
    world.log({ event: "lostBatchQueued", batch_id: batchId, state: lost.batch.state });
    return;
  }
  const batch = await known(world, batchId);
  if (batch.state === "REPLAY") return;
  if (batch.state !== "ARCHIVED")
    throw new RefusedError(`batch ${batchId} is ${batch.state}: only an archived batch runs again`);
  const plan = await planReplay(world, batch);
  if ("problem" in plan) throw new RefusedError(`batch ${batchId} can't run again: ${plan.problem}`);
  const queued = await queue(world, batch, requested(world, batch));
  if (queued) world.log({ event: "replayRequested", batch_id: batchId });
  else if (!(await readBatch(world, batchId))?.replay) throw changedMeanwhile(batchId);
}

/**
 * Queues a FAILED batch's file to be put back into incoming/, where the next claim takes it. Lets claims take the held
 * files of any settled batch again. Gives false when that was done already. Throws RefusedError when there is no such
 * batch, or another file has its key now.
 */
export async function requestRetry(world: Store, batchId: string): Promise<boolean> {
  const batch = await known(world, batchId);
  if (batch.state === "FAILED" && batch.puttingBack) return true;
  const hasHeld = (batch.moves?.held ?? 0) > 0;
  if ((batch.state !== "FAILED" && !hasHeld) || batch.settledAt === undefined)
    throw new RefusedError(
      `batch ${batchId} is ${batch.state}${batch.state === "FAILED" ? ", not settled yet" : ""}: only a failed batch's file can be put back`,
    );
  if (batch.retriedAt !== undefined) return false;
  const manifest = await readManifest(world, batchId);
  if (hasHeld) {
    // The files never left incoming/, so no tick has to put them back.
    const retriedAt = iso(world.clock.now());
    const isOver = batch.state === "ARCHIVED" || batch.moves!.moved === 0;
    const now = isOver ? { retriedAt } : { moves: { ...batch.moves!, held: 0 } };
    if (!(await letGo(world, batch, now, manifest.files))) throw changedMeanwhile(batchId);
    if (isOver) return true;
    return requestRetry(world, batchId);
  }
  for (const { name } of manifest.files) {
    const failed = place("failed", { date: batch.day!, batchId, name });
    if ((await head(world, failed)) && (await head(world, incoming() + name)))
      throw new RefusedError(
        `batch ${batchId}: ${incoming()}${name} holds another file by now; try again when that one is processed`,
      );
  }
  const queued = await queue(world, batch, {
    puttingBack: true,
    settledAt: undefined,
    notPutBack: undefined,
    ...notAbandoned,
  });
  if (queued) world.log({ event: "retryRequested", batch_id: batchId });
  else if (!(await readBatch(world, batchId))?.puttingBack) throw changedMeanwhile(batchId);
  return true;
}

/**
 * Gives a batch up on purpose: the next tick stops its run, removes its rows and moves its files to failed/. A replay
 * ends instead, and files that can't be moved are held. Throws RefusedError when that can't be.
 */
export async function requestAbandon(world: Store, batchId: string): Promise<void> {
  const batch = await abandonable(world, batchId);
  if (batch.abandonedAt !== undefined) return;
  const written = await advance(world, batch, { abandonedAt: iso(world.clock.now()), notAbandoned: undefined });
  if (!written) throw changedMeanwhile(batchId);
  world.log({ event: "abandonRequested", batch_id: batchId });
}

/** A batch that can be abandoned. Throws RefusedError when it can't. */
export async function abandonable(world: Store, batchId: string): Promise<Batch> {
  const batch = await known(world, batchId);
  if (batch.settledAt !== undefined)
    throw new RefusedError(`batch ${batchId} is ${batch.state} and settled: there is nothing to abandon`);
  if (batch.state === "SPLIT") throw new RefusedError(`batch ${batchId} is SPLIT: abandon its halves`);
  if (["CLAIMED", "RUNNING", "RETRY"].includes(batch.state) && !canAbandon(batch))
    throw new RefusedError(
      `batch ${batchId} was transformed, and the metrics may hold its rows: only a successful publish can end it. Correct the cause of its error`,
    );
  return batch;
}

async function known(world: Store, batchId: string): Promise<Batch> {
  const batch = await readBatch(world, batchId);
  if (batch) return batch;
  throw new RefusedError(`the ledger knows no batch ${batchId}`);
}

function changedMeanwhile(batchId: string): RefusedError {
  return new RefusedError(`batch ${batchId} changed meanwhile: try again`);
}
