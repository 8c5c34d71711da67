import type { Batch, Manifest, ManifestFile } from "./batch";
import { readDocument } from "./lake";
import { ledgerPages, queue } from "./ledger";
import type { Moving } from "./move-files";
import { inParallel } from "./parallel";
import { place } from "./places";
import { planReplay, requested } from "./replay";
import type { World } from "./world";

const READS_AT_ONCE = 16;

/**
 * Queues replays of the batches that took files of a batch that the ledger had lost. They counted its rows as known,
 * and its own run has removed the rows of files that it did not find.
 */
export async function replayTakers(world: World, batch: Batch, { files, outcomes }: Moving): Promise<void> {
  const gone = files.filter((_, index) => outcomes[index] === "left" || outcomes[index] === "missing");
  if (!batch.wasLost || gone.length === 0) return;
  for (const taker of await takers(world, batch, gone)) {
    const plan = await planReplay(world, taker);
    const isQueued = !("problem" in plan) && (await queue(world, taker, requested(world, taker)));
    world.log({
      level: isQueued ? "WARN" : "ERROR",
      event: isQueued ? "takerQueued" : "takerNotQueued",
      batch_id: taker.batchId,
      taken_from: batch.batchId,
      ...("problem" in plan ? { why: plan.problem } : {}),
    });
  }
}

/** Archived batches that ended after the claim of this one, and have a file of it. */
async function takers(world: World, { batchId, claimedAt }: Batch, gone: ManifestFile[]): Promise<Batch[]> {
  const versions = new Set(gone.map(versionOf));
  const found: Batch[] = [];
  for await (const items of ledgerPages(world, "BATCH")) {
    const later = (items as unknown as Batch[]).filter(
      (one) => one.state === "ARCHIVED" && one.batchId !== batchId && (one.settledAt ?? "") >= claimedAt,
    );
    const took = await inParallel(later, READS_AT_ONCE, async (one) => {
      const manifest = (await readDocument(world, place("manifest", { batchId: one.batchId }))) as Manifest | undefined;
      return manifest?.files.some((file) => versions.has(versionOf(file))) ?? false;
    });
    found.push(...later.filter((_, index) => took[index]));
  }
  return found;
}

/** A name and the version of its bytes. A copy in the archive may have another ETag, so the size must do there. */
function versionOf({ name, size }: { name: string; size: number }): string {
  return `${size} ${name}`;
}
