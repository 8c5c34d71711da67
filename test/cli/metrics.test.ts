import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { type AttributeValue, BatchWriteItemCommand } from "@aws-sdk/client-dynamodb";
import { jsonNumber } from "../../cli/items";
import { exportMetrics } from "../../cli/metrics";
import { type Pipeline, startPipeline, verb } from "./pipeline";

type Item = Record<string, AttributeValue>;

const name = 'Line\u2028"two"\u001b[31m\u0001\u007f \\ é 🎵 \uff5e';
const day = "2024-06-25";
const provenance = { batch_id: { S: "b" }, published_at: { S: "2026-01-01T00:00:00Z" } };
const counts = (listens: number, listeningMs: string) => ({
  listens: { N: String(listens) },
  unique_listeners: { N: "2" },
  listening_ms: { N: listeningMs },
});

const items: Item[] = [
  {
    pk: { S: "TRACK#t1" },
    sk: { S: `DAY#${day}` },
    ...counts(3, "9007199254740993"),
    track_name: { S: name },
    ...provenance,
  },
  {
    pk: { S: "TRACK#t1" },
    sk: { S: "DAY#2024-06-26" },
    ...counts(1, "0"),
    track_name: { S: name },
    artists: { S: "A;B" },
    ...provenance,
  },
  { pk: { S: "TRACK#unknown" }, sk: { S: `DAY#${day}` }, ...counts(1, "0"), ...provenance },
  {
    pk: { S: "GENRE#jazz" },
    sk: { S: `DAY#${day}` },
    ...counts(3, "4200000"),
    avg_listening_ms_per_listener: { N: "2100000" },
    ...provenance,
  },
  { pk: { S: "GENRE#jazz" }, sk: { S: "DAY#2024-06-26" }, ...counts(1, "1000"), ...provenance },
  {
    ...{ pk: { S: "GENRE#jazz" }, sk: { S: `TOP_TRACKS#${day}` } },
    tracks: {
      L: [{ M: { track_id: { S: "t1" }, rank: { N: "1" }, track_name: { S: name }, ...counts(3, "4200000") } }],
    },
    ...provenance,
  },
  {
    pk: { S: "GENRE#jazz" },
    sk: { S: "TOP_TRACKS#2024-06-26" },
    tracks: { L: [{ M: { track_id: { S: "later" }, rank: { N: "1" } } }] },
  },
  {
    pk: { S: `DAY#${day}` },
    sk: { S: "SUMMARY" },
    ...counts(22692, "4200000"),
    tracks: { N: "2" },
    genres: { N: "1" },
    ...provenance,
  },
  {
    pk: { S: `DAY#${day}` },
    sk: { S: "TOP_GENRES" },
    genres: { L: [{ M: { rank: { N: "1" }, genre: { S: "ja\nzz" }, ...counts(3, "4200000") } }] },
  },
  {
    ...{ pk: { S: `DAY#${day}` }, sk: { S: "TOP_TRACKS" } },
    tracks: {
      L: [
        {
          M: {
            ...{ rank: { N: "1" }, track_id: { S: "t1" }, track_name: { S: name }, artists: { S: "A;B" } },
            ...counts(3, "4200000"),
          },
        },
      ],
    },
    ...provenance,
  },
  {
    ...{ pk: { S: `DAY#${day}` }, sk: { S: "HOURS" } },
    hours: {
      L: Array.from({ length: 24 }, (_, hour) => ({
        M: { hour: { N: String(hour) }, ...(hour === 17 ? counts(3, "4200000") : counts(0, "0")) },
      })),
    },
  },
  {
    ...{ pk: { S: `DAY#${day}` }, sk: { S: "COUNTRIES" } },
    countries: {
      L: ["Chi\nle", undefined, ...Array.from({ length: 9 }, (_, n) => `land ${n + 1}`)].map((country) => ({
        M: { ...(country === undefined ? {} : { country: { S: country } }), ...counts(3, "1000") },
      })),
    },
  },
  { pk: { S: "DAY#2024-06-24" }, sk: { S: "SUMMARY" }, ...counts(1, "0"), tracks: { N: "1" }, genres: { N: "0" } },
  // In UTF-8 U+FF5E comes before U+1F3B5, in UTF-16 after it.
  { pk: { S: "GENRE#\uff5e" }, sk: { S: `DAY#${day}` }, ...counts(1, "1") },
  { pk: { S: "GENRE#\u{1f3b5}" }, sk: { S: `DAY#${day}` }, ...counts(1, "1") },
];

