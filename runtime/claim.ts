import { type Batch, type Ignored, iso, type ManifestFile } from "./batch";
import { newBatchId } from "./batch-id";
import { createManifest, dropManifest, type Found, listAll } from "./lake";
import { type Pipeline, readBatch, readHeld, takeNew } from "./ledger";
import { incoming } from "./places";
import type { Store, World } from "./world";

/** The files that wait in incoming/, oldest first, and the objects that a claim skips. */
export interface Waiting {
  files: Found[];
  /** CSVs that someone must restore before they can be read. */
  cold: Found[];
  ignored: Ignored;
}

export interface Claim {
  /** `lost`: another tick was faster, so read the ledger again. */
  outcome: "claimed" | "nothing" | "lost";
  batch?: Batch;
  ignored: Ignored;
  waiting: { files: number; bytes: number; oldest?: string };
  /** The content of incoming/ just before the claim. */
  listed: Waiting;
}

/** Lists incoming/, without the files that no claim takes. */
export async function lookThrough(world: Store): Promise<Waiting> {
  const { files, cold, ignored } = sift(await listAll(world, incoming()));
  if (files.length === 0) return { files, cold, ignored };
  const held = await readHeld(world);
  const free = files.filter(({ key, etag }) => held.get(key) !== etag);
  const count = files.length - free.length;
  return { files: free, cold, ignored: { ...ignored, ...(count > 0 ? { held: count } : {}) } };
}

/**
 * Claims the oldest waiting files as one batch. Writes the manifest first, then the ledger and in-flight items
 * together.
 */
export async function claim(world: World, pipeline: Pipeline): Promise<Claim> {
  const { limits } = world.settings;
  const listed = await lookThrough(world);
  const { files, ignored } = listed;
  const chosen = choose(files, limits.maxBatchFiles, limits.maxBatchBytes);
  if (chosen.length === 0) return { outcome: "nothing", ignored, waiting: waiting([]), listed };

  const now = world.clock.now();
  const batchId = newBatchId(now, world.random(5));
  const claimedAt = iso(now);
  await createManifest(world, { batchId, claimedAt, files: chosen.map(asClaimed) });
  const batch: Batch = {
    batchId,
    state: "CLAIMED",
    version: 1,
    attempt: 1,
    files: chosen.length,
    bytes: sizeOf(chosen),
    claimedAt,
    updatedAt: claimedAt,
    dueAt: claimedAt,
    ignored,
  };
  // The count of claims must not have changed since the listing: otherwise the files may be archived by now.
  const won = await takeNew(world, batch, pipeline.claims);
  if (!won) {
    // This claim may have won and lost only the reply: then its manifest stays.
    if (!(await readBatch(world, batchId))) await dropManifest(world, batchId);
    return { outcome: "lost", ignored, waiting: waiting(files), listed };
  }
  return { outcome: "claimed", batch, ignored, waiting: waiting(files.slice(chosen.length)), listed };
}

/**
 * Separates CSVs from folder markers and other keys. Oldest first; files of the same age by the bytes of their keys.
 */
export function sift(found: Found[]): Waiting {
  const ignored: Ignored = { folders: 0, notCsv: 0 };
  const files: Found[] = [];
  const cold: Found[] = [];
  for (const object of found) {
    if (object.key.endsWith("/")) ignored.folders++;
    else if (!/\.csv(\.gz)?$/i.test(object.key)) ignored.notCsv++;
    else if (object.cold) cold.push(object);
    else files.push(object);
  }
  if (cold.length > 0) ignored.cold = cold.length;
  return { files: files.sort(byAge), cold: cold.sort(byAge), ignored };
}

function byAge(one: Found, other: Found): number {
  return one.lastModifiedMs - other.lastModifiedMs || Buffer.compare(Buffer.from(one.key), Buffer.from(other.key));
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

function waiting(files: Found[]): Claim["waiting"] {
  const oldest = files[0];
  return { files: files.length, bytes: sizeOf(files), ...(oldest ? { oldest: iso(oldest.lastModifiedMs) } : {}) };
}

function sizeOf(files: { size: number }[]): number {
  return files.reduce((total, { size }) => total + size, 0);
}
