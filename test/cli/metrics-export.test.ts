import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { type AttributeValue, BatchWriteItemCommand } from "@aws-sdk/client-dynamodb";
import { ParquetRows } from "../../cli/metrics-parquet";
import { tableColumns } from "../../cli/metrics-table";
import { type Pipeline, startPipeline, verb } from "./pipeline";

type Item = Record<string, AttributeValue>;

const python = path.resolve(__dirname, "..", "..", ".local", "python", "bin", "python");
const main = verb("metrics");
const name = 'Line\r\n"two", and \u2028 é 🎵';
const genre = 'a#b, "c"';
const stamps = { batch_id: { S: "b" }, published_at: { S: "2026-01-01T00:00:00Z" } };
const counts = (listens: number) => ({
  listens: { N: String(listens) },
  unique_listeners: { N: "2" },
  listening_ms: { N: "9007199254740993" },
});

/** Every kind of item, for one day. */
function itemsOf(date: string, listens: number): Item[] {
  const of = (pk: string, sk: string, rest: Item): Item => ({ pk: { S: pk }, sk: { S: sk }, ...rest, ...stamps });
  const average = { avg_listening_ms_per_listener: { N: "7" } };
  return [
    of("TRACK#t1", `DAY#${date}`, { ...counts(listens), ...average, track_name: { S: name }, artists: { S: "A;B" } }),
    of("TRACK#unknown", `DAY#${date}`, { ...counts(1), ...average }),
    of(`GENRE#${genre}`, `DAY#${date}`, { ...counts(listens), ...average, listed_in: { S: `GENRES#${date}` } }),
    of(`GENRE#${genre}`, `TOP_TRACKS#${date}`, {
      tracks: {
        L: ["t1", "t2"].map((id, at) => ({
          M: { rank: { N: String(at + 1) }, track_id: { S: id }, track_name: { S: name }, ...counts(listens) },
        })),
      },
    }),
    of(`DAY#${date}`, "SUMMARY", { ...counts(listens), tracks: { N: "2" }, genres: { N: "1" } }),
    of(`DAY#${date}`, "TOP_GENRES", {
      genres: { L: [{ M: { rank: { N: "1" }, genre: { S: genre }, ...counts(listens) } }] },
    }),
    of(`DAY#${date}`, "TOP_TRACKS", {
      tracks: { L: [{ M: { rank: { N: "1" }, track_id: { S: "t1" }, track_name: { S: name }, ...counts(listens) } }] },
    }),
    of(`DAY#${date}`, "HOURS", { hours: { L: [{ M: { hour: { N: "0" }, ...counts(listens) } }] } }),
    of(`DAY#${date}`, "COUNTRIES", {
      countries: { L: [{ M: { country: { S: "Chile" }, ...counts(listens) } }, { M: counts(1) }] },
    }),
  ];
}

const days = ["2024-06-24", "2024-06-25", "2024-06-26", "2024-07-01"];
const perDay = itemsOf("2024-06-24", 1).length;

/** What Python's own reader makes of a CSV. */
function rowsOf(csv: string): Record<string, string>[] {
  const read = `
import csv, io, json, sys
text = sys.stdin.buffer.read().decode()
print(json.dumps(list(csv.DictReader(io.StringIO(text, newline=""), strict=True))))
`;
  return JSON.parse(execFileSync(python, ["-c", read], { input: csv }).toString());
}

/** A row without its empty columns. */
const filled = (row: Record<string, string>) => Object.fromEntries(Object.entries(row).filter(([, text]) => text));

