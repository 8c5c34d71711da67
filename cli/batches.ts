import layout from "../layout.json";
import { brief, count, duration, printable, table } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { type BatchRow, readLedger } from "./ledger";
import { openTarget } from "./target";

interface Options {
  json?: boolean;
  limit?: number;
  stack?: string;
}

/** `batches`: the ledger, newest first, as a table or as JSON. */
export async function run(_: string[], { json, limit, stack }: Options, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack });
  const batches = await readLedger(target, limit === undefined ? {} : { limit });
  await terminal.out(json ? `${JSON.stringify(batches, null, 2)}\n` : batchesText(batches, Date.now()));
  return 0;
}

const right = ["attempt", "files", "read", "kept", "duplicate", "quarantined", "quarantined files", "took"];

/** The ledger as a table. A settled batch shows how long it took, another how long ago it was claimed. */
export function batchesText(batches: BatchRow[], nowMs: number): string {
  if (batches.length === 0) return "No batches yet. Drop a CSV with: npm run drop -- FILE\n";
  const rows = batches.map((batch) => [
    printable(batch.batchId),
    printable(batch.state),
    count(batch.attempt),
    count(batch.files),
    count(batch.rowsRead),
    count(batch.rowsKept),
    count(batch.rowsDuplicate),
    quarantined(batch.rowsQuarantined),
    count(batch.filesQuarantined),
    took(batch, nowMs),
    brief(trouble(batch), 60),
  ]);
  return `${table(["batch", "state", ...right, "error"], rows, right)}\n`;
}

function trouble({
  state,
  error,
  filesHeld,
  notMoved,
  retriedAt,
  notAbandoned,
  notPutBack,
  notReplayed,
  referenceFaults,
}: BatchRow): string {
  const asked = [
    filesHeld && !retriedAt && `S3 did not move ${files(filesHeld)}: held in ${layout.incoming}, no batch claims them`,
    retriedAt &&
      (state === "FAILED" ? `its files were put back into ${layout.incoming}` : "its held files were released"),
    notMoved && !retriedAt && `not moved: ${notMoved}`,
    notAbandoned && `not abandoned: ${notAbandoned}`,
    notPutBack && `not put back: ${notPutBack}`,
    notReplayed && `not replayed: ${notReplayed}`,
  ];
  const faults = referenceFaults?.map((fault) => `reference data: ${fault}`) ?? [];
  return [...asked, error?.trim(), ...faults].filter(Boolean).join("; ");
}

function files(number: number): string {
  return number === 1 ? "1 file" : `${count(number)} files`;
}

function quarantined(byReason: Record<string, number> | null): string {
  return count(byReason && Object.values(byReason).reduce((sum, rows) => sum + rows, 0));
}

function took(batch: BatchRow, nowMs: number): string {
  const claimedMs = Date.parse(batch.claimedAt ?? "");
  if (Number.isNaN(claimedMs)) return "-";
  const settledMs = Date.parse(batch.settledAt ?? "");
  if (!Number.isNaN(settledMs)) return duration(Math.max(0, settledMs - claimedMs));
  return `${duration(Math.max(0, nowMs - claimedMs))} so far`;
}
