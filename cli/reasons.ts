import { brief, count, printable } from "../terminal/format";
import type { QuarantinedRow } from "./read/quarantine";

/** Rows by reason: "bad_id 12, malformed_row 3". */
export function reasonsText(byReason: Record<string, number>): string {
  return Object.entries(byReason)
    .map(([reason, rows]) => `${printable(reason)} ${count(rows)}`)
    .join(", ");
}

/** A line for each row: reason, text and file. Then a line for each object that holds them. */
export function rowLines(rows: QuarantinedRow[]): string[] {
  const numbers = new Map<string, string[]>();
  for (const { at } of rows) {
    const [, object = at, line = "?"] = /^(.*), line (\d+)$/s.exec(at) ?? [];
    numbers.set(object, [...(numbers.get(object) ?? []), line]);
  }
  return [
    ...rows.map(
      ({ reason, raw, file }) =>
        `${printable(reason)}: ${raw === "" ? "no text" : brief(raw, 120)} (${printable(file)})`,
    ),
    ...[...numbers].map(
      ([object, lines]) => `${lines.length === 1 ? "line" : "lines"} ${lines.join(", ")} of ${printable(object)}`,
    ),
  ];
}
