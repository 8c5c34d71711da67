import { amountOf, type Batch, type Ignored, iso, type ManifestFile } from "./batch";
import { newBatchId } from "./batch-id";
import { createManifest, dropManifest, type Found } from "./lake";
import { type Pipeline, readBatch, setListedTo, takeNew } from "./ledger";
import { incoming } from "./places";
import { lookThrough, type Waiting } from "./waiting";
import type { World } from "./world";

export interface Claim {
  /** `lost`: another tick was faster, so read the ledger again. */
  outcome: "claimed" | "nothing" | "lost";
  batch?: Batch;
  ignored: Ignored;
  waiting: { files: number; bytes: number; oldest?: string };
  /** What was listed of incoming/ just before the claim. */
  listed: Waiting;
}

/**
 * Claims the oldest waiting files as one batch. Writes the manifest first, then the ledger and in-flight items
 * together. The listing stops when `timeIsUp`, and the next claim goes on after it.
 */
export async function claim(world: World, pipeline: Pipeline, timeIsUp: () => boolean): Promise<Claim> {
  const { limits } = world.settings;
  // One more than a batch takes: the oldest of those that go on waiting.
  const listing = { keep: limits.maxBatchFiles + 1, after: pipeline.listedTo, timeIsUp };
  const listed = await lookThrough(world, listing);
  const { files, ignored, listedTo } = listed;
  const chosen = choose(files, limits.maxBatchFiles, limits.maxBatchBytes);
  if (chosen.length === 0) {
    if (listedTo !== pipeline.listedTo) await setListedTo(world, pipeline.claims, listedTo);
    return { outcome: "nothing", ignored, waiting: waiting(listed), listed };
  }

  const now = world.clock.now();
  const batchId = newBatchId(now, world.random(5));
  const claimedAt = iso(now);
  const claimed = chosen.map(asClaimed);
  await createManifest(world, { batchId, claimedAt, files: claimed });
  const batch: Batch = {
    batchId,
    state: "CLAIMED",
    version: 1,
    attempt: 1,
    ...amountOf(claimed),
    claimedAt,
    updatedAt: claimedAt,
    dueAt: claimedAt,
    ignored,
  };
  // The count of claims must not have changed since the listing: otherwise the files may be archived by now.
  const won = await takeNew(world, batch, pipeline.claims, listedTo);
  if (!won) {
    // This claim may have won and lost only the reply: then its manifest stays.
    if (!(await readBatch(world, batchId))) await dropManifest(world, batchId);
    return { outcome: "lost", ignored, waiting: waiting(listed), listed };
  }
  return { outcome: "claimed", batch, ignored, waiting: waiting(listed, chosen), listed };
}

/** The first files that fit into a batch, but at least one, however big. */
export function choose<File extends { size: number }>(files: File[], maxFiles: number, maxBytes: number): File[] {
  let bytes = 0;
  const end = files.findIndex((file, index) => {
    bytes += file.size;
    return index >= maxFiles || (index > 0 && bytes > maxBytes);
  });
  return end < 0 ? files : files.slice(0, end);
}

function asClaimed({ key, etag, size, lastModifiedMs }: Found): ManifestFile {
  return { key, name: key.slice(incoming().length), etag, size, lastModified: iso(lastModifiedMs) };
}

function waiting({ files, count, bytes }: Waiting, chosen: Found[] = []): Claim["waiting"] {
  const oldest = files[chosen.length];
  return {
    files: count - chosen.length,
    bytes: bytes - sizeOf(chosen),
    ...(oldest ? { oldest: iso(oldest.lastModifiedMs) } : {}),
  };
}

function sizeOf(files: { size: number }[]): number {
  return files.reduce((total, { size }) => total + size, 0);
}
