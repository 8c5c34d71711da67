import { UserError } from "../terminal/errors";
import { brief, columns, count, counted, printable, wrapped } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { readLedger } from "./ledger";
import { type BatchQuarantine, batchQuarantine, type ReasonTotal, reasonTotals } from "./read/quarantine";
import { reasonsText, rowLines } from "./reasons";
import { openTarget } from "./target";

interface Options {
  json?: boolean;
  stack?: string;
}

/** `quarantine`: reasons over all batches, or the reasons, files and first rows of one batch. */
export async function run([batchId]: string[], { json, stack }: Options, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack });
  if (batchId === undefined) {
    const batches = await readLedger(target);
    const reasons = reasonTotals(batches);
    const files = batches.reduce((sum, batch) => sum + (batch.filesQuarantined ?? 0), 0);
    await terminal.out(json ? `${JSON.stringify({ reasons, files }, null, 2)}\n` : totalsText(reasons, files));
    return 0;
  }
  const found = await batchQuarantine(target, batchId);
  if (!found) throw new UserError(`The ledger knows no batch ${batchId}. npm run batches lists them.`);
  await terminal.out(json ? `${JSON.stringify(found, null, 2)}\n` : batchText(found));
  return 0;
}

function totalsText(reasons: ReasonTotal[], files: number): string {
  if (reasons.length === 0 && files === 0) return "Nothing is in quarantine.\n";
  const cells = reasons.map(({ reason, rows, batches }) => [
    brief(reason, 28),
    count(rows),
    count(batches.length),
    printable(batches[0] ?? "-"),
  ]);
  const right = ["rows", "batches"];
  return [
    ...(reasons.length > 0 ? columns(["reason", ...right, "newest batch"], cells, right) : []),
    `${counted(files, "file")} quarantined as a whole.`,
    "Files and rows of a batch: npx music-streams quarantine BATCH_ID",
    "",
  ].join("\n");
}

function batchText({ batchId, state, rows, files, first }: BatchQuarantine): string {
  if (files.length === 0 && Object.keys(rows).length === 0)
    return `Batch ${printable(batchId)} (${printable(state)}) has nothing in quarantine.\n`;
  return [
    `Batch ${printable(batchId)} (${printable(state)})`,
    ...(Object.keys(rows).length > 0 ? wrapped(`rows: ${reasonsText(rows)}`, "  ") : []),
    ...rowLines(first).map((line) => `    ${line}`),
    ...files.flatMap(({ name, reason, detail, at }) => [
      ...wrapped(`file ${printable(name)}: ${printable(reason)}${detail && `, ${printable(detail)}`}`, "  "),
      ...(at === null ? [] : [`    ${printable(at)}`]),
    ]),
    "",
  ].join("\n");
}
