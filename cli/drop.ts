import { setTimeout as sleep } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import layout from "../layout.json";
import type { TransformReport } from "../runtime/batch";
import { isDue } from "../runtime/decide";
import { readDocument } from "../runtime/lake";
import { readPipeline } from "../runtime/ledger";
import { folderOf, place } from "../runtime/places";
import { isUnreachable } from "../terminal/errors";
import { brief, count, counted, duration, printable, size } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { leftOutText } from "./files-below";
import { type BatchRow, readLedger } from "./ledger";
import { firstQuarantined } from "./read/quarantine";
import { reasonsText, rowLines } from "./reasons";
import { referenceNotes } from "./reference-notes";
import { isSettled, type Outcome, Settling } from "./settling";
import { openTarget, storeOf, type Target } from "./target";
import { askForTick, earlyTicks, lostTarget } from "./tick";
import { type Source, type Uploaded, upload } from "./upload";
import { planUpload } from "./upload-plan";

interface Options {
  prefix: string;
  wait?: boolean;
  timeout: number;
  now?: boolean;
  stack?: string;
}

/** `drop`: uploads CSVs into incoming/ and, with --wait, follows them until their batch is settled. */
export async function run(args: string[], options: Options, terminal: Terminal): Promise<number> {
  const { sources, leftAlone, leftOut } = await planUpload(args, options.prefix, terminal.cwd);
  const target = await openTarget({ ...terminal, stack: options.stack });
  const before = options.wait ? await readLedger(target, { limit: recentBatches }) : [];
  if (leftAlone.length > 0) {
    const some = leftAlone.slice(0, 3).map(printable).join(", ");
    terminal.note(
      `Not uploaded: ${leftAlone.length} that are no .csv or .csv.gz (${some}${leftAlone.length > 3 ? ", ..." : ""})`,
    );
  }
  if (leftOut.length > 0) terminal.note(leftOutText(leftOut));
  const worst = leftOut.length > 0 ? 1 : 0;
  const files = await uploadWithProgress(target, sources, terminal);
  const asksForTicks = target.isLocal || options.now === true;
  if (asksForTicks) await askForTick(target, terminal);
  if (!options.wait) {
    await terminal.out(
      `${filesAre(files.length)} in ${layout.incoming} of ${target.name}. npm run batches shows what becomes of them.\n`,
    );
    return worst;
  }
  const nudge = asksForTicks ? () => askForTick(target, terminal) : undefined;
  const patience = { timeoutMs: options.timeout * 1000, nudge };
  return Math.max(worst, await waitUntilSettled(target, files, before, patience, terminal));
}

/**
 * Batches that aren't settled are among the newest so many: one is in flight, and halves come right after their parent.
 */
const recentBatches = 100;

function filesAre(files: number): string {
  return `${counted(files, "file")} ${files === 1 ? "is" : "are"}`;
}

async function uploadWithProgress(target: Target, sources: Source[], terminal: Terminal): Promise<Uploaded[]> {
  if (!terminal.interactive) {
    return upload(target, sources, {
      onDone: (source) => terminal.note(`uploaded ${layout.incoming}${printable(source.name)} (${size(source.bytes)})`),
    });
  }
  const totalBytes = sources.reduce((sum, source) => sum + source.bytes, 0);
  const bar = new SingleBar({
    format: "uploading {bar} {percentage}% | {files} | {done} of {size}",
    hideCursor: true,
    clearOnComplete: true,
  });
  let [bytes, done] = [0, 0];
  const shown = () => ({
    files: `${done} of ${counted(sources.length, "file")}`,
    done: size(bytes),
    size: size(totalBytes),
  });
  // A bar of zero length divides by zero: empty files still count one.
  bar.start(Math.max(1, totalBytes), 0, shown());
  try {
    return await upload(target, sources, {
      onBytes: (more) => {
        bytes += more;
        bar.update(bytes, shown());
      },
      onDone: () => {
        done += 1;
        bar.update(bytes, shown());
      },
    });
  } finally {
    bar.stop();
  }
}

interface Patience {
  timeoutMs: number;
  /** Asks for a tick; undefined where only the schedule ticks. */
  nudge: (() => Promise<void>) | undefined;
}

