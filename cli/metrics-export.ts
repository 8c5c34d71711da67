import { paginateScan } from "@aws-sdk/client-dynamodb";
import type { Terminal } from "../terminal/terminal";
import { besideMetrics, byteOrder, jsonItem } from "./items";
import { ParquetRows } from "./metrics-parquet";
import { csvLine, type TableRow, tableColumns, tableRows } from "./metrics-table";
import { SortedTexts } from "./sorted-texts";
import type { Target } from "./target";

export interface ExportOptions {
  /** Also the attributes that are no metrics. */
  all?: boolean;
  format?: "ndjson" | "csv" | "parquet";
  /** First and last day, YYYY-MM-DD. */
  from?: string;
  to?: string;
}

/**
 * Writes every item of the metrics table, or of a range of days, sorted by the bytes of pk, then sk. Returns how many.
 * NDJSON has a line for each item, whose bytes equal Python's `json.dumps(item, ensure_ascii=False, separators=(",",
 * ":"))` with pk, sk and then the other keys in order. CSV and Parquet have a row for each item or entry of a list.
 * Memory does not grow with the table. `write` gets many lines or rows at a time, and is awaited.
 */
export async function exportMetrics(
  target: Pick<Target, "dynamodb" | "outputs">,
  write: Terminal["out"],
  options: ExportOptions = {},
): Promise<number> {
  const { all = false, format = "ndjson" } = options;
  const leftOut = all ? [] : besideMetrics;
  const sorted = new SortedTexts();
  let items = 0;
  try {
    const pages = paginateScan(
      { client: target.dynamodb },
      { TableName: target.outputs.metricsTableName, ConsistentRead: true, ...filterOf(options) },
    );
    for await (const page of pages)
      for (const item of page.Items ?? []) {
        const text = format === "ndjson" ? jsonItem(item, leftOut) : JSON.stringify(tableRows(item, all));
        await sorted.add({ key: [byteOrder(item.pk?.S ?? ""), byteOrder(item.sk?.S ?? "")], text });
        items += 1;
      }
    if (format === "parquet") {
      const file = new ParquetRows(write, all);
      for await (const text of sorted.texts()) for (const row of rowsIn(text)) await file.add(row);
      await file.close();
    } else {
      if (format === "csv") await write(csvLine(tableColumns(all)));
      const lines = (text: string) => (format === "csv" ? rowsIn(text).map(csvLine).join("") : `${text}\n`);
      const textsAtOnce = 1000;
      let some: string[] = [];
      for await (const text of sorted.texts()) {
        some.push(lines(text));
        if (some.length < textsAtOnce) continue;
        await write(some.join(""));
        some = [];
      }
      if (some.length > 0) await write(some.join(""));
    }
  } finally {
    await sorted.close();
  }
  return items;
}

/** Rows that were kept as JSON, in which a value that is not there is null. */
function rowsIn(text: string): TableRow[] {
  return (JSON.parse(text) as (string | null)[][]).map((row) => row.map((value) => value ?? undefined));
}

/** DynamoDB leaves out items of other days. It reads them, though: no index has the tracks of a day. */
function filterOf({ from, to }: ExportOptions) {
  if (from === undefined && to === undefined) return {};
  const [first, last] = [from ?? "0000-01-01", to ?? "9999-12-31"];
  return {
    FilterExpression:
      "pk BETWEEN :firstDay AND :lastDay OR sk BETWEEN :firstDay AND :lastDay OR sk BETWEEN :firstTop AND :lastTop",
    ExpressionAttributeValues: {
      ":firstDay": { S: `DAY#${first}` },
      ":lastDay": { S: `DAY#${last}` },
      ":firstTop": { S: `TOP_TRACKS#${first}` },
      ":lastTop": { S: `TOP_TRACKS#${last}` },
    },
  };
}
