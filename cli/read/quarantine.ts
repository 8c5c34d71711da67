import { GetObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import layout from "../../layout.json";
import type { TransformReport } from "../../runtime/batch";
import { readDocument } from "../../runtime/lake";
import { place } from "../../runtime/places";
import { type BatchRow, readLedger } from "../ledger";
import { storeOf, type Target } from "../target";

/** A quarantined row: its text, the file that it came in, and the line of the object that holds it. */
export interface QuarantinedRow {
  reason: string;
  raw: string;
  /** The file's path below incoming/. */
  file: string;
  at: string;
}

/** A reason over all batches. */
export interface ReasonTotal {
  reason: string;
  rows: number;
  /** Batches that have such rows, newest first. */
  batches: string[];
}

/** What one batch has in quarantine. */
export interface BatchQuarantine {
  batchId: string;
  state: string;
  /** Rows by reason. */
  rows: Record<string, number>;
  /** Files that hold no readable table. `at` is where the file lies; null until archive has moved it. */
  files: { name: string; reason: string; detail: string; at: string | null }[];
  /** The first rows of each reason. */
  first: QuarantinedRow[];
}

const rowsOfAReason = 2;
/** Looks into so many objects, and so far into each. */
const objectsAtMost = 20;
const bytesAtMost = 1_000_000;

/** The first quarantined rows of a batch, or of one file of it: at most two of each reason. */
export async function firstQuarantined(target: Target, batchId: string, fileKey?: string): Promise<QuarantinedRow[]> {
  const Bucket = target.outputs.bucketName;
  const Prefix = place("quarantinedRows", { batchId });
  const { Contents = [] } = await target.s3.send(new ListObjectsV2Command({ Bucket, Prefix, MaxKeys: objectsAtMost }));
  const found: QuarantinedRow[] = [];
  for (const { Key, Size } of Contents) {
    if (!Key || !Size) continue;
    const Range = `bytes=0-${bytesAtMost - 1}`;
    const { Body } = await target.s3.send(new GetObjectCommand({ Bucket, Key, Range }));
    const lines = ((await Body?.transformToString()) ?? "").split("\n");
    // The last line is empty, or cut.
    for (const [at, line] of lines.slice(0, -1).entries()) {
      const { key, reason, raw } = JSON.parse(line) as { key: string; reason: string; raw: string };
      if (fileKey !== undefined && key !== fileKey) continue;
      if (found.filter((one) => one.reason === reason).length >= rowsOfAReason) continue;
      const file = key.startsWith(layout.incoming) ? key.slice(layout.incoming.length) : key;
      found.push({ reason, raw, file, at: `${Key}, line ${at + 1}` });
    }
  }
  return found;
}

/** Every reason in the ledger, the most frequent first. Reads no object. */
export function reasonTotals(batches: BatchRow[]): ReasonTotal[] {
  const totals = new Map<string, ReasonTotal>();
  for (const { batchId, rowsQuarantined } of batches)
    for (const [reason, rows] of Object.entries(rowsQuarantined ?? {})) {
      if (rows === 0) continue;
      const total = totals.get(reason) ?? { reason, rows: 0, batches: [] };
      totals.set(reason, { reason, rows: total.rows + rows, batches: [...total.batches, batchId] });
    }
  return [...totals.values()].sort((a, b) => b.rows - a.rows || (a.reason < b.reason ? -1 : 1));
}

/** What a batch has in quarantine, with its first rows; undefined if the ledger has no such batch. */
export async function batchQuarantine(target: Target, batchId: string): Promise<BatchQuarantine | undefined> {
  const batch = (await readLedger(target, { from: batchId, to: batchId }))[0];
  if (!batch) return undefined;
  const key = place("transformReport", { batchId });
  const report = (await readDocument(storeOf(target), key)) as TransformReport | undefined;
  const { day, state } = batch;
  const rows = batch.rowsQuarantined ?? report?.rowsQuarantined ?? {};
  const hasRows = Object.values(rows).some((number) => number > 0);
  return {
    batchId,
    state,
    rows: Object.fromEntries(Object.entries(rows).filter(([, number]) => number > 0)),
    files: (report?.filesQuarantined ?? []).map(({ name, reason, detail }) => ({
      ...{ name, reason, detail: detail ?? "" },
      at: day === null ? null : place("quarantinedFile", { date: day, batchId, name }),
    })),
    first: hasRows ? await firstQuarantined(target, batchId) : [],
  };
}
