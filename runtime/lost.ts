import { type Batch, iso, type Manifest } from "./batch";
import { head, listPages, readDocument } from "./lake";
import { hasTurn, readBatch } from "./ledger";
import { inParallel } from "./parallel";
import { folderOf, place } from "./places";
import { ownCopies } from "./restored";
import type { Store } from "./world";

const CALLS_AT_ONCE = 16;

/** A batch that a restored ledger has lost, with the item that puts it back to work. */
export interface LostBatch {
  batch: Batch;
  /** Whether the ledger has an item of it. */
  isKnown: boolean;
  /** Batches that took its files since. They counted its listens as duplicates, so they must run again after it. */
  takenBy: string[];
}

/** The batch, if a restored ledger has lost it: unknown although it has a manifest, or unsettled without a turn. */
export async function lostBatch(world: Store, batchId: string): Promise<LostBatch | undefined> {
  const known = await readBatch(world, batchId);
  if (known && (known.settledAt !== undefined || (await hasTurn(world, batchId)))) return undefined;
  const manifest = await readManifestOf(world, batchId);
  if (!manifest) return undefined;
  const now = iso(world.clock.now());
  const batch: Batch = known ?? {
    batchId,
    state: "CLAIMED",
    version: 1,
    attempt: 1,
    files: manifest.files.length,
    bytes: manifest.files.reduce((total, { size }) => total + size, 0),
    claimedAt: manifest.claimedAt,
    updatedAt: now,
    dueAt: now,
    ...(manifest.parent === undefined ? {} : { parent: manifest.parent }),
  };
  return { batch, isKnown: known !== undefined, takenBy: await takers(world, batch, manifest) };
}

/** Later batches with the batch's files, if it has no copies of its own and its files are gone. */
async function takers(world: Store, batch: Batch, { files }: Manifest): Promise<string[]> {
  if (batch.replay || (await ownCopies(world, batch))) return [];
  const found = await inParallel(files, CALLS_AT_ONCE, ({ key }) => head(world, key));
  const gone = new Set(files.filter(({ etag }, index) => found[index]?.etag !== etag).map(versionOf));
  if (gone.size === 0) return [];
  const root = folderOf("manifest");
  const later = new Set<string>();
  for await (const page of listPages(world, root, `${root}${batch.batchId}/~`))
    for (const { key } of page.found) later.add(key.slice(root.length).split("/")[0]!);
  const ids = [...later];
  const manifests = await inParallel(ids, CALLS_AT_ONCE, (id) => readManifestOf(world, id));
  const took = ids.filter((_, index) =>
    [...(manifests[index]?.files ?? []), ...(manifests[index]?.notReplayed ?? [])].some((file) =>
      gone.has(versionOf(file)),
    ),
  );
  // The whole batch of a split one never has rows of its own.
  const states = await inParallel(took, CALLS_AT_ONCE, async (id) => (await readBatch(world, id))?.state);
  return took.filter((_, index) => states[index] !== undefined && !["SPLIT", "FAILED"].includes(states[index]!));
}

async function readManifestOf(world: Store, batchId: string): Promise<Manifest | undefined> {
  return (await readDocument(world, place("manifest", { batchId }))) as Manifest | undefined;
}

/** A name and the version of its bytes. A copy in the archive may have another ETag, so the size must do there. */
function versionOf({ name, size }: { name: string; size: number }): string {
  return `${size} ${name}`;
}
