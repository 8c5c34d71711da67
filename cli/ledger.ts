import { type NativeAttributeValue, paginateQuery } from "@aws-sdk/lib-dynamodb";
import type { Target } from "./target";

type Attributes = Record<string, NativeAttributeValue>;

/** A batch as `npm run batches -- --json` shows it. What isn't known yet is null. */
export interface BatchRow {
  batchId: string;
  state: string;
  attempt: number | null;
  files: number | null;
  bytes: number | null;
  rowsRead: number | null;
  rowsKept: number | null;
  rowsDuplicate: number | null;
  /** Rows by reason. */
  rowsQuarantined: Record<string, number> | null;
  filesQuarantined: number | null;
  filesChanged: number | null;
  unknownTracks: number | null;
  unknownUsers: number | null;
  /** What is wrong with files of the reference data, the first few. */
  referenceFaults: string[] | null;
  /** When the oldest of its files landed. */
  landedAt: string | null;
  claimedAt: string | null;
  startedAt: string | null;
  settledAt: string | null;
  updatedAt: string | null;
  nextAttemptAt: string | null;
  /** UTC day in the names of the folders to which archive moved its files. */
  day: string | null;
  workflowRunId: string | null;
  parent: string | null;
  children: string[] | null;
  error: string | null;
  errorJob: string | null;
  /** Files that S3 did not move, and why: they stay in incoming/, and no batch claims them until a retry. */
  filesHeld: number | null;
  notMoved: string | null;
  /** When a person abandoned the batch, or why that could not be. */
  abandonedAt: string | null;
  notAbandoned: string | null;
  /** When the file of a FAILED batch was put back into incoming/. The next two: why the last retry or replay failed. */
  retriedAt: string | null;
  notPutBack: string | null;
  notReplayed: string | null;
}

/** A ledger item, flattened: the report's totals beside the batch's own attributes. */
export function batchRow(item: Attributes): BatchRow {
  const report = isMap(item.report) ? item.report : {};
  return {
    batchId: text(item.batchId) ?? text(item.sk) ?? "",
    state: text(item.state) ?? "UNKNOWN",
    attempt: number(item.attempt),
    files: amount(item.files),
    bytes: number(item.bytes),
    rowsRead: number(report.rowsRead),
    rowsKept: number(report.rowsKept),
    rowsDuplicate: number(report.rowsDuplicate),
    rowsQuarantined: isMap(report.rowsQuarantined) ? byReason(report.rowsQuarantined) : null,
    filesQuarantined: amount(report.filesQuarantined),
    filesChanged: amount(report.filesChanged),
    unknownTracks: number(report.unknownTracks),
    unknownUsers: number(report.unknownUsers),
    referenceFaults: Array.isArray(report.referenceFaults) ? report.referenceFaults.map(String) : null,
    landedAt: text(item.landedAt),
    claimedAt: text(item.claimedAt),
    startedAt: text(item.startedAt),
    settledAt: text(item.settledAt),
    updatedAt: text(item.updatedAt),
    nextAttemptAt: text(item.nextAttemptAt),
    day: text(item.day),
    workflowRunId: text(item.workflowRunId),
    parent: text(item.parent),
    children: Array.isArray(item.children) ? item.children.map(String) : null,
    error: text(item.error),
    errorJob: text(item.errorJob),
    filesHeld: isMap(item.moves) ? number(item.moves.held) : null,
    notMoved: text(item.notMoved),
    abandonedAt: text(item.abandonedAt),
    notAbandoned: text(item.notAbandoned),
    retriedAt: text(item.retriedAt),
    notPutBack: text(item.notPutBack),
    notReplayed: text(item.notReplayed),
  };
}

function isMap(value: NativeAttributeValue): value is Attributes {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: NativeAttributeValue): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function number(value: NativeAttributeValue): number | null {
  return typeof value === "number" ? value : null;
}

/** A count, written as a number or as the list of the things counted. */
function amount(value: NativeAttributeValue): number | null {
  return Array.isArray(value) ? value.length : number(value);
}

function byReason(counts: Attributes): Record<string, number> {
  return Object.fromEntries(
    Object.keys(counts)
      .sort()
      .map((reason) => [reason, number(counts[reason]) ?? 0]),
  );
}

/** Which batches: all of them, or the newest `limit`, or those from `from` to `to`. */
interface Wanted {
  limit?: number;
  from?: string;
  to?: string;
}

/** The ledger, newest first. */
export async function readLedger(target: Target, wanted: Wanted = {}): Promise<BatchRow[]> {
  return (await readItems(target, wanted)).map(batchRow);
}

/** The same as `readLedger`, as the ledger has it. */
export async function readItems(target: Target, wanted: Wanted = {}): Promise<Attributes[]> {
  const rows: Attributes[] = [];
  const { from, to } = wanted;
  if (wanted.limit === 0) return rows;
  const pages = paginateQuery(
    { client: target.documents },
    {
      TableName: target.outputs.ledgerTableName,
      KeyConditionExpression:
        from === undefined && to === undefined ? "pk = :pk" : "pk = :pk AND sk BETWEEN :from AND :to",
      ExpressionAttributeValues: {
        ":pk": "BATCH",
        // An id begins with a digit, and "~" is behind all of them.
        ...(from === undefined && to === undefined ? {} : { ":from": from ?? "0", ":to": to ?? "~" }),
      },
      ScanIndexForward: false,
      ConsistentRead: true,
      ...(wanted.limit === undefined ? {} : { Limit: wanted.limit }),
    },
  );
  for await (const page of pages) {
    rows.push(...(page.Items ?? []));
    if (wanted.limit !== undefined && rows.length >= wanted.limit) return rows.slice(0, wanted.limit);
  }
  return rows;
}