describe("npm run metrics -- export", () => {
  let pipeline: Pipeline;

  before(async () => {
    pipeline = await startPipeline();
    for (const [at, day] of days.entries()) await write(itemsOf(day, at + 1));
  });
  after(() => pipeline.close());

  const duckdb = (program: string) => execFileSync(python, ["-c", program], { cwd: pipeline.root }).toString();

  async function write(items: Item[]): Promise<void> {
    await pipeline.target.dynamodb.send(
      new BatchWriteItemCommand({
        RequestItems: {
          [pipeline.target.outputs.metricsTableName]: items.map((Item) => ({ PutRequest: { Item } })),
        },
      }),
    );
  }

  async function linesOf(...args: string[]): Promise<string[]> {
    const { code, out, notes } = await pipeline.run(main, "export", ...args);
    assert.equal(code, 0, notes.join("\n"));
    return out.split("\n").slice(0, -1);
  }

  for (const [args, wanted] of [
    [["--from", "2024-06-25"], days.slice(1)],
    [["--to", "2024-06-25"], days.slice(0, 2)],
    [["--from", "2024-06-25", "--to", "2024-06-30"], days.slice(1, 3)],
    [["--from", "2024-06-25", "--to", "2024-06-25"], ["2024-06-25"]],
  ] as const)
    it(`has all items of the days, both ends among them, and no others: ${args.join(" ")}`, async () => {
      const lines = await linesOf(...args);
      const every = await linesOf();
      assert.equal(every.length, days.length * perDay);
      assert.deepEqual(
        lines,
        every.filter((line) => wanted.some((day) => line.includes(day))),
      );
      assert.equal(lines.length, wanted.length * perDay);
    });

  it("says so when the days have no metrics", async () => {
    const { code, out, notes } = await pipeline.run(main, "export", "--from", "2030-01-01");
    assert.deepEqual([code, out], [0, ""]);
    assert.match(notes.join("\n"), /^There are no metrics of these days/);
  });

  it("as CSV has a row for each item and for each entry of a list, in the order of the items", async () => {
    const { out } = await pipeline.run(main, "export", "--format", "csv", "--from", "2024-06-25", "--to", "2024-06-25");
    const [listens, unique_listeners, listening_ms] = ["2", "2", "9007199254740993"];
    const [date, totals, average] = [
      "2024-06-25",
      { listens, unique_listeners, listening_ms },
      { avg_listening_ms_per_listener: "7" },
    ];
    assert.deepEqual(rowsOf(out).map(filled), [
      { metric: "day_countries", date, country: "Chile", ...totals },
      { metric: "day_countries", date, ...totals, listens: "1" },
      { metric: "day_hours", date, hour: "0", ...totals },
      { metric: "day_summary", date, ...totals, tracks: "2", genres: "1" },
      { metric: "day_top_genres", date, genre, rank: "1", ...totals },
      { metric: "day_top_tracks", date, track_id: "t1", rank: "1", track_name: name, ...totals },
      { metric: "genre_day", date, genre, ...totals, ...average },
      { metric: "genre_top_tracks", date, genre, track_id: "t1", rank: "1", track_name: name, ...totals },
      { metric: "genre_top_tracks", date, genre, track_id: "t2", rank: "2", track_name: name, ...totals },
      { metric: "track_day", date, track_id: "t1", track_name: name, artists: "A;B", ...totals, ...average },
      { metric: "track_day", date, track_id: "unknown", ...totals, listens: "1", ...average },
    ]);
  });

  it("as CSV has the same columns whatever the days have, and more with --all", async () => {
    const none = await linesOf("--format", "csv", "--to", "2000-01-01");
    const [header] = await linesOf("--format", "csv");
    assert.deepEqual(none, [header]);
    assert.doesNotMatch(header!, /batch_id|published_at|listed_in/);
    const { out } = await pipeline.run(main, "export", "--format", "csv", "--all");
    const rows = rowsOf(out);
    // One row more for the second track, and one for the second country.
    assert.equal(rows.length, days.length * (perDay + 2));
    for (const row of rows) assert.equal(row.batch_id, "b", JSON.stringify(row));
  });

  it("as CSV has a form for each kind of item that publish writes, and a column for each attribute", async () => {
    const source = await readFile(
      path.resolve(__dirname, "..", "..", "glue-scripts", "music_streams", "metrics_items.py"),
      "utf8",
    );
    const found = (pattern: RegExp) => [...new Set([...source.matchAll(pattern)].map(([, one]) => one!))].sort();
    const { out } = await pipeline.run(main, "export", "--format", "csv", "--all");
    const rows = rowsOf(out);
    assert.deepEqual([...new Set(rows.map(({ metric }) => metric))].sort(), found(/ Metric\("(\w+)"/g));
    const columns = Object.keys(rows[0]!);
    assert.deepEqual(
      found(/"([a-z_]{2,})":/g).filter((attribute) => !columns.includes(attribute)),
      [],
    );
  });

  for (const more of [[], ["--all"]])
    it(`as Parquet has the rows, columns and values of the CSV, as DuckDB reads both: ${more.join(" ") || "plain"}`, async () => {
      for (const format of ["csv", "parquet"]) {
        const { code } = await pipeline.run(main, "export", "--format", format, "--out", `of.${format}`, ...more);
        assert.equal(code, 0);
      }
      const query = `import duckdb, json
read = lambda sql: (lambda rows: [rows.columns, [str(kind) for kind in rows.types], rows.fetchall()])(duckdb.sql(sql))
print(json.dumps([read("FROM 'of.parquet'"), read("FROM read_csv('of.csv', auto_type_candidates = ['BIGINT', 'DATE', 'VARCHAR'])")], default=str))`;
      const [parquet, csv] = JSON.parse(duckdb(query));
      assert.deepEqual(parquet, csv);
      const [columns, types, rows] = parquet;
      assert.equal(rows.length, days.length * (perDay + 2));
      assert.equal(types[columns.indexOf("date")], "DATE");
      assert.equal(types[columns.indexOf("listening_ms")], "BIGINT");
    });

  it("as Parquet is written a part at a time, whose rows all come back in their order", async () => {
    const sizes: number[] = [];
    const parts: Uint8Array[] = [];
    const file = new ParquetRows((bytes) => {
      sizes.push(bytes.length);
      parts.push(bytes);
    }, false);
    const columns = tableColumns();
    const at = columns.indexOf("listens");
    for (let n = 0; n < 50_001; n++)
      await file.add(columns.map((_, column) => (column === at ? String(n) : undefined)));
    assert.equal(sizes.length, 2, "full groups are handed on before the end");
    await file.close();
    await writeFile(path.join(pipeline.root, "large.parquet"), Buffer.concat(parts));
    const query = `import duckdb; print([n for (n,) in duckdb.sql("SELECT listens FROM 'large.parquet'").fetchall()])`;
    assert.deepEqual(
      JSON.parse(duckdb(query)),
      Array.from({ length: 50_001 }, (_, n) => n),
    );
  });

  it("as Parquet of no rows is a file with the columns, and a number beyond 64 bits is refused", async () => {
    await pipeline.run(main, "export", "--format", "parquet", "--to", "2000-01-01", "--out", "none.parquet");
    assert.ok((await stat(path.join(pipeline.root, "none.parquet"))).size > 0);
    const query = "import duckdb, json; print(json.dumps(duckdb.sql(\"FROM 'none.parquet'\").columns))";
    assert.deepEqual(JSON.parse(duckdb(query)), tableColumns());
    const file = new ParquetRows(() => {}, false);
    await file.add(tableColumns().map((name) => (name === "listens" ? String(2n ** 63n) : undefined)));
    await assert.rejects(file.close(), /listens 9223372036854775808 is no whole number of 64 bits\. Use --format csv/);
  });

  it("as CSV goes into a file as a whole, or not at all when an item has no such form", async () => {
    const { code } = await pipeline.run(main, "export", "--format", "csv", "--out", "metrics.csv");
    assert.equal(code, 0);
    const { out } = await pipeline.run(main, "export", "--format", "csv");
    assert.equal(await readFile(path.join(pipeline.root, "metrics.csv"), "utf8"), out);
    await write([{ pk: { S: "WEEK#2024-W26" }, sk: { S: "SUMMARY" } }]);
    const refused = await pipeline.run(main, "export", "--format", "csv", "--out", "later.csv");
    assert.equal(refused.code, 1);
    assert.match(
      refused.notes.join("\n"),
      /the item WEEK#2024-W26 SUMMARY has no form as a table\. Use --format ndjson/,
    );
    assert.deepEqual(
      (await readdir(pipeline.root)).filter((file) => file.startsWith("later")),
      [],
    );
  });

  for (const [args, message] of [
    [["--from", "2024-06-31"], /"2024-06-31" is not a date/],
    [["--to", "June"], /"June" is not a date/],
    [["--from", "2024-06-26", "--to", "2024-06-25"], /--from 2024-06-26 is after --to 2024-06-25/],
    [["--format", "excel"], /Allowed choices are ndjson, csv, parquet/],
  ] as const)
    it(`ends with 2 for ${args.join(" ")}`, async () => {
      const { code, out, notes } = await pipeline.run(main, "export", ...args);
      assert.deepEqual([code, out], [2, ""]);
      assert.match(notes.join("\n"), message);
    });
});
