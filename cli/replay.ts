import { setTimeout as sleep } from "node:timers/promises";
import { readBatch } from "../runtime/ledger";
import { lostBatch } from "../runtime/lost";
import { requestReplay } from "../runtime/operator";
import { RefusedError } from "../runtime/refused";
import { planReplay } from "../runtime/replay";
import type { Store } from "../runtime/world";
import { UsageError } from "../terminal/errors";
import { count, counted, duration, printable, size, table } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { dayAfter, isDate } from "./dates";
import { readLedger } from "./ledger";
import { type TickOptions, tickFor } from "./operate";
import { openTarget, storeOf, type Target } from "./target";

interface Options extends TickOptions {
  from?: string;
  to?: string;
  dryRun?: boolean;
  wait?: boolean;
}

/** A batch to run again, or why it can't. */
interface Candidate {
  batchId: string;
  files: number;
  bytes: number;
  rows: number | undefined;
  problem?: string;
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
  const areArchived = options.wait ? await untilArchived(store, queued, terminal) : true;
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

async function examine(store: Store, batchId: string): Promise<Candidate> {
  const nothing = { batchId, files: 0, bytes: 0, rows: undefined };
  const lost = await lostBatch(store, batchId);
  if (lost) return { ...nothing, files: lost.batch.files, bytes: lost.batch.bytes };
  const batch = await readBatch(store, batchId);
  if (!batch) return { ...nothing, problem: "the ledger has no such batch" };
  if (batch.state !== "ARCHIVED" && batch.state !== "REPLAY")
    return { ...nothing, problem: `it is ${batch.state}, and only an archived batch can be replayed` };
  const plan = await planReplay(store, batch);
  if ("problem" in plan) return { ...nothing, problem: plan.problem };
  const { files } = plan.manifest;
  const bytes = files.reduce((total, file) => total + file.size, 0);
  return { batchId, files: files.length, bytes, rows: batch.report?.rowsRead };
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

/** Waits until every replay has ended, and notes each change. Returns whether all are archived. */
async function untilArchived(store: Store, candidates: Candidate[], terminal: Terminal): Promise<boolean> {
  const startedMs = Date.now();
  const open = new Map(candidates.map(({ batchId }) => [batchId, ""]));
  let allRan = true;
  while (open.size > 0) {
    for (const [batchId, shown] of open) {
      const batch = await readBatch(store, batchId);
      const why = batch?.state === "RETRY" && batch.error ? `: ${printable(batch.error)}` : "";
      const news = `${batch?.state ?? "gone from the ledger"}${why}`;
      if (news !== shown)
        terminal.note(`${duration(Date.now() - startedMs).padStart(6)}  batch ${printable(batchId)}: ${news}`);
      open.set(batchId, news);
      if (batch && batch.settledAt === undefined) continue;
      open.delete(batchId);
      if (batch?.state === "ARCHIVED" && batch.notReplayed === undefined) continue;
      allRan = false;
      if (batch?.notReplayed)
        terminal.note(`Batch ${printable(batchId)} did not run: ${printable(batch.notReplayed)}.`);
    }
    if (open.size > 0) await sleep(1000);
  }
  return allRan;
}
