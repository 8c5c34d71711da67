import { brief, count, printable } from "../terminal/format";
import type { QuarantinedRow } from "./read/quarantine";

/** Rows by reason: "bad_id 12, malformed_row 3". */
export function reasonsText(byReason: Record<string, number>): string {
  return Object.entries(byReason)
    .map(([reason, rows]) => `${printable(reason)} ${count(rows)}`)
    .join(", ");
}

/** A line for each row: reason, text, file and place. */
export function rowLines(rows: QuarantinedRow[]): string[] {
  return rows.map(
    ({ reason, raw, file, at }) =>
      `${printable(reason)}: ${raw === "" ? "no text" : brief(raw, 120)} (${printable(file)}; ${printable(at)})`,
  );
}
