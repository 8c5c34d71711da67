import { requestReplay } from "../runtime/operator";
import { RefusedError } from "../runtime/refused";
import { UsageError } from "../terminal/errors";
import { count, counted, printable, size, table } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { dayAfter, isDate } from "./dates";
import { readLedger } from "./ledger";
import { type TickOptions, tickFor } from "./operate";
import { type Candidate, examine, untilArchived } from "./replaying";
import { openTarget, storeOf, type Target } from "./target";

interface Options extends TickOptions {
  from?: string;
  to?: string;
  dryRun?: boolean;
  wait?: boolean;
}

/** `replay`: runs archived batches again from archive/, with today's reference data. */
export async function run(args: string[], options: Options, terminal: Terminal): Promise<number> {
  const isRange = options.from !== undefined || options.to !== undefined;
  if (args.length > 0 === isRange)
    throw new UsageError("replay: name batches, or give --from DATE, --to DATE or both.");
  for (const date of [options.from, options.to])
    if (date !== undefined && !isDate(date))
      throw new UsageError(`"${date}" is not a date. Write it as YYYY-MM-DD, for example 2024-06-25.`);
  if (options.from !== undefined && options.to !== undefined && options.from > options.to)
    throw new UsageError(`--from ${options.from} is after --to ${options.to}: no day lies between them.`);
  const target = await openTarget({ ...terminal, stack: options.stack });
  const store = storeOf(target);
  const chosen = isRange ? await claimedBetween(target, options, terminal) : [...new Set(args)].sort();
  const candidates: Candidate[] = [];
  for (const batchId of chosen) candidates.push(await examine(store, batchId));

  const impossible = candidates.filter(({ problem }) => problem !== undefined);
  for (const { batchId, problem } of impossible)
    terminal.note(`Batch ${printable(batchId)} can't run again: ${printable(problem ?? "")}.`);
  const possible = candidates.filter(({ problem }) => problem === undefined);
  // Of batches named one by one, either all run or none.
  const goesOn = isRange || impossible.length === 0;
  await terminal.out(planText(possible, options.dryRun || !goesOn));
  if (options.dryRun || !goesOn || possible.length === 0) return impossible.length > 0 ? 1 : 0;

  const queued: Candidate[] = [];
  for (const candidate of possible)
    try {
      await requestReplay(store, candidate.batchId);
      queued.push(candidate);
    } catch (error) {
      // It changed meanwhile. The others still run.
      if (!(error instanceof RefusedError)) throw error;
      terminal.note(`Not queued: ${printable(error.message)}.`);
    }
  if (queued.length > 0) await tickFor(target, options, terminal);
  const asked = queued.map(({ batchId }) => batchId);
  const areArchived = options.wait ? await untilArchived(store, asked, terminal) : true;
  return areArchived && queued.length === candidates.length ? 0 : 1;
}

/** The ARCHIVED batches of a range; a note names the others. A batch's id begins with the time of its claim. */
async function claimedBetween(target: Target, { from, to }: Options, terminal: Terminal): Promise<string[]> {
  const day = (date: string) => date.replaceAll("-", "");
  const end = to === undefined ? "~" : day(dayAfter(to));
  const ledger = await readLedger(target, from === undefined ? {} : { from: day(from) });
  const inRange = ledger.filter(({ batchId }) => batchId < end).reverse();
  for (const { batchId, state } of inRange)
    if (!["ARCHIVED", "SPLIT", "REPLAY"].includes(state))
      terminal.note(`Skipped: batch ${printable(batchId)} is ${state}.`);
  return inRange.filter(({ state }) => state === "ARCHIVED").map(({ batchId }) => batchId);
}

function planText(candidates: Candidate[], isDry = false): string {
  if (candidates.length === 0) return "No batch runs again.\n";
  const numbers = ["files", "size", "rows"];
  const rows = candidates.map(({ batchId, files, bytes, rows: read }) => [
    printable(batchId),
    count(files),
    size(bytes),
    count(read),
  ]);
  const what = counted(candidates.length, "batch", "batches");
  const news = isDry ? `${what} would run again. Nothing was changed.` : `${what} will run again. See npm run batches.`;
  return `${table(["batch", ...numbers], rows, numbers)}\n${news}\n`;
}