async function waitUntilSettled(
  target: Target,
  files: Uploaded[],
  before: BatchRow[],
  patience: Patience,
  terminal: Terminal,
): Promise<number> {
  const settling = new Settling(
    target,
    before.filter(isSettled).map(({ batchId }) => batchId),
  );
  const from = before.length === recentBatches ? (before.at(-1)?.batchId ?? "") : undefined;
  const store = storeOf(target);
  const startedMs = Date.now();
  const elapsed = () => duration(Date.now() - startedMs);
  const nudge = patience.nudge && earlyTicks(patience.nudge, startedMs);
  let shown = "";
  try {
    for (;;) {
      const pipeline = await readPipeline(store);
      const ledger = await readLedger(target, from === undefined ? {} : { from });
      const { batches, waiting } = await settling.look(files, ledger);
      if (settling.outcomes.size === files.length) break;
      const news = progressText(batches, waiting, pipeline.pausedSince !== undefined);
      if (news !== shown) terminal.note(`${elapsed().padStart(6)}  ${news}`);
      shown = news;
      if (Date.now() - startedMs > patience.timeoutMs) {
        terminal.note(
          `Not settled after ${elapsed()}: ${files.length - settling.outcomes.size} of ${counted(files.length, "file")}. The pipeline goes on; npm run batches shows its progress.`,
        );
        await showOutcomes(settling.outcomes, target, terminal);
        return 1;
      }
      const isIdle =
        pipeline.inFlight === undefined ||
        ledger.some((batch) => batch.batchId === pipeline.inFlight && isDue(batch, Date.now()));
      if (isIdle) await nudge?.();
      await sleep(target.isLocal ? 500 : 5_000);
    }
  } catch (error) {
    throw isUnreachable(error) ? lostTarget(target, error) : error;
  }
  await showOutcomes(settling.outcomes, target, terminal);
  return [...settling.outcomes.values()].every((outcome) => outcome.end === "archived") ? 0 : 1;
}

/** Where the files are, as one line, which stays the same while nothing changes. */
function progressText(batches: BatchRow[], waiting: Uploaded[], isPaused: boolean): string {
  const parts = batches.map(({ batchId, state, attempt, error }) => {
    const why = state === "RETRY" && error ? `: ${brief(error.trim(), 200)}` : "";
    return `batch ${batchId}: ${state}, attempt ${attempt ?? 1}${why}`;
  });
  if (waiting.length > 0)
    parts.push(
      `${filesAre(waiting.length)} waiting in ${layout.incoming}${isPaused ? " (the pipeline is paused)" : ""}`,
    );
  return parts.join("; ");
}

const linesAtMost = 50;
/** The first quarantined rows are shown for so many files: each costs calls. */
const filesWithRows = 10;

async function showOutcomes(outcomes: Map<string, Outcome>, target: Target, terminal: Terminal): Promise<void> {
  const all = [...outcomes.values()];
  const bad = all.filter(({ end }) => end !== "archived");
  const good = all.filter(({ end }) => end === "archived");
  // Every file that needs a person gets a line; of the others, all but the first are counted.
  const shown = [...bad, ...good.slice(0, Math.max(0, linesAtMost - bad.length))];
  let shownRows = 0;
  for (const outcome of shown) {
    await terminal.out(`${outcomeText(outcome)}\n`);
    if (!outcome.rows?.rowsQuarantined || !outcome.batchId || shownRows >= filesWithRows) continue;
    shownRows += 1;
    const rows = await firstQuarantined(target, outcome.batchId, layout.incoming + outcome.name);
    for (const line of rowLines(rows)) await terminal.out(`    ${line}\n`);
  }
  if (shown.length < all.length)
    await terminal.out(`... and ${count(all.length - shown.length)} more that are archived\n`);
  for (const batchId of new Set(good.flatMap((outcome) => outcome.batchId ?? []))) {
    const key = place("transformReport", { batchId });
    const report = (await readDocument(storeOf(target), key)) as TransformReport | undefined;
    for (const note of report ? referenceNotes(report) : [])
      await terminal.out(`batch ${printable(batchId)}: ${printable(note)}\n`);
  }
}

/** How one file ended, and what to do about it. */
export function outcomeText({ name, end, batchId, rows, reason }: Outcome): string {
  const file = printable(name);
  const why = reason ? printable(reason.trim()) : "";
  if (end === "quarantined")
    return `${file}: not archived, quarantined in batch ${batchId} (${why}); it lies below ${folderOf("quarantinedFile")}`;
  if (end === "failed")
    return `${file}: not archived, batch ${batchId} FAILED: ${why}; it lies below ${folderOf("failed")}`;
  if (end === "overwritten")
    return `${file}: not archived, another version of it was dropped ${why || "before it was read"}`;
  if (end === "deleted")
    return `${file}: not archived, someone deleted it from ${layout.incoming} ${why || "before it was read"}`;
  if (!rows) return `${file}: archived in batch ${batchId}`;
  if (end === "useless") {
    return `${file}: archived in batch ${batchId}, but none of its ${counted(rows.rowsRead, "row")} could be used: ${reasonsText(rows.reasons)}`;
  }
  const reasons = rows.rowsQuarantined ? `: ${reasonsText(rows.reasons)}` : "";
  const counts = `${counted(rows.rowsRead, "row")} read, ${count(rows.rowsKept)} kept, ${count(rows.rowsDuplicate)} duplicate, ${count(rows.rowsQuarantined)} quarantined${reasons}`;
  return `${file}: archived in batch ${batchId} (${counts})`;
}
