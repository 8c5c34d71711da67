import { amountOf, type Batch, iso, type Manifest } from "./batch";
import { readDocument } from "./lake";
import { hasTurn, readBatch } from "./ledger";
import { place } from "./places";
import type { Store } from "./world";

/** A batch that a restored ledger has lost, with the item that puts it back to work. */
export interface LostBatch {
  batch: Batch;
  /** Whether the ledger has an item of it. */
  isKnown: boolean;
}

/** The batch, if a restored ledger has lost it: unknown although it has a manifest, or unsettled without a turn. */
export async function lostBatch(world: Store, batchId: string): Promise<LostBatch | undefined> {
  const known = await readBatch(world, batchId);
  if (known && (known.settledAt !== undefined || (await hasTurn(world, batchId)))) return undefined;
  const manifest = (await readDocument(world, place("manifest", { batchId }))) as Manifest | undefined;
  if (!manifest) return undefined;
  const now = iso(world.clock.now());
  const batch: Batch = known ?? {
    batchId,
    state: "CLAIMED",
    version: 1,
    attempt: 1,
    ...amountOf(manifest.files),
    claimedAt: manifest.claimedAt,
    updatedAt: now,
    dueAt: now,
    ...(manifest.parent === undefined ? {} : { parent: manifest.parent }),
  };
  return { batch: { ...batch, wasLost: true }, isKnown: known !== undefined };
}
