import { type Batch, iso, type PublishReport, type TransformReport } from "./batch";
import { hasObjects, listAll, readDocument, readManifest } from "./lake";
import { advance, type Changes } from "./ledger";
import { inParallel } from "./parallel";
import { place } from "./places";
import { publishTotals, totals } from "./reports";
import type { Store, World } from "./world";

const DAY_MS = 24 * 3600_000;
/** Clocks differ by less (docs/reliability.md). */
const CLOCK_MS = 15 * 60_000;
const LISTS_AT_ONCE = 16;

/** Where a batch's files lie that it moved itself. */
interface Copies {
  day: string;
  kind: "archived" | "quarantinedFile" | "failed";
}

/**
 * Corrects a batch that is about to start, or to be given up, although its own files are in the archive: somebody
 * restored the ledger to an earlier moment. A run from incoming/ would find no files and remove the batch's listens. So
 * the batch runs as a replay of its archived files; one with files in failed/ is FAILED again. True if it was such a
 * batch.
 */
export async function correctRestored(world: World, batch: Batch): Promise<boolean> {
  // A replay reads the archive anyway.
  if (batch.replay) return false;
  const copies = await ownCopies(world, batch);
  if (!copies) return false;
  const { batchId, state } = batch;
  const changes = copies.kind === "failed" ? failedAgain(copies) : await replayed(world, batch, copies);
  const common = { startBy: undefined, nextAttemptAt: undefined, dueAt: iso(world.clock.now()) };
  if (await advance(world, batch, { ...changes, ...common }))
    world.log({
      level: "ERROR",
      event: "ledgerRestored",
      batch_id: batchId,
      state,
      day: copies.day,
      as: changes.state,
    });
  return true;
}

/** The batch's own files in a dated folder, from the day of its claim until today. */
export async function ownCopies(world: Store, { batchId, claimedAt }: Pick<Batch, "batchId" | "claimedAt">) {
  const days: string[] = [];
  const firstMs = Date.parse(`${claimedAt.slice(0, 10)}T00:00:00Z`);
  for (let ms = firstMs; ms <= world.clock.now() + CLOCK_MS; ms += DAY_MS) days.push(iso(ms).slice(0, 10));
  const places = (["archived", "quarantinedFile", "failed"] as const).flatMap((kind) =>
    days.map((day): Copies => ({ kind, day })),
  );
  const found = await inParallel(places, LISTS_AT_ONCE, ({ kind, day }) =>
    hasObjects(world, place(kind, { date: day, batchId, name: "" })),
  );
  return places.find((_, index) => found[index]);
}

function failedAgain({ day }: Copies): Changes & Pick<Batch, "state"> {
  const error = "the ledger was restored to an earlier moment; the batch had failed before";
  return { state: "FAILED", day, error, errorJob: undefined };
}

async function replayed(world: World, batch: Batch, { day }: Copies): Promise<Changes & Pick<Batch, "state">> {
  const { batchId } = batch;
  const below = (kind: Copies["kind"]) => listAll(world, place(kind, { date: day, batchId, name: "" }));
  const [manifest, report, publish, archived, quarantined] = await Promise.all([
    readManifest(world, batchId),
    readDocument(world, place("transformReport", { batchId })) as Promise<TransformReport | undefined>,
    readDocument(world, place("publishReport", { batchId })),
    below("archived"),
    below("quarantinedFile"),
  ]);
  const publishReport: PublishReport | undefined = publish && publishTotals(publish);
  const claimed = manifest.files.length + (manifest.notReplayed?.length ?? 0);
  const moves = { moved: archived.length, quarantined: quarantined.length };
  return {
    state: "REPLAY",
    replay: true,
    prepared: undefined,
    transformed: true,
    attempt: batch.attempt + 1,
    day,
    moves: { ...moves, left: Math.max(0, claimed - moves.moved - moves.quarantined), missing: 0 },
    failures: undefined,
    dataFailures: undefined,
    error: undefined,
    errorJob: undefined,
    ...(report ? { report: totals(report) } : {}),
    ...(publishReport ? { publishReport, workflowRunId: publishReport.workflowRunId } : {}),
  };
}
