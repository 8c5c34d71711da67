import { setTimeout as sleep } from "node:timers/promises";
import { readBatch } from "../runtime/ledger";
import { lostBatch } from "../runtime/lost";
import { planReplay } from "../runtime/replay";
import type { Store } from "../runtime/world";
import { duration, printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";

/** A batch to run again, or why it can't. */
export interface Candidate {
  batchId: string;
  files: number;
  bytes: number;
  rows: number | undefined;
  problem?: string;
}

/** What a replay of a batch would read, or why it can't run again. */
export async function examine(store: Store, batchId: string): Promise<Candidate> {
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

/** Waits until every batch is settled, and notes each change. Returns whether all are archived and ran as asked. */
export async function untilArchived(store: Store, batchIds: string[], terminal: Terminal): Promise<boolean> {
  const startedMs = Date.now();
  const open = new Map(batchIds.map((batchId) => [batchId, ""]));
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
