import { paginateScan } from "@aws-sdk/client-dynamodb";
import { besideMetrics, byteOrder, type Item, jsonItem } from "./items";
import type { Target } from "./target";

interface Line {
  pk: string;
  sk: string;
  json: string;
}

/**
 * Writes every item of the metrics table as a line of JSON, sorted by the bytes of pk, then sk. Returns how many.
 * The bytes equal Python's `json.dumps(item, ensure_ascii=False, separators=(",", ":"))` with pk, sk and then the other
 * keys in order. Holds all lines in memory to sort them. `write` gets whole lines with their newlines, many at a time,
 * and is awaited.
 */
export async function exportMetrics(
  target: Pick<Target, "dynamodb" | "outputs">,
  write: (text: string) => Promise<void> | void,
  options: { all?: boolean } = {},
): Promise<number> {
  const lines: Line[] = [];
  const leftOut = options.all ? [] : besideMetrics;
  const pages = paginateScan(
    { client: target.dynamodb },
    { TableName: target.outputs.metricsTableName, ConsistentRead: true },
  );
  for await (const page of pages) {
    for (const item of page.Items ?? []) lines.push(lineOf(item, leftOut));
  }
  lines.sort((a, b) => compare(a.pk, b.pk) || compare(a.sk, b.sk));
  const linesAtOnce = 1000;
  for (let start = 0; start < lines.length; start += linesAtOnce) {
    await write(
      `${lines
        .slice(start, start + linesAtOnce)
        .map((line) => line.json)
        .join("\n")}\n`,
    );
  }
  return lines.length;
}

function lineOf(item: Item, leftOut: readonly string[]): Line {
  return { pk: byteOrder(item.pk?.S ?? ""), sk: byteOrder(item.sk?.S ?? ""), json: jsonItem(item, leftOut) };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
