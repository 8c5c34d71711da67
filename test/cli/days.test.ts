import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type AttributeValue, BatchWriteItemCommand } from "@aws-sdk/client-dynamodb";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const counts = (listens: number) => ({
  listens: { N: String(listens) },
  unique_listeners: { N: "2" },
  listening_ms: { N: "9007199254740993" },
});
const day = (date: string, listens: number) => ({
  ...{ pk: { S: `DAY#${date}` }, sk: { S: "SUMMARY" }, tracks: { N: "7" }, genres: { N: "3" }, ...counts(listens) },
  ...{ batch_id: { S: "b" }, published_at: { S: "2026-01-01T00:00:00Z" } },
});
const group = (pk: string, date: string, listens: number) => ({
  ...{ pk: { S: pk }, sk: { S: `DAY#${date}` }, ...counts(listens) },
});
const listed = (place: string, item: Record<string, AttributeValue>) => ({ ...item, listed_in: { S: place } });
const earlier = "2024-06-23";

describe("npm run days, npm run genres", () => {
  let pipeline: Pipeline;

  before(async () => {
    pipeline = await startPipeline();
  });
  after(() => pipeline.close());

  const lines = (text: string) => text.split("\n").map((line) => line.trim());

  it("say so when no day has metrics", async () => {
    for (const name of ["days", "genres"]) {
      const { code, out } = await pipeline.run(verb(name));
      assert.deepEqual([code, out], [0, "No day has metrics yet.\n"]);
      assert.equal((await pipeline.run(verb(name), "--json")).out, "[]\n");
    }
  });

  it("list the days newest first, and the genres of one, the most heard first", async () => {
    const genre = (name: string, date: string, listens: number) =>
      listed(`GENRES#${date}`, group(`GENRE#${name}`, date, listens));
    const items = [
      ...[listed("DAYS", day("2024-06-24", 1_234)), listed("DAYS", day("2024-06-25", 12)), day(earlier, 5)],
      ...[genre("jazz", "2024-06-25", 3), genre("a\u001b[31m", "2024-06-25", 9), genre("blues", "2024-06-25", 3)],
      ...[genre("rock", "2024-06-24", 99), group("TRACK#t1", "2024-06-25", 3)],
    ];
    await pipeline.target.dynamodb.send(
      new BatchWriteItemCommand({
        RequestItems: {
          [pipeline.target.outputs.metricsTableName]: items.map((Item) => ({ PutRequest: { Item } })),
        },
      }),
    );
    const days = await pipeline.run(verb("days"));
    assert.equal(days.code, 0);
    assert.deepEqual(days.out.match(/2024-06-\d\d/g), ["2024-06-25", "2024-06-24"]);
    assert.match(days.out, /2024-06-24.* 1,234 .* 2 .* 7 .* 3 /);
    const genres = await pipeline.run(verb("genres"));
    assert.equal(lines(genres.out)[0], "2024-06-25");
    assert.deepEqual(genres.out.match(/a\\u001b\[31m|jazz|blues|rock/g), ["a\\u001b[31m", "blues", "jazz"]);
    assert.match((await pipeline.run(verb("genres"), "--date", "2024-06-24")).out, /rock/);
  });

  it("print JSON with the items of metrics export, every digit of them, and write files", async () => {
    const exported = lines((await pipeline.run(verb("metrics"), "export")).out);
    for (const [name, keys] of [
      ["days", ["DAY#2024-06-25", "DAY#2024-06-24"]],
      ["genres", ["GENRE#a\u001b[31m", "GENRE#blues", "GENRE#jazz"]],
    ] as const) {
      const { out } = await pipeline.run(verb(name), "--json", "--out", `${name}.json`);
      assert.equal(out, "");
      const text = await readFile(path.join(pipeline.root, `${name}.json`), "utf8");
      assert.deepEqual(
        JSON.parse(text).map(({ pk }: { pk: string }) => pk),
        keys,
      );
      for (const line of lines(text).slice(1, -2)) assert.ok(exported.includes(line.replace(/,$/, "")), line);
      assert.match(text, /9007199254740993/);
    }
  });

  it("know a day of an earlier version, which lists nothing, and refuse one without metrics and one that is none", async () => {
    const old = await pipeline.run(verb("genres"), "--date", earlier);
    assert.deepEqual([old.code, old.out], [0, `No genre of ${earlier} is listed.\n`]);
    const { code, notes } = await pipeline.run(verb("genres"), "--date", "2020-01-01");
    assert.equal(code, 1);
    assert.match(notes.join("\n"), /There are no metrics for 2020-01-01/);
    const wrong = await pipeline.run(verb("genres"), "--date", "2024-02-31");
    assert.equal(wrong.code, 2);
  });
});
