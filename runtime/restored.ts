import { type Batch, iso, type Manifest, type PublishReport, type TransformReport } from "./batch";
import { childBatchId } from "./batch-id";
import { hasObjects, head, listAll, readDocument, readManifest } from "./lake";
import { advance, type Changes } from "./ledger";
import { move } from "./move";
import { inParallel } from "./parallel";
import { incoming, place } from "./places";
import { breach, publishTotals, totals } from "./reports";
import { describe, type World } from "./world";

const DAY_MS = 24 * 3600_000;
/** Clocks differ by less (docs/reliability.md). */
const CLOCK_MS = 15 * 60_000;
const CALLS_AT_ONCE = 16;

type Ending = Changes & Pick<Batch, "state">;

/** Where a batch's files lie that it moved itself, or lay until somebody deleted them. */
interface Copies {
  day: string;
  kind: "archived" | "quarantinedFile" | "failed";
}

/**
 * Corrects a batch that is about to start, or to be given up, although its own files are in the archive: somebody
 * restored the ledger to an earlier moment. A run from incoming/ would find no files and remove the batch's listens. So
 * the batch runs as a replay of its archived files; one with files in failed/ is FAILED again, and one that was split
 * is SPLIT again. True if it was such a batch.
 */
export async function correctRestored(world: World, batch: Batch): Promise<boolean> {
  // A replay reads the archive anyway.
  if (batch.replay) return false;
  const { batchId, state } = batch;
  const changes = await changesOf(world, batch);
  if (!changes) return false;
  const common = { startBy: undefined, nextAttemptAt: undefined, dueAt: iso(world.clock.now()) };
  if (await advance(world, batch, { ...changes, ...common }))
    world.log({
      level: "ERROR",
      event: "ledgerRestored",
      batch_id: batchId,
      state,
      day: changes.day,
      as: changes.state,
    });
  return true;
}

/**
 * Has a processed batch run again when a later attempt than its run has begun: the ledger was restored to a moment
 * before that attempt, which may have replaced rows. True if it was so.
 */
export async function rerunOvertaken(world: World, batch: Batch): Promise<boolean> {
  const { batchId, workflowRunId, state, attempt } = batch;
  const reading = await readDocument(world, place("readingMarker", { batchId }));
  if (reading === undefined || reading.workflowRunId === workflowRunId) return false;
  const now = iso(world.clock.now());
  const again = { state: "RETRY" as const, attempt: attempt + 1, prepared: undefined, stuck: undefined };
  if (await advance(world, batch, { ...again, lease: undefined, dueAt: now, nextAttemptAt: now }))
    world.log({ level: "ERROR", event: "ledgerRestored", batch_id: batchId, state, as: again.state });
  return true;
}

/** The changes that bring back what the ledger has forgotten; undefined when there is nothing. */
async function changesOf(world: World, batch: Batch): Promise<Ending | undefined> {
  if (await wasSplit(world, batch)) return splitAgain(world, batch);
  const copies = await ownCopies(world, batch);
  if (copies) return copies.kind === "failed" ? failedAgain(copies) : replayed(world, batch, copies);
  const report = await readDocument(world, place("transformReport", { batchId: batch.batchId }));
  if (!report) return undefined;
  const lost = await lostCopies(world, batch, report);
  if (lost) return replayed(world, batch, lost);
  // The metrics may hold its rows: it must not be given up.
  return batch.transformed ? undefined : { state: batch.state, transformed: true };
}

/** Whether the batch has halves: their manifests are written only after the ledger has it as SPLIT. */
async function wasSplit(world: World, { batchId, files }: Batch): Promise<boolean> {
  if (files < 2) return false;
  return (await head(world, place("manifest", { batchId: childBatchId(batchId, 1) }))) !== undefined;
}

/** Each half processes its own files, so the whole must not. */
function splitAgain(world: World, batch: Batch): Ending {
  const error = "the ledger was restored to an earlier moment; the batch was split before";
  return { state: "SPLIT", day: batch.day ?? iso(world.clock.now()).slice(0, 10), error, errorJob: undefined };
}

