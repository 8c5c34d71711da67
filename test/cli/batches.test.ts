import assert from "node:assert/strict";
import fc from "fast-check";
import { batchesText } from "../../cli/batches";
import { batchRow } from "../../cli/ledger";
import { printable } from "../../terminal/format";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const main = verb("batches");

const archived = {
  pk: "BATCH",
  sk: "20240625T171313Z-AAAAAAAA",
  batchId: "20240625T171313Z-AAAAAAAA",
  state: "ARCHIVED",
  attempt: 2,
  files: 3,
  bytes: 1000,
  claimedAt: "2024-06-25T17:13:13.000Z",
  settledAt: "2024-06-25T17:14:33.000Z",
  report: {
    rowsRead: 22692,
    rowsKept: 22600,
    rowsDuplicate: 80,
    rowsQuarantined: { missing_user_id: 2, bad_id: 10 },
    filesQuarantined: 1,
    unknownTracks: 7,
    unknownUsers: 0,
  },
};
const running = {
  pk: "BATCH",
  sk: "20240625T180000Z-BBBBBBBB",
  batchId: "20240625T180000Z-BBBBBBBB",
  state: "RETRY",
  attempt: 1,
  files: 1,
  claimedAt: "2024-06-25T18:00:00.000Z",
  error: "transform: \u001b[31mno\nreference data",
};

describe("npm run batches", () => {
  let pipeline: Pipeline;
  before(async () => {
    pipeline = await startPipeline();
  });
  after(() => pipeline.close());

  it("says so when there is no batch yet", async () => {
    assert.match((await pipeline.run(main)).out, /No batches yet/);
    assert.deepEqual(JSON.parse((await pipeline.run(main, "--json")).out), []);
  });

  it("lists every page of the ledger, newest first, and nothing but batches", async () => {
    await pipeline.putLedger({ pk: "PIPELINE", sk: "IN_FLIGHT", batchId: running.batchId });
    await pipeline.putLedger(archived);
    await pipeline.putLedger(running);
    for (let n = 10; n < 40; n += 1) {
      const id = `20240101T0000${n}Z-CCCCCCCC`;
      await pipeline.putLedger({ pk: "BATCH", sk: id, batchId: id, state: "ARCHIVED", pad: "x".repeat(60_000) });
    }
    const rows = JSON.parse((await pipeline.run(main, "--json")).out) as { batchId: string }[];
    assert.equal(rows.length, 32);
    const ids = rows.map(({ batchId }) => batchId);
    assert.deepEqual(ids, [...ids].sort().reverse());
    assert.equal(ids[0], running.batchId);
  });

  it("lists only the newest when asked to", async () => {
    const { out } = await pipeline.run(main, "--json", "--limit", "2");
    assert.deepEqual(
      JSON.parse(out).map(({ batchId }: { batchId: string }) => batchId),
      [running.batchId, archived.batchId],
    );
    assert.deepEqual(JSON.parse((await pipeline.run(main, "--json", "--limit", "0")).out), []);
    assert.equal((await pipeline.run(main, "--limit", "some")).code, 2);
  });

  it("shows the totals of a settled batch beside its own attributes", () => {
    const { batchId, attempt, files, rowsRead, rowsQuarantined, filesQuarantined, unknownTracks, unknownUsers, error } =
      batchRow(archived);
    assert.deepEqual(
      { batchId, attempt, files, rowsRead, rowsQuarantined, filesQuarantined, unknownTracks, unknownUsers, error },
      {
        ...{
          batchId: archived.batchId,
          attempt: 2,
          files: 3,
          rowsRead: 22692,
          rowsQuarantined: { bad_id: 10, missing_user_id: 2 },
        },
        ...{ filesQuarantined: 1, unknownTracks: 7, unknownUsers: 0, error: null },
      },
    );
  });

  it("shows null for what isn't known yet", () => {
    const { rowsRead, rowsKept, rowsDuplicate, rowsQuarantined, filesQuarantined, unknownTracks, settledAt } =
      batchRow(running);
    const unknown = [rowsRead, rowsKept, rowsDuplicate, rowsQuarantined, filesQuarantined, unknownTracks, settledAt];
    assert.deepEqual(unknown, Array(unknown.length).fill(null));
  });

  it("counts quarantined files that are given as a list", () => {
    assert.equal(
      batchRow({ ...archived, report: { filesQuarantined: [{ name: "a" }, { name: "b" }] } }).filesQuarantined,
      2,
    );
  });

  it("shows how long a settled batch took, and how long ago another was claimed", () => {
    const text = batchesText([batchRow(running), batchRow(archived)], Date.parse("2024-06-25T18:00:42Z"));
    assert.deepEqual(text.split("\n"), [
      "batch                      state     files  rows read    kept",
      "20240625T180000Z-BBBBBBBB  RETRY         1          -       -",
      "    claimed 42 s ago",
      "    error: transform: \\u001b[31mno\\nreference data",
      "20240625T171313Z-AAAAAAAA  ARCHIVED      3     22,692  22,600",
      "    took 1 min 20 s, attempt 2, 80 duplicate, 12 quarantined (bad_id 10,",
      "    missing_user_id 2), 1 file quarantined",
      "",
    ]);
  });

  it("fits 80 columns, whatever an error holds", () => {
    const text = fc.oneof(fc.string({ unit: "binary", maxLength: 900 }), fc.constant("x".repeat(900)));
    const rows = fc.nat(999_999_999);
    fc.assert(
      fc.property(text, rows, fc.nat(99_999), fc.nat(9_000_000), (error, read, files, seconds) => {
        const settledAt = new Date(Date.parse(archived.claimedAt) + seconds * 1000).toISOString();
        const report = { ...archived.report, rowsRead: read, rowsKept: read, rowsDuplicate: read };
        const shown = batchRow({ ...archived, error, files, settledAt, report, state: "PROCESSED" });
        for (const line of batchesText([shown], 0).split("\n")) {
          assert.ok([...line].length <= 80, line);
          assert.equal(line, printable(line));
        }
      }),
    );
  });
});
