import { type Batch, iso, type Manifest, type ManifestFile, type TransformReport } from "./batch";
import type { Ended } from "./endings";
import { head, isCold, readDocument, readManifest, replaceManifest } from "./lake";
import { advance, type Changes, release } from "./ledger";
import { inParallel } from "./parallel";
import { incoming, place } from "./places";
import type { Store, World } from "./world";

const HEADS_AT_ONCE = 16;

/** The manifest of a replay, or the reason why the batch can't be replayed. */
export type ReplayPlan = { manifest: Manifest } | { problem: string };

/**
 * Finds an archived batch's files in the archive. Skips files that no run read (quarantined and changed files). A file
 * that was read and is gone, or has other bytes now, is a problem: a replay without it would remove its listens.
 */
export async function planReplay(world: Store, batch: Batch): Promise<ReplayPlan> {
  const { batchId } = batch;
  const manifest = await readManifest(world, batchId);
  const report = (await readDocument(world, place("transformReport", { batchId }))) as TransformReport | undefined;
  const notRead = new Set(
    [...(report?.filesQuarantined ?? []), ...(report?.filesChanged ?? [])].map(({ name }) => name),
  );
  const found = await inParallel(manifest.files, HEADS_AT_ONCE, (file) => inArchive(world, batch, file));
  const files: ManifestFile[] = [];
  const notReplayed = [...(manifest.notReplayed ?? [])];
  for (const [index, file] of manifest.files.entries()) {
    const archived = found[index];
    if (archived?.cold)
      return { problem: `${archived.file.key} is in storage class ${archived.cold}: restore it first` };
    if (archived?.isOther)
      return { problem: `${archived.file.key} has other bytes than were read: restore it from the bucket's versions` };
    if (archived) files.push(archived.file);
    else if (notRead.has(file.name)) notReplayed.push(file);
    else return { problem: `${file.name} was read, but is not in the archive (overwritten or deleted since)` };
  }
  if (files.length === 0) return { problem: "none of its files was ever read" };
  return { manifest: { ...manifest, files, ...(notReplayed.length > 0 ? { notReplayed } : {}) } };
}

/** What a person asked for earlier does not hold for a new request. */
export const notAbandoned = { abandonedAt: undefined, notAbandoned: undefined };

/** The changes of an archived batch that is to run again. */
export function requested(world: Store, batch: Batch): Changes {
  return {
    state: "REPLAY",
    attempt: batch.attempt + 1,
    dueAt: iso(world.clock.now()),
    replay: true,
    prepared: undefined,
    notReplayed: undefined,
    startBy: undefined,
    settledAt: undefined,
    nextAttemptAt: undefined,
    ...notAbandoned,
  };
}

/**
 * Points a replay's manifest at the archive, before each attempt. An impossible replay ends, and the batch stays as it
 * was. If an attempt has replaced rows, it can't stay so: then attempts go on until someone restores the file.
 */
export async function prepareReplay(world: World, batch: Batch): Promise<Ended> {
  const plan = await planReplay(world, batch);
  const version = (await head(world, place("touched", { batchId: batch.batchId })))?.version ?? "none";
  const isFirst = batch.state === "REPLAY";
  const before = isFirst ? await rowsBefore(world, batch, version) : batch.beforeReplay;
  if ("problem" in plan) {
    if (before?.touched === version) {
      await endReplay(world, batch, plan.problem);
      return "again";
    }
    world.log({ level: "ERROR", event: "replayIncomplete", batch_id: batch.batchId, why: plan.problem });
    await advance(world, batch, { prepared: true, beforeReplay: before });
    return "again";
  }
  const { files } = plan.manifest;
  await replaceManifest(world, plan.manifest);
  await advance(world, batch, {
    prepared: true,
    files: files.length,
    bytes: files.reduce((total, { size }) => total + size, 0),
    beforeReplay: before,
  });
  return "again";
}

/** The state to which a replay may return. None is safe when a restored ledger forgot an attempt that replaced rows. */
async function rowsBefore(world: World, { batchId, files, bytes }: Batch, version: string) {
  const [reading, publish] = await Promise.all([
    readDocument(world, place("readingMarker", { batchId })),
    readDocument(world, place("publishReport", { batchId })),
  ]);
  const isWhole = reading?.workflowRunId === publish?.workflowRunId;
  return { files, bytes, touched: isWhole ? version : "another attempt began" };
}

/** Ends a replay without a successful run. False when the batch had changed. */
export async function endReplay(world: World, batch: Batch, why: string): Promise<boolean> {
  const { files, bytes } = batch.beforeReplay ?? batch;
  const ended = await release(world, batch, {
    state: "ARCHIVED",
    settledAt: iso(world.clock.now()),
    files,
    bytes,
    ...afterReplay,
    // The run before the replay, whose reports the ledger has.
    workflowRunId: batch.publishReport?.workflowRunId ?? batch.workflowRunId,
    notReplayed: why,
  });
  if (ended) world.log({ level: "ERROR", event: "notReplayed", batch_id: batch.batchId, why });
  return ended;
}

/** The attributes that only a batch at work has, above all a replay. */
export const afterReplay = {
  replay: undefined,
  wasLost: undefined,
  prepared: undefined,
  beforeReplay: undefined,
  startBy: undefined,
  nextAttemptAt: undefined,
  failures: undefined,
  dataFailures: undefined,
  error: undefined,
  errorJob: undefined,
};

/** A file of an archived batch with its key and ETag in the archive (a multipart copy has another ETag). */
async function inArchive(
  world: Store,
  batch: Batch,
  file: ManifestFile,
): Promise<{ file: ManifestFile; cold?: string; isOther: boolean } | undefined> {
  const moved = file.key.startsWith(incoming());
  const key = moved ? place("archived", { date: batch.day!, batchId: batch.batchId, name: file.name }) : file.key;
  const found = await head(world, key);
  if (!found) return undefined;
  const cold = isCold(found.storageClass) && !found.restored ? { cold: found.storageClass! } : {};
  // An SSE-KMS object's archived copy has a different ETag.
  const isLater = found.lastModifiedMs > Date.parse(batch.settledAt ?? batch.dueAt);
  const hasOtherEtag = found.isPlain && !file.etag.includes("-") && found.etag !== file.etag;
  const isOther = found.size !== file.size || (isLater && hasOtherEtag);
  return { file: { ...file, key, etag: found.etag, size: found.size }, ...cold, isOther };
}