/** The batch's own files in a dated folder, from the day of its claim until today. */
async function ownCopies(world: World, { batchId, claimedAt }: Pick<Batch, "batchId" | "claimedAt">) {
  const days: string[] = [];
  const firstMs = Date.parse(`${claimedAt.slice(0, 10)}T00:00:00Z`);
  for (let ms = firstMs; ms <= world.clock.now() + CLOCK_MS; ms += DAY_MS) days.push(iso(ms).slice(0, 10));
  const places = (["archived", "quarantinedFile", "failed"] as const).flatMap((kind) =>
    days.map((day): Copies => ({ kind, day })),
  );
  const found = await inParallel(places, CALLS_AT_ONCE, ({ kind, day }) =>
    hasObjects(world, place(kind, { date: day, batchId, name: "" })),
  );
  return places.find((_, index) => found[index]);
}

/**
 * Where the files of a batch were archived that are gone from there too. A run of the batch succeeded by both reports,
 * and a file that it read is no longer in incoming/: another run would remove the file's listens. The replay ends at
 * once for want of the file, and the batch stays archived.
 */
async function lostCopies(
  world: World,
  { batchId, day, claimedAt }: Batch,
  report: Record<string, unknown>,
): Promise<Copies | undefined> {
  const publish = await readDocument(world, place("publishReport", { batchId }));
  if (!publish) return undefined;
  const reading = await readDocument(world, place("readingMarker", { batchId }));
  // A later attempt has begun: it may have replaced a part of the rows.
  if (reading?.workflowRunId !== publish.workflowRunId) return undefined;
  const manifest = await readManifest(world, batchId);
  if (breach(manifest, String(publish.workflowRunId), report, publish)) return undefined;
  const names = new Set((report as unknown as TransformReport).files.map(({ name }) => name));
  const read = manifest.files.filter(({ name }) => names.has(name));
  const found = await inParallel(read, CALLS_AT_ONCE, ({ key }) => head(world, key));
  if (read.every(({ etag }, index) => found[index]?.etag === etag)) return undefined;
  // Without copies nobody knows the day of the folders; most batches end on the day of their publish.
  return { kind: "archived", day: day ?? String(publish.finishedAt ?? claimedAt).slice(0, 10) };
}

function failedAgain({ day }: Copies): Ending {
  const error = "the ledger was restored to an earlier moment; the batch had failed before";
  return { state: "FAILED", day, error, errorJob: undefined };
}

async function replayed(world: World, batch: Batch, { day }: Copies): Promise<Ending> {
  const { batchId } = batch;
  const below = (kind: Copies["kind"]) => listAll(world, place(kind, { date: day, batchId, name: "" }));
  const [manifest, report, publish, archived, quarantined] = await Promise.all([
    readManifest(world, batchId),
    readDocument(world, place("transformReport", { batchId })) as Promise<TransformReport | undefined>,
    readDocument(world, place("publishReport", { batchId })),
    below("archived"),
    below("quarantinedFile"),
  ]);
  await finishMoves(world, manifest, day, new Set([...archived, ...quarantined].map(({ key }) => key)));
  const publishReport: PublishReport | undefined = publish && publishTotals(publish);
  const claimed = manifest.files.length + (manifest.notReplayed?.length ?? 0);
  const moves = { moved: archived.length, quarantined: quarantined.length };
  const others = Math.max(0, claimed - moves.moved - moves.quarantined);
  const rest = others === claimed ? { left: 0, missing: others } : { left: others, missing: 0 };
  return {
    state: "REPLAY",
    replay: true,
    prepared: undefined,
    transformed: true,
    attempt: batch.attempt + 1,
    day,
    moves: { ...moves, ...rest },
    failures: undefined,
    dataFailures: undefined,
    error: undefined,
    errorJob: undefined,
    ...(report ? { report: totals(report) } : {}),
    ...(publishReport ? { publishReport, workflowRunId: publishReport.workflowRunId } : {}),
  };
}

/** Ends moves that were cut short after their copy: the next claim would take the source, and archive it again. */
async function finishMoves(world: World, manifest: Manifest, day: string, copied: Set<string>): Promise<void> {
  await inParallel(manifest.files, CALLS_AT_ONCE, async (file) => {
    const { name } = file;
    const targets = (["archived", "quarantinedFile"] as const).map((kind) =>
      place(kind, { date: day, batchId: manifest.batchId, name }),
    );
    const target = targets.find((key) => copied.has(key));
    if (!file.key.startsWith(incoming()) || target === undefined) return;
    await move(world, file, target).catch((error) =>
      // A file that stays is claimed again: its listens are known, and don't count twice.
      world.log({
        level: "WARN",
        event: "fileNotMoved",
        batch_id: manifest.batchId,
        key: file.key,
        error: describe(error),
      }),
    );
  });
}
