import assert from "node:assert/strict";
import { place } from "../../runtime/places";
import { folders } from "../support/folders";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const main = verb("quarantine");
const [older, newer, clean] = ["20240625T100000Z-AAAAAAAA", "20240625T110000Z-BBBBBBBB", "20240625T120000Z-CCCCCCCC"];
const batch = (batchId: string, rowsQuarantined: Record<string, number>, filesQuarantined = 0) => ({
  ...{ pk: "BATCH", sk: batchId, batchId, state: "ARCHIVED", day: "2024-06-25" },
  report: { rowsRead: 9, rowsKept: 1, rowsDuplicate: 0, rowsQuarantined, filesQuarantined },
});

describe("npm run quarantine", () => {
  let pipeline: Pipeline;
  before(async () => {
    pipeline = await startPipeline();
  });
  after(() => pipeline.close());

  it("says so when nothing is in quarantine", async () => {
    assert.equal((await pipeline.run(main)).out, "Nothing is in quarantine.\n");
    assert.deepEqual(JSON.parse((await pipeline.run(main, "--json")).out), { reasons: [], files: 0 });
  });

  it("adds the reasons of all batches up, the most frequent first", async () => {
    await pipeline.putLedger(batch(older, { bad_id: 2, malformed_row: 5 }));
    await pipeline.putLedger(batch(newer, { bad_id: 10, missing_user_id: 0 }, 1));
    await pipeline.putLedger(batch(clean, {}));
    assert.deepEqual(JSON.parse((await pipeline.run(main, "--json")).out), {
      reasons: [
        { reason: "bad_id", rows: 12, batches: [newer, older] },
        { reason: "malformed_row", rows: 5, batches: [older] },
      ],
      files: 1,
    });
    const { code, out } = await pipeline.run(main);
    assert.equal(code, 0);
    assert.match(out, /^reason +rows {2}batches {2}newest batch\nbad_id +12 {8}2 {2}20240625T110000Z-BBBBBBBB\n/);
    assert.match(out, /\n1 file quarantined as a whole\.\n/);
  });

  it("shows a batch's rows with file and place, and its files with reason and place, whatever their names", async () => {
    const name = "a\u001b[2J\u202e.csv";
    const filesQuarantined = [{ name, key: folders.incoming + name, reason: "not_text", detail: "zip\nfile" }];
    await pipeline.put(place("transformReport", { batchId: newer }), JSON.stringify({ filesQuarantined }));
    const row = (raw: string) => JSON.stringify({ key: `${folders.incoming}web/b.csv`, reason: "bad_id", raw });
    const rows = [row("\u001b[31mx\n✔ done"), row("second"), row("third"), ""];
    const prefix = place("quarantinedRows", { batchId: newer });
    await pipeline.put(`${prefix}part-0.json`, rows.join("\n"));

    const found = JSON.parse((await pipeline.run(main, newer, "--json")).out);
    const at = place("quarantinedFile", { date: "2024-06-25", batchId: newer, name });
    assert.deepEqual(found, {
      ...{ batchId: newer, state: "ARCHIVED", rows: { bad_id: 10 } },
      files: [{ name, reason: "not_text", detail: "zip\nfile", at }],
      first: [
        { reason: "bad_id", raw: "\u001b[31mx\n✔ done", file: "web/b.csv", at: `${prefix}part-0.json, line 1` },
        { reason: "bad_id", raw: "second", file: "web/b.csv", at: `${prefix}part-0.json, line 2` },
      ],
    });
    const { out } = await pipeline.run(main, newer);
    assert.match(out, /\n {2}rows: bad_id 10\n {4}bad_id: \\u001b\[31mx\\n✔ done \(web\/b\.csv\)\n/);
    assert.ok(out.includes(`\n    lines 1, 2 of ${prefix}part-0.json\n`), out);
    assert.match(out, /\n {2}file a\\u001b\[2J\\u202e\.csv: not_text, zip\\nfile\n {4}\S/);
    for (const character of "\u001b\u202e") assert.ok(!out.includes(character));
  });

  it("tells a clean batch from one that the ledger does not know", async () => {
    assert.match((await pipeline.run(main, clean)).out, /\(ARCHIVED\) has nothing in quarantine\.\n$/);
    const { code, out, notes } = await pipeline.run(main, "20990101T000000Z-XXXXXXXX");
    assert.deepEqual([code, out], [1, ""]);
    assert.match(notes.join(), /knows no batch 20990101T000000Z-XXXXXXXX/);
  });
});
