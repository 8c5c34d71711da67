import { amountOf, type Batch, iso, type Manifest, type Moves, type TransformReport } from "./batch";
import { childBatchId } from "./batch-id";
import { createManifest, deleteAll, head, readDocument, readManifest } from "./lake";
import { readBatch, release } from "./ledger";
import { copy, deleteVersion, type Source } from "./move";
import { MOVES_AT_ONCE, moveFiles, settleMoves } from "./move-files";
import { inParallel } from "./parallel";
import { incoming, place } from "./places";
import { afterReplay } from "./replay";
import { rerunOvertaken } from "./restored";
import { replayTakers } from "./takers";
import { isError, type World } from "./world";

/** `again`: read the ledger again. `unfinished`: the time ran out; the next tick goes on. */
export type Ended = "again" | "unfinished";

/** Moves a processed batch's files out of incoming/ and ends the batch. A replay's files are in the archive already. */
export async function archive(world: World, batch: Batch, timeIsUp: () => boolean): Promise<Ended> {
  if (await rerunOvertaken(world, batch)) return "again";
  const manifest = await readManifest(world, batch.batchId);
  const report = await readDocument(world, place("transformReport", { batchId: batch.batchId }));
  const { filesQuarantined, filesChanged } = (report ?? {}) as Partial<TransformReport>;
  // Without the report's lists, quarantined and changed files would be archived as if they had been read.
  if (!filesQuarantined || !filesChanged)
    throw new Error(
      `${place("transformReport", { batchId: batch.batchId })} is missing: restore it from the bucket's versions`,
    );
  const quarantined = new Set(filesQuarantined.map(({ name }) => name));
  const changed = new Set(filesChanged.map(({ name }) => name));
  const moves: Moves = { moved: 0, quarantined: 0, left: 0, missing: 0 };

  const moving = await moveFiles(world, manifest, timeIsUp, ({ key, name }) => {
    if (!key.startsWith(incoming())) return undefined;
    if (changed.has(name)) return "left";
    const kind = quarantined.has(name) ? "quarantinedFile" : "archived";
    return { target: place(kind, { date: batch.day!, batchId: batch.batchId, name }) };
  });
  if (!moving) return "unfinished";
  moving.outcomes.forEach((outcome, index) => {
    if (outcome === "moved" && quarantined.has(manifest.files[index]!.name)) moves.quarantined++;
    else if (outcome) moves[outcome]++;
  });
  await replayTakers(world, batch, moving);
  const now = iso(world.clock.now());
  const done = await settleMoves(world, batch, moving, moves, (all) => ({
    state: "ARCHIVED",
    settledAt: now,
    // A replay moves no files: the counts of the first time stay.
    moves: batch.replay ? batch.moves : all,
    ...afterReplay,
  }));
  if (done) {
    const since = (moment: string) => Math.max(0, Date.parse(now) - Date.parse(moment)) / 1000;
    world.log({
      event: "archived",
      batch_id: batch.batchId,
      ...moves,
      report: batch.report,
      // The last write of the batch recorded the success of its run.
      archive_seconds: since(batch.stuck?.since ?? batch.updatedAt),
      // A replay's claim lies far back.
      ...(batch.replay ? {} : { batch_seconds: since(batch.claimedAt) }),
    });
  }
  return "again";
}

/** Removes a FAILED batch's output, moves its file to failed/, and ends the batch. */
export async function isolate(world: World, batch: Batch, timeIsUp: () => boolean): Promise<Ended> {
  const manifest = await readManifest(world, batch.batchId);
  await removeOutput(world, batch);
  const moves: Moves = { moved: 0, quarantined: 0, left: 0, missing: 0 };
  const moving = await moveFiles(world, manifest, timeIsUp, ({ name }) => ({
    target: place("failed", { date: batch.day!, batchId: batch.batchId, name }),
  }));
  if (!moving) return "unfinished";
  for (const outcome of moving.outcomes) if (outcome) moves[outcome]++;
  await replayTakers(world, batch, moving);
  const settledAt = iso(world.clock.now());
  if (await settleMoves(world, batch, moving, moves, (all) => ({ settledAt, moves: all, wasLost: undefined })))
    world.log({ level: "ERROR", event: "batchFailed", batch_id: batch.batchId, error: batch.error, ...moves });
  return "again";
}