const python = path.resolve(__dirname, "..", "..", ".local", "python", "bin", "python");
// Reads every line, checks the order of keys, and writes it again: byte for byte the same, or the lines differ.
const rewrite = `
import json, sys
def ordered(pairs):
    keys = [key for key, _ in pairs]
    rest = keys[2:] if keys[:2] == ["pk", "sk"] else keys
    assert rest == sorted(rest), keys
    return dict(pairs)
for line in sys.stdin.buffer.read().decode().split("\\n")[:-1]:
    sys.stdout.buffer.write((json.dumps(json.loads(line, object_pairs_hook=ordered), ensure_ascii=False, separators=(",", ":")) + "\\n").encode())
`;

const main = verb("metrics");

describe("npm run metrics", () => {
  let pipeline: Pipeline;
  const many = 2_500;

  before(async () => {
    pipeline = await startPipeline();
    const filler = Array.from({ length: many }, (_, n) => ({
      pk: { S: `TRACK#filler${n}` },
      sk: { S: `DAY#${day}` },
      pad: { S: "x".repeat(600) },
    }));
    await write([...items, ...filler]);
  });
  after(() => pipeline.close());

  async function write(all: Item[]): Promise<void> {
    for (let start = 0; start < all.length; start += 25) {
      const requests = all.slice(start, start + 25).map((Item) => ({ PutRequest: { Item } }));
      await pipeline.target.dynamodb.send(
        new BatchWriteItemCommand({ RequestItems: { [pipeline.target.outputs.metricsTableName]: requests } }),
      );
    }
  }

  it("exports every item of every page once, sorted by the bytes of pk, then sk", async () => {
    const { out, code } = await pipeline.run(main, "export");
    assert.equal(code, 0);
    const keys = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
      .map(({ pk, sk }) => Buffer.from(`${pk}\0${sk}`));
    assert.equal(keys.length, items.length + many);
    assert.deepEqual(keys, [...keys].sort(Buffer.compare));
    assert.ok(out.indexOf("GENRE#\uff5e") < out.indexOf("GENRE#\u{1f3b5}"));
  });

  it("exports the bytes that Python's json writes, with keys in order", async () => {
    const { out } = await pipeline.run(main, "export");
    assert.equal(execFileSync(python, ["-c", rewrite], { input: out, maxBuffer: 1e9 }).toString(), out);
    assert.ok(out.includes('"track_name":"Line\u2028\\"two\\"\\u001b[31m\\u0001\u007f \\\\ é 🎵 \uff5e"'));
  });

  it("exports whole numbers digit by digit", async () => {
    const { out } = await pipeline.run(main, "export");
    assert.match(out, /"listening_ms":9007199254740993,/);
  });

  it("leaves out which run wrote an item, unless asked for all", async () => {
    const lean = await pipeline.run(main, "export");
    assert.doesNotMatch(lean.out, /batch_id|published_at/);
    const all = await pipeline.run(main, "export", "--all");
    assert.match(
      all.out,
      /"pk":"TRACK#t1","sk":"DAY#2024-06-26","artists":"A;B","batch_id":"b",.*"published_at":"2026-01-01T00:00:00Z"/,
    );
  });

  it("exports into a file as a whole, and leaves no other file", async () => {
    const { code, out } = await pipeline.run(main, "export", "--out", "metrics.ndjson");
    assert.deepEqual([code, out], [0, ""]);
    const lines: string[] = [];
    const exported = await exportMetrics(pipeline.target, (text) => void lines.push(String(text)));
    assert.equal(await readFile(path.join(pipeline.root, "metrics.ndjson"), "utf8"), lines.join(""));
    assert.equal(exported, items.length + many);
    assert.deepEqual(
      (await readdir(pipeline.root)).filter((file) => file.endsWith(".part")),
      [],
    );
  });

  it("says which folder is missing when a file can't be written", async () => {
    const { code, notes } = await pipeline.run(main, "export", "--out", "no/such/folder.ndjson");
    assert.equal(code, 2);
    assert.match(notes.join("\n"), /no such file or directory.*no\/such/s);
    assert.doesNotMatch(notes.join("\n"), /\n\s+at /);
  });

  it("shows a day's totals and top genres", async () => {
    const { code, out } = await pipeline.run(main, "day", day);
    assert.equal(code, 0);
    assert.match(out, /22,692 │\s+2 │\s+2 │\s+1 │\s+1 h 10 min/);
    assert.match(out, /1 │ ja\\nzz │\s+3 │\s+2 │\s+1 h 10 min/);
  });

  it("shows a day's top tracks, its hours and its first ten countries", async () => {
    const { out } = await pipeline.run(main, "day", day);
    assert.match(out, /Top tracks\n.*1 │ Line.*… +│ +3 │ +2 │ +1 h 10 min │\n│ +│ t1 /s);
    assert.match(out, /Hours \(UTC\)\n.*00 +│ +0 │.*17 +│ +3 │ +2 │ +1 h 10 min/s);
    assert.match(out, /Countries \(10 of 11; - is unknown\)\n.*Chi\\nle +│ +3 │.*- +│ +3 │.*land 8 /s);
    assert.doesNotMatch(out, /land 9/);
  });

  it("shows a day that an earlier version published without what that lacks", async () => {
    const { code, out } = await pipeline.run(main, "day", "2024-06-24");
    assert.equal(code, 0);
    assert.match(out, /No track of this day has a genre\.\n$/);
  });

  it("gives a day's own items as JSON, as the export has them", async () => {
    const { code, out } = await pipeline.run(main, "day", day, "--json");
    assert.equal(code, 0);
    const exported = (await pipeline.run(main, "export")).out
      .split("\n")
      .filter((line) => line.includes(`DAY#${day}","sk"`));
    const own = exported.filter((line) => line.startsWith('{"pk":"DAY#'));
    assert.equal(own.length, 5);
    assert.deepEqual(
      JSON.parse(out),
      own.map((line) => JSON.parse(line)),
    );
  });

  it("shows a genre's days, newest first, and the top tracks of the newest or of the day asked for", async () => {
    const latest = await pipeline.run(main, "genre", "jazz");
    assert.match(latest.out, /2024-06-26.*2024-06-25.*1 h 10 min.*35 min 00 s.*Top tracks of 2024-06-26.*later/s);
    const asked = await pipeline.run(main, "genre", "jazz", "--date", day);
    assert.match(asked.out, /Top tracks of 2024-06-25.*t1/s);
  });

  it("shows a track's days, also of a track without a name", async () => {
    assert.match((await pipeline.run(main, "track", "t1")).out, /^Track t1: Line.* by A;B\n.*2024-06-26.*2024-06-25/s);
    assert.match((await pipeline.run(main, "track", "unknown")).out, /Track unknown: not in the reference data/);
  });

  it("shows control characters of names as escapes", async () => {
    const { out } = await pipeline.run(main, "track", "t1");
    assert.ok(out.includes('Line\\u2028"two"\\u001b[31m\\u0001\\u007f'));
    for (const character of "\u001b\u0001\u2028\u007f") assert.ok(!out.includes(character));
  });

  for (const [args, expected, message] of [
    [["day", "2020-01-01"], 1, /no metrics for 2020-01-01/],
    [["genre", "Jazz"], 1, /no metrics for the genre "Jazz"/],
    [["genre", "jazz", "--date", "2020-01-01"], 1, /on 2020-01-01/],
    [["track", "none"], 1, /no metrics for the track "none"/],
    [["day", "2024-02-30"], 2, /not a date.*YYYY-MM-DD/],
    [["day", "25.06.2024"], 2, /not a date/],
    [["day"], 2, /missing required argument/],
    [["weather"], 2, /unknown command/],
  ] as const) {
    it(`answers "${args.join(" ")}" with one clear message and exit code ${expected}`, async () => {
      const { code, out, notes } = await pipeline.run(main, ...args);
      assert.deepEqual([code, out], [expected, ""]);
      assert.match(notes.join("\n"), message);
      assert.doesNotMatch(notes.join("\n"), /\n\s+at /);
    });
  }

  it("ends quietly when its reader stops reading", () => {
    const root = path.resolve(__dirname, "..", "..");
    const script = `require("./terminal/terminal").runAsProgram(async (_, terminal) => { for (let n = 0; n < 1e6; n++) await terminal.out("line\\n"); return 0; })`;
    const command = `"$NODE" -r ./local/toolchain/compile.cjs -e '${script}' 2>&1 | head -n 1; echo "codes \${PIPESTATUS[*]}"`;
    const out = execFileSync("bash", ["-c", command], {
      cwd: root,
      env: { ...process.env, NODE: process.execPath },
    }).toString();
    assert.equal(out, "line\ncodes 0 0\n");
  });
});

describe("a number of DynamoDB", () => {
  for (const [given, json] of [
    ["0", "0"],
    ["-0", "0"],
    ["00120", "120"],
    ["1E+2", "100"],
    ["1.50", "1.5"],
    ["1.0", "1"],
    ["-12.5e1", "-125"],
    ["5E-3", "0.005"],
    ["99999999999999999999999999999999999999", "99999999999999999999999999999999999999"],
  ] as const) {
    it(`${given} is ${json} in JSON`, () => assert.equal(jsonNumber(given), json));
  }
});
