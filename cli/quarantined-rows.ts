import { GetObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { place } from "../runtime/places";
import { brief, count, printable } from "../terminal/format";
import type { Target } from "./target";

/** A quarantined row: its text, and the line of the object that holds it. */
export interface QuarantinedRow {
  reason: string;
  raw: string;
  at: string;
}

const rowsOfAReason = 2;
/** Looks into so many objects, and so far into each. */
const objectsAtMost = 20;
const bytesAtMost = 1_000_000;

/** Rows by reason: "bad_id 12, malformed_row 3". */
export function reasonsText(byReason: Record<string, number>): string {
  return Object.entries(byReason)
    .map(([reason, rows]) => `${printable(reason)} ${count(rows)}`)
    .join(", ");
}

/** A line for each row: reason, text and place. */
export function rowLines(rows: QuarantinedRow[]): string[] {
  return rows.map(({ reason, raw, at }) => `${printable(reason)}: ${brief(raw, 120)} (${printable(at)})`);
}

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
      if (
        (fileKey !== undefined && key !== fileKey) ||
        found.filter((one) => one.reason === reason).length >= rowsOfAReason
      )
        continue;
      found.push({ reason, raw, at: `${Key}, line ${at + 1}` });
    }
  }
  return found;
}
