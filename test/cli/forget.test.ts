import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { DeleteCommand } from "@aws-sdk/lib-dynamodb";
import { storeOf } from "../../cli/target";
import { readBatch } from "../../runtime/ledger";
import { OLD_VERSION_DAYS, place } from "../../runtime/places";
import { until } from "../support/commands";
import { folders } from "../support/folders";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const forget = verb("forget");
const python = path.resolve(__dirname, "..", "..", ".local", "python", "bin", "python");
const [first, second, third] = ["A", "B", "C"].map((letter) => `20240625T100000Z-${letter.repeat(8)}`) as [
  string,
  string,
  string,
];
const DAY = "2024-06-27";
const settledAt = `${DAY}T00:00:00.000Z`;
const tombstone = place("forgotten", { userId: "gone" });

/** A curated file of these listeners, with another column as curated has. */
function parquet(folder: string, users: string[]): Uint8Array {
  const values = users.map((user) => `('${user}', 't1')`).join(", ");
  const query = `COPY (SELECT * FROM (VALUES ${values}) rows(user_id, track_id)) TO 'rows' (FORMAT parquet, CODEC zstd)`;
  execFileSync(python, ["-c", "import duckdb, sys; duckdb.sql(sys.argv[1])", query], { cwd: folder });
  return readFileSync(path.join(folder, "rows"));
}

