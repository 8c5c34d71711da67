import { CopyObjectCommand } from "@aws-sdk/client-s3";
import { type Batch, iso, type ManifestFile, type TransformReport } from "./batch";
import { head, readDocument, readManifest, replaceManifest } from "./lake";
import { advance, queue, readBatch, setPause } from "./ledger";
import { move } from "./move";
import { incoming, place } from "./places";
import { isError, type World } from "./world";

/** From now on nothing is claimed or taken up; the batch in flight is still settled. */
export async function pause(world: World): Promise<void> {
  await setPause(world, true);
}

export async function resume(world: World): Promise<void> {
  await setPause(world, false);
}

/**
 * Queues an archived batch to run again from archive/. Throws an error that says why, when it is not archived, or when
 * files that it once read are not in the archive: running without them would take their listens away.
 */
export async function requestReplay(world: World, batchId: string): Promise<void> {
  const batch = await known(world, batchId);
  if (batch.state === "REPLAY") return;
  if (batch.state !== "ARCHIVED")
    throw new Error(`batch ${batchId} is ${batch.state}: only an archived batch runs again`);
  const manifest = await readManifest(world, batchId);
  const report = (await readDocument(world, place("transformReport", { batchId }))) as TransformReport | undefined;
  const notRead = new Set(
    [...(report?.filesQuarantined ?? []), ...(report?.filesChanged ?? [])].map(({ name }) => name),
  );
  const files: ManifestFile[] = [];
  for (const file of manifest.files) {
    const found = await inArchive(world, batch, file);
    if (found) files.push(found);
    else if (!notRead.has(file.name))
      throw new Error(
        `batch ${batchId} can't run again: ${file.name} was read, but is not in the archive (overwritten or deleted meanwhile)`,
      );
  }
  await replaceManifest(world, { ...manifest, files });
  const now = iso(world.clock.now());
  const queued = await queue(world, batch, {
    state: "REPLAY",
    attempt: batch.attempt + 1,
    dueAt: now,
    replay: true,
    startBy: undefined,
    settledAt: undefined,
    nextAttemptAt: undefined,
    files: files.length,
    bytes: files.reduce((total, { size }) => total + size, 0),
  });
  if (queued) world.log({ event: "replayRequested", batch_id: batchId, files: files.length });
  else if (!(await readBatch(world, batchId))?.replay) throw new Error(`batch ${batchId} changed meanwhile: try again`);
}

/** Puts a FAILED batch's file back into incoming/, to be claimed anew. Throws when another file lies there by now. */
export async function retryFailed(world: World, batchId: string): Promise<void> {
  const batch = await known(world, batchId);
  if (batch.state !== "FAILED" || batch.settledAt === undefined)
    throw new Error(
      `batch ${batchId} is ${batch.state}${batch.state === "FAILED" ? ", not settled yet" : ""}: only a failed batch's file can be put back`,
    );
  if (batch.retriedAt !== undefined) return;
  const manifest = await readManifest(world, batchId);
  for (const { name } of manifest.files) {
    const source = place("failed", { date: batch.day!, batchId, name });
    const found = await head(world, source);
    // Put back by an earlier call that was cut short, or never moved because it was overwritten.
    if (found) await putBack(world, { key: source, etag: found.etag, size: found.size }, incoming() + name);
  }
  await advance(world, batch, { retriedAt: iso(world.clock.now()) });
  world.log({ event: "putBack", batch_id: batchId });
}

async function putBack(
  world: World,
  source: { key: string; etag: string; size: number },
  target: string,
): Promise<void> {
  const there = await head(world, target);
  if (there && there.etag !== source.etag) throw occupied(target);
  if (!there && source.size <= world.settings.singleCopyBytes) {
    try {
      const CopySource = `${world.settings.bucket}/${source.key.split("/").map(encodeURIComponent).join("/")}`;
      await world.clients.s3.send(
        new CopyObjectCommand({
          Bucket: world.settings.bucket,
          Key: target,
          CopySource,
          CopySourceIfMatch: source.etag,
          IfNoneMatch: "*",
        }),
      );
    } catch (error) {
      // Something came to the key at this very moment.
      if (isError(error, "PreconditionFailed", 412)) throw occupied(target);
      throw error;
    }
  }
  await move(world, source, target);
}

function occupied(target: string): Error {
  return new Error(`${target} holds another file by now: try again when that one is processed`);
}

/** Where a file of an archived batch lies now, with the ETag it has there (a copy in parts has another). */
async function inArchive(world: World, batch: Batch, file: ManifestFile): Promise<ManifestFile | undefined> {
  const moved = file.key.startsWith(incoming());
  const key = moved ? place("archived", { date: batch.day!, batchId: batch.batchId, name: file.name }) : file.key;
  const found = await head(world, key);
  if (!found) return undefined;
  if (["GLACIER", "DEEP_ARCHIVE"].includes(found.storageClass ?? "") && !found.restored)
    throw new Error(`${key} lies in ${found.storageClass}: restore it first`);
  return { ...file, key, etag: found.etag, size: found.size };
}

async function known(world: World, batchId: string): Promise<Batch> {
  const batch = await readBatch(world, batchId);
  if (batch) return batch;
  throw new Error(`the ledger knows no batch ${batchId}`);
}
