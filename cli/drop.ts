import { setTimeout as sleep } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import layout from "../layout.json";
import { readPipeline } from "../runtime/ledger";
import { isUnreachable } from "../terminal/errors";
import { brief, count, duration, printable, size } from "../terminal/format";
import { wholeNumber } from "../terminal/options";
import { commandLine, type Terminal } from "../terminal/terminal";
import { type BatchRow, readLedger } from "./ledger";
import { isSettled, type Outcome, Settling } from "./settling";
import { openTarget, storeOf, type Target } from "./target";
import { askForTick, earlyTicks, lostTarget, nowOption } from "./tick";
import { type Source, type Uploaded, upload } from "./upload";
import { planUpload } from "./upload-plan";

interface Options {
  prefix: string;
  wait?: boolean;
  timeout: number;
  now?: boolean;
  stack?: string;
}

/** `npm run drop`: uploads CSVs into incoming/ and, with --wait, follows them until their batch is settled. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = commandLine("music-streams drop", terminal)
    .description("Uploads CSVs into incoming/, where the pipeline picks them up.")
    .argument(
      "<file...>",
      "CSVs (.csv, .csv.gz), or folders: of a folder every CSV below it, with its path below that folder",
    )
    .option("--prefix <p>", "a path below incoming/ to put them under", "")
    .option("--wait", "return when the files' batch is settled; exit code 0 if all of them are archived")
    .option("--timeout <seconds>", "how long to wait at most", wholeNumber(1), 3600)
    .option(...nowOption)
    .option("--stack <name>", "a deployed stack in place of the local cloud");
  await program.parseAsync(args, { from: "user" });
  const options = program.opts<Options>();
  const { sources, leftAlone } = await planUpload(program.args, options.prefix, terminal.cwd);
  const target = await openTarget({ ...terminal, stack: options.stack });
  const before = options.wait ? await readLedger(target, { limit: recentBatches }) : [];
  if (leftAlone.length > 0) {
    const some = leftAlone.slice(0, 3).map(printable).join(", ");
    terminal.note(
      `Left alone: ${leftAlone.length} that are no .csv or .csv.gz (${some}${leftAlone.length > 3 ? ", ..." : ""})`,
    );
  }
  const files = await uploadWithProgress(target, sources, terminal);
  const asksForTicks = target.isLocal || options.now === true;
  if (asksForTicks) await askForTick(target, terminal);
  if (!options.wait) {
    await terminal.out(
      `${filesText(files.length)} in ${layout.incoming} of ${target.name}. See npm run batches for what becomes of them.\n`,
    );
    return 0;
  }
  const nudge = asksForTicks ? () => askForTick(target, terminal) : undefined;
  return waitUntilSettled(target, files, before, { timeoutMs: options.timeout * 1000, nudge }, terminal);
}

/** How far back a batch can lie that is not settled yet; only one is in flight, and the halves of a split one come right after it. */
const recentBatches = 100;

function filesText(files: number): string {
  return files === 1 ? "1 file is" : `${count(files)} files are`;
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
  const shown = () => ({ files: `${done} of ${sources.length} files`, done: size(bytes), size: size(totalBytes) });
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
  /** Asks for a tick; undefined where that is left to the schedule. */
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
  let told = "";
  try {
    for (;;) {
      const pipeline = await readPipeline(store);
      const ledger = await readLedger(target, from === undefined ? {} : { from });
      const { batches, waiting } = await settling.look(files, ledger);
      if (settling.outcomes.size === files.length) break;
      const news = progressText(batches, waiting, pipeline.pausedSince !== undefined);
      if (news !== told) terminal.note(`${elapsed().padStart(6)}  ${news}`);
      told = news;
      if (Date.now() - startedMs > patience.timeoutMs) {
        terminal.note(
          `Not settled after ${elapsed()}: ${files.length - settling.outcomes.size} of ${files.length} files. The pipeline goes on; see npm run batches.`,
        );
        await tellOutcomes(settling.outcomes, terminal);
        return 1;
      }
      const isIdle =
        pipeline.inFlight === undefined || ledger.some((batch) => batch.batchId === pipeline.inFlight && isDue(batch));
      if (isIdle) await nudge?.();
      await sleep(target.isLocal ? 500 : 5_000);
    }
  } catch (error) {
    throw isUnreachable(error) ? lostTarget(target, error) : error;
  }
  await tellOutcomes(settling.outcomes, terminal);
  return [...settling.outcomes.values()].every((outcome) => outcome.end === "archived") ? 0 : 1;
}

/** Whether a tick would move the batch on: it has no run yet, or its pause after a failure is over. */
function isDue(batch: BatchRow): boolean {
  if (batch.state === "CLAIMED") return true;
  return batch.state === "RETRY" && Date.parse(batch.nextAttemptAt ?? "") <= Date.now();
}

/** Where the files are, as one line; the same text as long as nothing changes. */
function progressText(batches: BatchRow[], waiting: Uploaded[], isPaused: boolean): string {
  const parts = batches.map(({ batchId, state, attempt, error }) => {
    const why = state === "RETRY" && error ? `: ${brief(error.trim(), 200)}` : "";
    return `batch ${batchId}: ${state}, attempt ${attempt ?? 1}${why}`;
  });
  if (waiting.length > 0)
    parts.push(
      `${filesText(waiting.length)} waiting in ${layout.incoming}${isPaused ? " (the pipeline is paused)" : ""}`,
    );
  return parts.join("; ");
}

const linesAtMost = 50;

async function tellOutcomes(outcomes: Map<string, Outcome>, terminal: Terminal): Promise<void> {
  const all = [...outcomes.values()];
  const bad = all.filter(({ end }) => end !== "archived");
  const good = all.filter(({ end }) => end === "archived");
  // Of a thousand files, each one that needs a person is told, the others are counted.
  const shown = [...bad, ...good.slice(0, Math.max(0, linesAtMost - bad.length))];
  await terminal.out(shown.map((outcome) => `${outcomeText(outcome)}\n`).join(""));
  if (shown.length < all.length)
    await terminal.out(`... and ${count(all.length - shown.length)} more that are archived\n`);
}

/** How one file ended, and what to do about it. */
export function outcomeText({ name, end, batchId, rows, reason }: Outcome): string {
  const file = printable(name);
  const why = reason ? printable(reason.trim()) : "";
  if (end === "quarantined")
    return `${file}: not archived, quarantined in batch ${batchId} (${why}); it lies below quarantine/files/`;
  if (end === "failed") return `${file}: not archived, batch ${batchId} FAILED: ${why}; it lies below failed/`;
  if (end === "overwritten")
    return `${file}: not archived, another version of it was dropped ${why || "before it was read"}`;
  if (end === "gone")
    return `${file}: not archived, someone removed it from ${layout.incoming} ${why || "before it was read"}`;
  if (!rows) return `${file}: archived in batch ${batchId}`;
  const counts = `${count(rows.rowsRead)} rows read, ${count(rows.rowsKept)} kept, ${count(rows.rowsDuplicate)} duplicate, ${count(rows.rowsQuarantined)} quarantined`;
  return `${file}: archived in batch ${batchId} (${counts})`;
}