/**
 * Puts a FAILED batch's file back into incoming/, where the next claim takes it, and ends the batch again. Never
 * replaces another file at that key: then this one stays in failed/.
 */
export async function putBack(world: World, batch: Batch): Promise<Ended> {
  const { batchId } = batch;
  const manifest = await readManifest(world, batchId);
  let notPutBack = batch.abandonedAt === undefined ? undefined : "a person abandoned the request";
  for (const { name } of notPutBack ? [] : manifest.files) {
    const key = place("failed", { date: batch.day!, batchId, name });
    const found = await head(world, key);
    // An earlier try put it back before it was cut short, or the file changed and was never moved.
    if (!found) continue;
    const source = { key, etag: found.etag, size: found.size };
    const target = incoming() + name;
    if (await putAt(world, source, target, batchId)) await deleteVersion(world, source);
    else notPutBack = `${target} holds another file`;
  }
  const now = iso(world.clock.now());
  const end = notPutBack === undefined ? { retriedAt: now } : { notPutBack };
  if (await release(world, batch, { puttingBack: undefined, settledAt: now, ...end }))
    world.log({ event: notPutBack === undefined ? "putBack" : "notPutBack", batch_id: batchId, why: notPutBack });
  return "again";
}

/**
 * Copies a file to `target` unless another file is there (gives false then). An earlier try's own copy counts as done.
 */
async function putAt(world: World, source: Source, target: string, mark: string): Promise<boolean> {
  const there = await head(world, target);
  if (there) return there.mark === mark;
  try {
    await copy(world, source, target, mark);
    return true;
  } catch (error) {
    // Another file arrived in this moment, or the SDK repeated our own request.
    if (!isError(error, "PreconditionFailed", 412)) throw error;
    return (await head(world, target))?.mark === mark;
  }
}

/** Removes a SPLIT batch's output, and queues each half of its files as a batch of its own. */
export async function divide(world: World, batch: Batch): Promise<Ended> {
  const manifest = await readManifest(world, batch.batchId);
  await removeOutput(world, batch);
  const halves = halvesOf(manifest);
  for (const half of halves) await createManifest(world, half);
  const now = iso(world.clock.now());
  const items = halves.map(
    (half): Batch => ({
      batchId: half.batchId,
      state: "CLAIMED",
      version: 1,
      attempt: 1,
      ...amountOf(half.files),
      claimedAt: half.claimedAt,
      updatedAt: now,
      dueAt: now,
      parent: batch.batchId,
      ...(batch.wasLost ? { wasLost: true } : {}),
    }),
  );
  const children = items.map(({ batchId }) => batchId);
  // The ledger has the halves already if the whole's item was restored to an earlier moment.
  const known = await Promise.all(children.map((child) => readBatch(world, child)));
  const unknown = items.filter((_, index) => known[index] === undefined);
  if (await release(world, batch, { settledAt: now, children, wasLost: undefined }, unknown))
    world.log({ level: "WARN", event: "batchSplit", batch_id: batch.batchId, children, error: batch.error });
  return "again";
}

/** The manifests of a batch's halves. They keep the batch's time of claim, so that the same rows stay in range. */
function halvesOf(manifest: Manifest): Manifest[] {
  const middle = Math.ceil(manifest.files.length / 2);
  return [manifest.files.slice(0, middle), manifest.files.slice(middle)].map((files, index) => ({
    batchId: childBatchId(manifest.batchId, index + 1),
    claimedAt: manifest.claimedAt,
    parent: manifest.batchId,
    files,
  }));
}

/** Removes all output of a batch from curated/, quarantine/rows/ and temporary/. touched.json names its days. */
async function removeOutput(world: World, { batchId }: Batch): Promise<void> {
  const touched = await readDocument(world, place("touched", { batchId }));
  const days = Array.isArray(touched?.days) ? touched.days.map(String) : [];
  await inParallel(days, MOVES_AT_ONCE, (date) => deleteAll(world, place("listensBatch", { date, batchId })));
  await deleteAll(world, place("quarantinedRows", { batchId }));
  await deleteAll(world, place("staged", { batchId }));
}