describe("forget", () => {
  let pipeline: Pipeline;
  let mixed: Uint8Array;
  let others: Uint8Array;
  beforeEach(async () => {
    pipeline = await startPipeline();
    mixed ??= parquet(pipeline.root, ["gone", "gone.2", "stays", "gone"]);
    others ??= parquet(pipeline.root, ["gone.2", "a:gone", "stays"]);
    // Each batch in its own way: two days; only a bad row; nobody of that name.
    await archived(first, { "2024-06-24": mixed, "2024-06-25": mixed }, ["bad_id gone,t 1,x", "bad_id gone.2,t 1,x"]);
    await archived(second, { "2024-06-25": others }, ["malformed_row about gone"]);
    await archived(third, { "2024-06-25": others }, ["forgotten ", "bad_id a:gone,t 1,x"]);
  });
  afterEach(() => pipeline.close());

  const stateOf = async (batchId: string) => (await readBatch(storeOf(pipeline.target), batchId))?.state;
  const settle = (batchId: string) =>
    pipeline.putLedger({ pk: "BATCH", sk: batchId, batchId, state: "ARCHIVED", day: DAY, version: 9, settledAt });

  /** A settled batch of one file, with its output. */
  async function archived(batchId: string, days: Record<string, Uint8Array>, rows: string[]): Promise<void> {
    const name = `${batchId}.csv`;
    await pipeline.put(`${folders.incoming}${name}`, "a body");
    const claim = await pipeline.claim(batchId, [name]);
    await claim.move(name, `${folders.archived}${DAY}/${batchId}/${name}`);
    await claim.report({ filesQuarantined: [], filesChanged: [], files: [] });
    await claim.set({ version: 4, attempt: 1, state: "ARCHIVED", day: DAY, settledAt });
    for (const [date, body] of Object.entries(days)) await write(batchId, date, body);
    const lines = rows.map((row) => {
      const [reason, ...raw] = row.split(" ");
      return JSON.stringify({ key: `${folders.incoming}${name}`, reason, raw: raw.join(" ") });
    });
    await pipeline.put(`${place("quarantinedRows", { batchId })}part-0.json`, `${lines.join("\n")}\n`);
  }

  async function write(batchId: string, date: string, Body: Uint8Array): Promise<void> {
    const Key = `${place("listensBatch", { date, batchId })}part-0.parquet`;
    await pipeline.target.s3.send(new PutObjectCommand({ Bucket: pipeline.target.outputs.bucketName, Key, Body }));
  }

  async function remove(Key: string): Promise<void> {
    await pipeline.target.s3.send(new DeleteObjectCommand({ Bucket: pipeline.target.outputs.bucketName, Key }));
  }

  it("--dry-run says which batches would run again, which can't, and what stays, and changes nothing", async () => {
    await remove(`${folders.archived}${DAY}/${second}/${second}.csv`);
    const { code, out } = await pipeline.run(forget, "gone", "--dry-run");
    assert.equal(code, 1, "a batch can't run again");
    assert.match(out, new RegExp(`${first} │ 2 days, 2024-06-24 to 2024-06-25 │ +4 │ +1 │ would run again`));
    assert.match(out, new RegExp(`${second} │ - +│ +0 │ +1 │ stays`));
    assert.match(out, new RegExp(`\n${second}: ${second}.csv was read, but is not in the archive`));
    assert.doesNotMatch(out, new RegExp(third));
    const date = new Date(Date.now() + OLD_VERSION_DAYS * 86_400_000).toISOString().slice(0, 10);
    assert.match(
      out,
      new RegExp(`What stays of listener gone:[\\s\\S]*30 days: until ${date}[\\s\\S]*\n- ${tombstone}: `),
    );
    assert.match(out, /Nothing was changed\.\n$/);
    assert.deepEqual(await pipeline.keys(folders.forgotten), []);
    assert.deepEqual([await stateOf(first), await stateOf(second)], ["ARCHIVED", "ARCHIVED"]);
    const nobody = await pipeline.run(forget, "nobody", "--dry-run");
    assert.deepEqual([nobody.code, /^No batch has rows/.test(nobody.out)], [0, true]);
  });

  it("puts the listener on the list once, and queues each batch that has them", async () => {
    const said = await pipeline.run(forget, "gone");
    assert.equal(said.code, 0, said.notes.join("\n"));
    assert.deepEqual(
      [await stateOf(first), await stateOf(second), await stateOf(third)],
      ["REPLAY", "REPLAY", "ARCHIVED"],
    );
    assert.match(
      said.notes.join("\n"),
      /2 batches will run again. To see it end: npx music-streams forget gone --wait$/,
    );
    await until("a tick was asked for", async () => (await pipeline.keys("ticks/")).length > 0);
    const bucket = { Bucket: pipeline.target.outputs.bucketName, Key: tombstone };
    const read = async () => (await pipeline.target.s3.send(new GetObjectCommand(bucket))).Body!.transformToString();
    const body = await read();
    assert.ok(Date.parse(JSON.parse(body).forgottenAt) > Date.now() - 60_000, body);

    const again = await pipeline.run(forget, "gone");
    assert.equal(again.code, 1, "both are still queued");
    assert.match(again.out, new RegExp(`${first} │ .* │ at work or queued`));
    assert.match(again.notes.join("\n"), new RegExp(`Not finished: ${first}, ${second} at work or queued`));
    assert.equal(await read(), body);
    assert.equal((await readBatch(storeOf(pipeline.target), first))?.attempt, 2, "it runs once");
  });

  it("names a batch in flight, whose run may have read the list too early", async () => {
    await pipeline.putLedger({ pk: "PIPELINE", sk: "IN_FLIGHT", batchId: "B" });
    const { code, notes } = await pipeline.run(forget, "nobody");
    assert.equal(code, 1);
    assert.match(notes.join("\n"), /Not finished: B at work .* repeat: npx music-streams forget nobody$/);
  });

  it("names a batch that can't run again, with the reason, and queues the others", async () => {
    await remove(`${folders.archived}${DAY}/${first}/${first}.csv`);
    for (const args of [[], ["--wait"]]) {
      const waits = pipeline.run(forget, "gone", ...args);
      if (args.length > 0) {
        await until("it waits for the second", async () => (await stateOf(second)) === "REPLAY");
        await pipeline.put(`${place("quarantinedRows", { batchId: second })}part-0.json`, "\n");
        await settle(second);
        await pipeline.target.documents.send(dequeue(second));
      }
      const { code, out, notes } = await waits;
      assert.equal(code, 1);
      assert.match(out, new RegExp(`${first} │ 2 days, .* │ +4 │ +1 │ stays`));
      assert.match(
        out,
        new RegExp(`${first}: batch ${first} can't run again: .*csv was read, but is not in the archive`),
      );
      assert.match(notes.join("\n"), /1 batch can't run again, so the rows stay/);
      assert.doesNotMatch(out, /Nothing of listener/);
    }
  });

  it("--wait ends when a search finds nothing, and asks again for what a run in flight wrote meanwhile", async () => {
    const inFlight = "20240626T100000Z-DDDDDDDD";
    await archived(inFlight, {}, []);
    await pipeline.putLedger({ pk: "BATCH", sk: inFlight, batchId: inFlight, state: "RUNNING", version: 4 });
    await pipeline.putLedger({ pk: "PIPELINE", sk: "IN_FLIGHT", batchId: inFlight });
    const waits = pipeline.run(forget, "gone", "--wait");
    await until("the listener is on the list", async () => (await pipeline.keys(folders.forgotten)).length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(await stateOf(first), "ARCHIVED", "it searches when the batch in flight is settled");
    await write(inFlight, "2024-06-26", mixed);
    await pipeline.target.documents.send(dequeue());
    await settle(inFlight);
    const all = [first, second, inFlight];
    await until("all run again", async () => (await stateOf(inFlight)) === "REPLAY");
    await write(first, "2024-06-24", others);
    await write(first, "2024-06-25", others);
    await write(inFlight, "2024-06-26", others);
    for (const batchId of all) await pipeline.put(`${place("quarantinedRows", { batchId })}part-0.json`, "\n");
    for (const batchId of all) await pipeline.target.documents.send(dequeue(batchId));
    for (const batchId of all) await settle(batchId);
    const { code, out, notes } = await waits;
    assert.equal(code, 0, notes.join("\n"));
    const { listens, quarantinedRows } = folders;
    assert.ok(
      out.endsWith(`\nNothing of listener gone is left in ${listens}, ${quarantinedRows} and the metrics.\n`),
      out,
    );
    assert.match(notes.join("\n"), /First, 1 batch must end\.[\s\S]*3 batches will run again\./);
  });

  it("refuses what is no id, and touches nothing then", async () => {
    for (const wrong of ["a b", ".a", "ä", "a/b", "x".repeat(129)]) {
      const { code, out, notes } = await pipeline.run(forget, wrong);
      assert.deepEqual([code, out], [2, ""]);
      assert.match(notes.join("\n"), /is not the id of a listener/);
    }
    assert.deepEqual(await pipeline.keys(folders.forgotten), []);
  });

  /** Takes a batch out of the queue, or the one in flight out of it. */
  function dequeue(batchId?: string): DeleteCommand {
    const sk = batchId === undefined ? "IN_FLIGHT" : `QUEUE#${batchId}`;
    return new DeleteCommand({ TableName: pipeline.target.outputs.ledgerTableName, Key: { pk: "PIPELINE", sk } });
  }
});
