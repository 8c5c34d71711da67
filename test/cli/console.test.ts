import assert from "node:assert/strict";
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import { type AttributeValue, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { consoleSource } from "../../cli/console/source";
import type { Source } from "../../console/source";
import { place } from "../../runtime/places";
import { until } from "../support/commands";
import { folders } from "../support/folders";
import { type Pipeline, runCommandIn, startPipeline, verb } from "./pipeline";

const [oldest, older, newest] = ["20240625T100000Z-AAAAAAAA", "20240625T110000Z-BBBBBBBB", "20240625T120000Z-CCCCCCCC"];
const day = "2024-06-25";

describe("what the console reads", () => {
  let pipeline: Pipeline;
  let source: Source;

  before(async () => {
    pipeline = await startPipeline();
    source = consoleSource(pipeline.target, null);
    const report = { rowsRead: 12, rowsKept: 7, rowsDuplicate: 2, rowsQuarantined: { bad_id: 3 } };
    const times = { startedAt: "2024-06-25T12:00:05Z", finishedAt: "2024-06-25T12:00:20Z" };
    await pipeline.putLedger({
      ...{ pk: "BATCH", sk: newest, batchId: newest, state: "ARCHIVED", attempt: 1, files: 2, bytes: 900, day },
      ...{
        landedAt: "2024-06-25T11:59:00Z",
        claimedAt: "2024-06-25T12:00:00Z",
        startedAt: "2024-06-25T12:00:01Z",
        settledAt: "2024-06-25T12:00:40Z",
      },
      report: { ...report, ...times, filesQuarantined: 1, filesChanged: 0 },
      publishReport: { startedAt: "2024-06-25T12:00:21Z", finishedAt: "2024-06-25T12:00:30Z", itemsWritten: 4 },
      moves: { moved: 1, quarantined: 1, left: 0, missing: 0 },
    });
    await pipeline.putLedger({ pk: "BATCH", sk: older, batchId: older, state: "FAILED", error: "poison" });
    // As little as an earlier version may have written.
    await pipeline.putLedger({ pk: "BATCH", sk: oldest, batchId: oldest, state: "ARCHIVED", report: { rowsRead: 1 } });
    const file = (name: string, size: number) => ({
      ...{ key: folders.incoming + name, name, etag: '"x"', size, lastModified: "2024-06-25T11:59:00Z" },
    });
    const files = [file("a.csv", 600), file("b.csv", 300)];
    await pipeline.put(place("manifest", { batchId: newest }), JSON.stringify({ batchId: newest, files }));
    const filesQuarantined = [{ name: "b.csv", key: `${folders.incoming}b.csv`, reason: "not_text", detail: "zip" }];
    const whole = {
      ...report,
      ...times,
      batchId: newest,
      filesQuarantined,
      filesChanged: [],
      days: ["2024-06-24", day],
    };
    await pipeline.put(
      place("transformReport", { batchId: newest }),
      JSON.stringify({ ...whole, files: [{ name: "a.csv", ...report }] }),
    );
    const row = { key: `${folders.incoming}a.csv`, reason: "bad_id", raw: "u 1,t,x" };
    await pipeline.put(`${place("quarantinedRows", { batchId: newest })}part-0.json`, `${JSON.stringify(row)}\n`);
  });
  after(() => pipeline.close());

  const json = async (...args: string[]) =>
    JSON.parse((await pipeline.run(verb(args[0]!), ...args.slice(1), "--json")).out);

  it("is the batches of the ledger, as batches --json has them, and each page goes on where the last ended", async () => {
    const all = await source.batches({ limit: 10 });
    const rows = (await json("batches")) as { batchId: string }[];
    assert.deepEqual(
      all.map(({ transform, publish, ...batch }) => batch),
      rows,
    );
    const first = await source.batches({ limit: 2 });
    assert.deepEqual(
      first.map(({ batchId }) => batchId),
      [newest, older],
    );
    const next = await source.batches({ limit: 2, before: older });
    assert.deepEqual(
      next.map(({ batchId }) => batchId),
      [oldest],
    );
    const since = await source.batches({ limit: 2, since: "20240625T1030" });
    assert.equal(since.length, 2);
  });

  it("is a batch with its steps and their times, files, days and quarantined rows", async () => {
    const batch = (await source.batch(newest))!;
    assert.deepEqual(
      batch.steps.map(({ name, state, from, elapsedMs }) => [name, state, from, elapsedMs]),
      [
        ["sense", "done", "2024-06-25T12:00:00Z", 1_000],
        ["transform", "done", "2024-06-25T12:00:05Z", 15_000],
        ["publish", "done", "2024-06-25T12:00:21Z", 9_000],
        ["archive", "done", "2024-06-25T12:00:30Z", 10_000],
      ],
    );
    assert.match(batch.steps[1]!.detail!, /12 rows: 7 kept, 2 duplicate, 3 quarantined/);
    assert.deepEqual(batch.read.get("a.csv"), { rowsRead: 12, rowsKept: 7, rowsDuplicate: 2, rowsQuarantined: 3 });
    assert.deepEqual([batch.manifest.length, batch.days], [2, ["2024-06-24", day]]);
    assert.deepEqual(batch.quarantine.files, (await json("quarantine", newest)).files);
    assert.deepEqual(batch.quarantine.first, (await json("quarantine", newest)).first);
    assert.equal(await source.batch("20240625T120000Z-NOTTHERE"), undefined);
  });

  it("is whole for a batch of an earlier version that left little", async () => {
    const batch = (await source.batch(oldest))!;
    assert.deepEqual([batch.manifest, batch.days, batch.attempt], [[], [], null]);
    assert.equal(batch.steps.length, 4);
    for (const { elapsedMs } of batch.steps) assert.ok(elapsedMs === null || elapsedMs >= 0);
    const { code, out } = await pipeline.run(verb("report"), oldest);
    assert.equal(code, 0);
    assert.doesNotMatch(out, /NaN|undefined/);
  });

  it("is what waits and what is in flight", async () => {
    const etag = await pipeline.put(`${folders.incoming}c.csv`, "12345");
    const { waiting, inFlight, pausedSince } = await source.pipeline();
    assert.deepEqual([waiting.files, waiting.bytes, waiting.held, waiting.isWhole], [1, 5, 0, true]);
    await pipeline.putLedger({ pk: "HELD", sk: `${folders.incoming}c.csv`, etag, batchId: newest });
    assert.deepEqual(await source.pipeline().then((now) => [now.waiting.files, now.waiting.held]), [0, 1]);
    assert.deepEqual([inFlight, pausedSince], [null, null]);
  });

  it("is the reasons of all batches, and first rows of the newest", async () => {
    const { reasons, files, first } = await source.quarantine();
    assert.deepEqual({ reasons, files }, await json("quarantine"));
    assert.deepEqual(first, (await json("quarantine", newest)).first);
  });

  it("is the metrics of a day, a genre and a track, with every digit", async () => {
    const counts = { listens: { N: "9007199254740993" }, unique_listeners: { N: "2" }, listening_ms: { N: "60000" } };
    const numbers = { listens: 9_007_199_254_740_993n, listeners: 2n, listeningMs: 60_000n };
    const put = (pk: string, sk: string, more: Record<string, AttributeValue>) =>
      pipeline.target.dynamodb.send(
        new PutItemCommand({
          TableName: pipeline.target.outputs.metricsTableName,
          Item: { pk: { S: pk }, sk: { S: sk }, ...more },
        }),
      );
    await put(`DAY#${day}`, "SUMMARY", counts);
    await put(`DAY#${day}`, "TOP_GENRES", {
      genres: { L: [{ M: { rank: { N: "1" }, genre: { S: "jazz" }, ...counts } }] },
    });
    await put("GENRE#jazz", `DAY#${day}`, counts);
    await put("GENRE#jazz", "DAY#2024-06-24", counts);
    const track = { rank: { N: "1" }, track_id: { S: "t1" }, track_name: { S: "Blue" }, ...counts };
    await put("GENRE#jazz", `TOP_TRACKS#${day}`, { tracks: { L: [{ M: track }] } });
    await put("GENRE#a", `DAY#${day}`, { ...counts, listens: { N: "1" }, listed_in: { S: `GENRES#${day}` } });
    await put("TRACK#t1", `DAY#${day}`, { ...counts, track_name: { S: "Blue" }, artists: { S: "A;B" } });
    assert.equal(await source.latestDay(), day);
    assert.deepEqual([await source.listedDays(), await source.listedGenres("2024-06-24")], [[], []]);
    await put("GENRE#jazz", `DAY#${day}`, { ...counts, listed_in: { S: `GENRES#${day}` } });
    await put(`DAY#${day}`, "SUMMARY", { ...counts, listed_in: { S: "DAYS" } });
    await put("DAY#2024-07-01", "SUMMARY", { ...counts, listed_in: { S: "DAYS" } });
    const later = { date: "2024-07-01", ...numbers };
    assert.deepEqual(await source.listedDays(), [later, { date: day, ...numbers }]);
    assert.equal(await source.latestDay(), "2024-07-01");
    assert.deepEqual(await source.listedGenres(day), [
      { genre: "jazz", ...numbers },
      { genre: "a", ...numbers, listens: 1n },
    ]);
    assert.deepEqual(await source.days(["2024-06-24", day]), [{ date: day, ...numbers }]);
    assert.deepEqual(await source.topGenres(day), [{ genre: "jazz", ...numbers }]);
    assert.deepEqual(await source.dayParts(day), { topTracks: [], hours: [], countries: [] });
    await put(`DAY#${day}`, "TOP_TRACKS", { tracks: { L: [{ M: track }] } });
    await put(`DAY#${day}`, "HOURS", { hours: { L: [{ M: { hour: { N: "7" }, ...counts } }] } });
    await put(`DAY#${day}`, "COUNTRIES", {
      countries: { L: [{ M: { country: { S: "Chile" }, ...counts } }, { M: counts }] },
    });
    assert.deepEqual(await source.dayParts(day), {
      topTracks: [{ trackId: "t1", name: "Blue", artists: undefined, ...numbers }],
      hours: [{ hour: "7", ...numbers }],
      countries: [
        { country: "Chile", ...numbers },
        { country: undefined, ...numbers },
      ],
    });
    const { days, topTracks } = await source.genre("jazz");
    assert.deepEqual(
      days.map(({ date }) => date),
      ["2024-06-24", day],
    );
    const shown = { trackId: "t1", name: "Blue", artists: undefined, ...numbers };
    assert.deepEqual(topTracks, [{ date: day, tracks: [shown] }]);
    assert.deepEqual(await source.track("t1"), { name: "Blue", artists: "A;B", days: [{ date: day, ...numbers }] });
  });

  it("is the log, with errors marked, again and again", async () => {
    const logs = new CloudWatchLogsClient(pipeline.target.access);
    const logGroupName = `/aws/lambda/${pipeline.target.outputs.senseFunctionName}`;
    await logs.send(new CreateLogGroupCommand({ logGroupName })).catch(() => undefined);
    await logs.send(new CreateLogStreamCommand({ logGroupName, logStreamName: "a" }));
    const message = JSON.stringify({ level: "ERROR", event: "startFailed", batch_id: newest, why: "no luck" });
    const timestamp = Date.parse("2024-06-25T12:00:01Z");
    await logs.send(new PutLogEventsCommand({ logGroupName, logStreamName: "a", logEvents: [{ timestamp, message }] }));
    for (const _ of ["first", "second"]) {
      const [line, ...others] = await source.logs(newest);
      assert.deepEqual([line?.source, line?.isError, line?.text], ["sense", true, "startFailed why=no luck"]);
      assert.deepEqual(others, []);
    }
  });
});

describe("npm run console", () => {
  it("prints an address that shows the pipeline, and ends with 0 when it is stopped", async () => {
    const pipeline = await startPipeline();
    let out = "";
    const terminal = {
      ...{ note: () => undefined, interactive: false, env: {}, root: pipeline.root, cwd: pipeline.root },
      out: (text: string) => {
        out += text;
      },
    };
    const ends = verb("console")(["--port", "0"], terminal);
    const address = await until("it is up", async () => /^http\S+/.exec(out)?.[0]);
    assert.equal(out, `${address}\n`);
    const opened = await fetch(address, { redirect: "manual" });
    const cookie = opened.headers.get("set-cookie")!.split(";")[0]!;
    const page = await fetch(new URL("/batches", address), { headers: { cookie } });
    assert.match(await page.text(), /No batches yet/);
    process.emit("SIGHUP");
    assert.equal(await ends, 0);
    await assert.rejects(fetch(address));
    await pipeline.close();
  });
});

describe("npm run report", () => {
  it("ends with 1 for a batch that the ledger does not know", async () => {
    const pipeline = await startPipeline();
    const { code, out, notes } = await runCommandIn(pipeline.root, verb("report"), [newest]);
    assert.deepEqual([code, out], [1, ""]);
    assert.match(notes.join("\n"), /The ledger knows no batch/);
    await pipeline.close();
  });
});
