import assert from "node:assert/strict";
import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import { storeOf } from "../../cli/target";
import type { Batch } from "../../runtime/batch";
import { readHeld } from "../../runtime/held";
import { readBatch, readPipeline } from "../../runtime/ledger";
import { until } from "../support/commands";
import { folders } from "../support/folders";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const abandon = verb("abandon");
const batches = verb("batches");
const pauseCommand = verb("pause");
const replay = verb("replay");
const resumeCommand = verb("resume");
const retry = verb("retry");

const DAY = "2024-06-27";

describe("the commands of an operator", () => {
  let pipeline: Pipeline;
  beforeEach(async () => {
    pipeline = await startPipeline();
  });
  afterEach(() => pipeline.close());

  const batch = (batchId: string) => readBatch(storeOf(pipeline.target), batchId) as Promise<Batch>;
  const ticks = async () => (await pipeline.keys("ticks/")).length;
  async function queued(): Promise<string[]> {
    const { Items } = await pipeline.target.documents.send(
      new QueryCommand({
        TableName: pipeline.target.outputs.ledgerTableName,
        KeyConditionExpression: "pk = :pipeline AND begins_with(sk, :queue)",
        ExpressionAttributeValues: { ":pipeline": "PIPELINE", ":queue": "QUEUE#" },
      }),
    );
    return (Items ?? []).map((item) => item.batchId);
  }

  /** A settled batch with its files where they belong, but those of `lost`. */
  async function settled(batchId: string, names: string[], more: Record<string, unknown> = {}, lost: string[] = []) {
    const state = String(more.state ?? "ARCHIVED");
    for (const name of names) await pipeline.put(`${folders.incoming}${name}`, `body of ${name}`);
    const claim = await pipeline.claim(batchId, names);
    for (const name of names) {
      const folder = state === "FAILED" ? folders.failed : folders.archived;
      await claim.move(name, `${lost.includes(name) ? "elsewhere/" : folder}${DAY}/${batchId}/${name}`);
    }
    await claim.report({ filesQuarantined: [], filesChanged: [], files: [] });
    await claim.set({
      version: 4,
      state,
      day: DAY,
      settledAt: `${DAY}T00:00:00.000Z`,
      report: { rowsRead: 7 },
      ...more,
    });
  }

  it("pause and resume say what they did, and only resume asks for a tick", async () => {
    await pipeline.putLedger({ pk: "PIPELINE", sk: "IN_FLIGHT", batchId: "B" });
    const paused = await pipeline.run(pauseCommand);
    assert.equal(paused.code, 0);
    assert.equal(paused.out, "The local cloud is paused. Batch B is still settled. To end the pause: npm run resume\n");
    const { pausedSince } = await readPipeline(storeOf(pipeline.target));
    assert.match((await pipeline.run(pauseCommand)).out, new RegExp(`is paused since ${pausedSince}`));
    assert.equal(await ticks(), 0);
    assert.notEqual((await pipeline.run(pauseCommand, "--now")).code, 0, "a pause has no work for a tick");
    assert.match((await pipeline.run(resumeCommand)).out, /goes on; it was paused since/);
    await until("a tick was asked for", async () => (await ticks()) > 0);
    assert.equal((await readPipeline(storeOf(pipeline.target))).pausedSince, undefined);
    assert.match((await pipeline.run(resumeCommand)).out, /was not paused/);
  });

  it("replay queues the named batches, and asks for a tick", async () => {
    await settled("20240625T100000Z-AAAAAAAA", ["a.csv", "b c.csv"]);
    const said = await pipeline.run(replay, "20240625T100000Z-AAAAAAAA");
    assert.equal(said.code, 0, said.notes.join("\n"));
    assert.match(said.out, /20240625T100000Z-AAAAAAAA │ +2 │ +28 B │ +7 /);
    assert.match(said.out, /1 batch will run again/);
    const { state, attempt, replay: isReplay, settledAt } = await batch("20240625T100000Z-AAAAAAAA");
    assert.deepEqual([state, attempt, isReplay, settledAt], ["REPLAY", 2, true, undefined]);
    assert.deepEqual(await queued(), ["20240625T100000Z-AAAAAAAA"]);
    await until("a tick was asked for", async () => (await ticks()) > 0);
    assert.equal((await pipeline.run(replay, "20240625T100000Z-AAAAAAAA")).code, 0, "requested twice, it runs once");
    assert.equal((await batch("20240625T100000Z-AAAAAAAA")).attempt, 2);
  });

  it("replay takes the days of a range, the last one included, and names what it skips", async () => {
    await settled("20240624T235959Z-AAAAAAAA", ["a.csv"]);
    await settled("20240625T000000Z-AAAAAAAA", ["b.csv"]);
    await settled("20240626T235959Z-AAAAAAAA", ["c.csv"]);
    await settled("20240626T120000Z-AAAAAAAA", ["d.csv"], { state: "FAILED" });
    await settled("20240627T000000Z-AAAAAAAA", ["e.csv"]);
    const range = ["--from", "2024-06-25", "--to", "2024-06-26"];
    const dry = await pipeline.run(replay, "--dry-run", ...range);
    assert.equal(dry.code, 0);
    assert.match(dry.out, /2 batches would run again. Nothing was changed/);
    assert.deepEqual(await queued(), []);
    assert.deepEqual(dry.notes, ["Skipped: batch 20240626T120000Z-AAAAAAAA is FAILED."]);
    assert.equal((await pipeline.run(replay, ...range)).code, 0);
    assert.deepEqual(await queued(), ["20240625T000000Z-AAAAAAAA", "20240626T235959Z-AAAAAAAA"]);
    await pipeline.run(replay, "--to", "2024-06-24");
    assert.deepEqual((await queued()).length, 3);
  });

  it("replay refuses a batch whose listens it would lose, and then queues none of the named ones", async () => {
    await settled("20240625T100000Z-AAAAAAAA", ["a.csv"]);
    await settled("20240625T100001Z-AAAAAAAA", ["b.csv"], {}, ["b.csv"]);
    const said = await pipeline.run(replay, "20240625T100000Z-AAAAAAAA", "20240625T100001Z-AAAAAAAA", "nope");
    assert.equal(said.code, 1);
    assert.match(said.notes.join("\n"), /T100001Z-AAAAAAAA can't run again: b.csv was read, but is not in the archive/);
    assert.match(said.notes.join("\n"), /nope can't run again: the ledger has no such batch/);
    assert.deepEqual(await queued(), []);
    const range = await pipeline.run(replay, "--from", "2024-06-25");
    assert.equal(range.code, 1);
    assert.deepEqual(await queued(), ["20240625T100000Z-AAAAAAAA"], "the others of a range run");
  });

  it("replay --wait notes the states of each batch, and ends when all are archived again", async () => {
    const batchId = "20240625T100000Z-AAAAAAAA";
    await settled(batchId, ["a.csv"]);
    const waits = pipeline.run(replay, "--wait", batchId);
    while ((await batch(batchId)).state !== "REPLAY") await new Promise((resolve) => setTimeout(resolve, 50));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await pipeline.putLedger({
      pk: "BATCH",
      sk: batchId,
      batchId,
      state: "ARCHIVED",
      settledAt: `${DAY}T00:00:00.000Z`,
    });
    const said = await waits;
    assert.equal(said.code, 0);
    assert.match(said.notes.join("\n"), /: REPLAY\n.*: ARCHIVED/);
  });

  it("retry requests the file of a FAILED batch back, by the batch's id or with all others", async () => {
    await settled("20240625T100000Z-AAAAAAAA", ["a.csv"], { state: "FAILED", error: "boom" });
    await settled("20240625T100001Z-AAAAAAAA", ["b.csv"], { state: "FAILED" });
    await settled("20240625T100002Z-AAAAAAAA", ["c.csv"]);
    await settled("20240625T100003Z-AAAAAAAA", ["d.csv"], { state: "FAILED", retriedAt: `${DAY}T00:00:00.000Z` });
    const one = await pipeline.run(retry, "20240625T100000Z-AAAAAAAA");
    assert.equal(one.code, 0, one.notes.join("\n"));
    assert.match(one.out, new RegExp(`the next tick puts its files back into ${folders.incoming}`));
    const { state, puttingBack, settledAt } = await batch("20240625T100000Z-AAAAAAAA");
    assert.deepEqual([state, puttingBack, settledAt], ["FAILED", true, undefined]);
    assert.equal((await pipeline.run(retry, "--all")).code, 0);
    assert.deepEqual(await queued(), ["20240625T100000Z-AAAAAAAA", "20240625T100001Z-AAAAAAAA"]);
    assert.match((await pipeline.run(retry, "20240625T100003Z-AAAAAAAA")).out, /its files were put back already/);
    const wrong = await pipeline.run(retry, "20240625T100002Z-AAAAAAAA");
    assert.equal(wrong.code, 1);
    assert.match(wrong.notes.join("\n"), /is ARCHIVED: only a failed batch's file can be put back/);
    assert.match((await pipeline.run(batches)).out, new RegExp(`its files were put back into ${folders.incoming}`));
  });

  it("retry does not overwrite another file", async () => {
    await settled("20240625T100000Z-AAAAAAAA", ["a.csv"], { state: "FAILED" });
    await pipeline.put(`${folders.incoming}a.csv`, "another");
    const said = await pipeline.run(retry, "--all");
    assert.equal(said.code, 1);
    assert.match(
      said.notes.join("\n"),
      new RegExp(`^Batch 20240625T100000Z-AAAAAAAA: ${folders.incoming}a.csv holds another file by now`),
    );
    assert.deepEqual(await queued(), []);
  });

  it("retry releases the held files of an archived batch, by its id or with --all", async () => {
    const moves = { moved: 1, quarantined: 0, left: 0, missing: 0, held: 1 };
    const name = "b.csv";
    for (const args of [["20240625T100000Z-AAAAAAAA"], ["--all"]]) {
      const batchId = args[0] === "--all" ? "20240625T100001Z-AAAAAAAA" : args[0]!;
      await settled(batchId, ["a.csv", name], { moves, notMoved: "KMS.DisabledException: k" }, [name]);
      await pipeline.putLedger({ pk: "HELD", sk: `${folders.incoming}${name}`, etag: "e", batchId });
      assert.match((await pipeline.run(batches, "--json")).out, /"notMoved": "KMS.DisabledException: k"/);
      const said = await pipeline.run(retry, ...args);
      assert.equal(said.code, 0, said.notes.join("\n"));
      assert.ok((await batch(batchId)).retriedAt);
      assert.equal((await readHeld(storeOf(pipeline.target))).size, 0);
    }
  });

  it("abandon says what it means, and changes nothing without --yes", async () => {
    const batchId = "20240625T100000Z-AAAAAAAA";
    await settled(batchId, ["a.csv"], { state: "RUNNING", settledAt: undefined });
    const asked = await pipeline.run(abandon, batchId);
    assert.equal(asked.code, 1);
    assert.match(asked.out, new RegExp(`is RUNNING. Abandoning it stops its run .* Its files go to ${folders.failed}`));
    assert.match(asked.notes.join("\n"), /Nothing was changed. To do it, repeat the command with --yes/);
    assert.equal((await batch(batchId)).abandonedAt, undefined);
    const done = await pipeline.run(abandon, batchId, "--yes");
    assert.equal(done.code, 0, done.notes.join("\n"));
    assert.ok((await batch(batchId)).abandonedAt);
    await until("a tick was asked for", async () => (await ticks()) > 0);
    assert.match((await pipeline.run(batches, "--json")).out, /"abandonedAt": "2/);
  });

  it("abandon says what it means for a replay, a moving batch and a retry, and refuses the others", async () => {
    const open = { settledAt: undefined };
    for (const [id, more, says] of [
      ["A", { state: "RETRY", replay: true, ...open }, /ends the replay, and the batch stays archived/],
      ["B", { state: "PROCESSED", transformed: true, ...open }, /holds the files that S3 does not move/],
      ["C", { state: "FAILED", puttingBack: true, ...open }, /each stays where it is now/],
    ] as const) {
      await settled(`20240625T100000Z-${id}`, [`${id}.csv`], more);
      assert.match((await pipeline.run(abandon, `20240625T100000Z-${id}`)).out, says);
    }
    await settled("20240625T100000Z-D", ["d.csv"]);
    await settled("20240625T100000Z-E", ["e.csv"], { state: "RETRY", transformed: true, ...open });
    for (const [id, why] of [
      ["D", /is ARCHIVED and settled/],
      ["E", /only a successful publish can end it/],
      ["F", /knows no batch/],
    ] as const) {
      const said = await pipeline.run(abandon, "--yes", `20240625T100000Z-${id}`);
      assert.deepEqual([said.code, said.out], [1, ""]);
      assert.match(said.notes.join("\n"), why);
    }
  });

  it("say that the pipeline is paused, and ask for no tick", async () => {
    await settled("20240625T100000Z-AAAAAAAA", ["a.csv"]);
    await pipeline.run(pauseCommand);
    const said = await pipeline.run(replay, "20240625T100000Z-AAAAAAAA");
    assert.match(said.notes.join("\n"), /paused: this begins after npm run resume/);
    assert.equal(await ticks(), 0);
  });

  it("refuse to run without batches, and with dates that do not exist", async () => {
    for (const args of [[], ["B", "--from", "2024-06-25"]])
      assert.match((await pipeline.run(replay, ...args)).notes.join("\n"), /replay: name batches, or give --from DATE/);
    assert.match((await pipeline.run(replay, "--to", "2024-02-30")).notes.join("\n"), /"2024-02-30" is not a date/);
    const backwards = await pipeline.run(replay, "--from", "2024-06-26", "--to", "2024-06-25");
    assert.match(backwards.notes.join("\n"), /--from 2024-06-26 is after --to 2024-06-25/);
    assert.match((await pipeline.run(retry)).notes.join("\n"), /retry: name batches, or give --all/);
    assert.match((await pipeline.run(retry, "--help")).out, /Mend the cause first/);
  });
});
