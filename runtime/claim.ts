import { amountOf, type Batch, type Ignored, iso, type ManifestFile } from "./batch";
import { newBatchId } from "./batch-id";
import { createManifest, dropManifest, type Found } from "./lake";
import { type Pipeline, readBatch, setListedTo, takeNew } from "./ledger";
import { incoming } from "./places";
import { lookThrough, type Waiting } from "./waiting";
import type { World } from "./world";

/** So many files within so long are an upload in progress: they had better be one batch. */
const UPLOAD_FILES = 100;
const UPLOAD_MS = 10_000;
const LOOK_AGAIN_MS = 5000;
/** A producer that never stops is not waited for. */
const LONGEST_WAIT_MS = 60_000;

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
 * Claims the oldest waiting files as one batch, once an upload in progress has calmed down. Writes the manifest first,
 * then the ledger and in-flight items together. The listing stops when `timeIsUp`, and the next claim goes on after it.
 */
export async function claim(world: World, pipeline: Pipeline, timeIsUp: () => boolean): Promise<Claim> {
  const { limits } = world.settings;
  // One more than a batch takes: the oldest of those that go on waiting.
  const listing = { keep: limits.maxBatchFiles + 1, after: pipeline.listedTo, timeIsUp };
  const chooseOf = ({ files }: Waiting) => choose(files, limits.maxBatchFiles, limits.maxBatchBytes);
  const listed = await afterUpload(world, timeIsUp, () => lookThrough(world, listing), chooseOf);
  const { ignored, listedTo } = listed;
  const chosen = chooseOf(listed);
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

/** Lists until an upload in progress calms down, its files fill a batch, or the time is up. Gives the last listing. */
async function afterUpload(
  world: World,
  timeIsUp: () => boolean,
  look: () => Promise<Waiting>,
  chooseOf: (listed: Waiting) => Found[],
): Promise<Waiting> {
  const untilMs = world.clock.now() + LONGEST_WAIT_MS;
  for (let before = -1; ; ) {
    const listed = await look();
    const { files, count, listedTo } = listed;
    const recentMs = world.clock.now() - UPLOAD_MS;
    const isUpload = files.filter(({ lastModifiedMs }) => lastModifiedMs > recentMs).length >= UPLOAD_FILES;
    const isFull = chooseOf(listed).length < count;
    if (!isUpload || isFull || count === before || listedTo !== undefined) return listed;
    if (timeIsUp() || world.clock.now() + LOOK_AGAIN_MS > untilMs) return listed;
    before = count;
    await world.clock.sleep(LOOK_AGAIN_MS);
  }
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
