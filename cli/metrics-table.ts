import { UserError } from "../terminal/errors";
import { csvField, printable } from "../terminal/format";
import { besideMetrics, type Item, jsonNumber, mapsOf, textOf } from "./items";

/** The metric of each kind of item. With `entries`, each entry of that list is a row. */
const kinds: Record<string, { metric: string; entries?: "tracks" | "genres" | "hours" | "countries" }> = {
  "TRACK DAY": { metric: "track_day" },
  "GENRE DAY": { metric: "genre_day" },
  "GENRE TOP_TRACKS": { metric: "genre_top_tracks", entries: "tracks" },
  "DAY TOP_GENRES": { metric: "day_top_genres", entries: "genres" },
  "DAY TOP_TRACKS": { metric: "day_top_tracks", entries: "tracks" },
  "DAY HOURS": { metric: "day_hours", entries: "hours" },
  "DAY COUNTRIES": { metric: "day_countries", entries: "countries" },
  "DAY SUMMARY": { metric: "day_summary" },
};

const attributes = [
  ...["rank", "track_name", "artists", "listens", "unique_listeners", "listening_ms"],
  ...["avg_listening_ms_per_listener", "tracks", "genres", "hour", "country"],
];

/** The columns of a table of the metrics, which are the same for all rows. A row has no value for some of them. */
export function tableColumns(all = false): string[] {
  return ["metric", "date", "genre", "track_id", ...attributes, ...(all ? besideMetrics : [])];
}

/** A row of the table: a text for each column, or nothing. */
export type TableRow = (string | undefined)[];

/** An item as rows of the table. Throws a UserError for an item of a kind that it does not know. */
export function tableRows(item: Item, all = false): TableRow[] {
  const [of = "", id] = split(textOf(item, "pk") ?? "");
  const [what = "", on] = split(textOf(item, "sk") ?? "");
  const kind = kinds[`${of} ${what}`];
  if (!kind)
    throw new UserError(
      `metrics export: the item ${printable(`${textOf(item, "pk")} ${textOf(item, "sk")}`)} has no form as a table. Use --format ndjson, or the release that wrote the item.`,
    );
  const fixed: Record<string, string | undefined> = {
    metric: kind.metric,
    date: of === "DAY" ? id : on,
    genre: of === "GENRE" ? id : undefined,
    track_id: of === "TRACK" ? id : undefined,
  };
  const rows = kind.entries ? mapsOf(item, kind.entries) : [item];
  return rows.map((row) =>
    tableColumns(all).map((name) => fixed[name] ?? scalarOf(row, name) ?? (all ? scalarOf(item, name) : undefined)),
  );
}

/** A row as a line of CSV (RFC 4180, with "\n"); a column without a value is empty. */
export function csvLine(row: TableRow): string {
  return `${row.map((text) => csvField(text ?? "")).join(",")}\n`;
}

/** "GENRE#a#b" -> "GENRE", "a#b". */
function split(key: string): [string, string?] {
  const at = key.indexOf("#");
  return at < 0 ? [key] : [key.slice(0, at), key.slice(at + 1)];
}

function scalarOf(row: Item, name: string): string | undefined {
  const value = row[name];
  return value?.S ?? (value?.N === undefined ? undefined : jsonNumber(value.N));
}
