import assert from "node:assert/strict";
import { folders } from "../support/folders";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const main = verb("status");
const [first, second, third] = ["20240625T100000Z-AAAAAAAA", "20240625T110000Z-BBBBBBBB", "20240625T120000Z-CCCCCCCC"];
const batch = (batchId: string, more: Record<string, unknown>) => ({ pk: "BATCH", sk: batchId, batchId, ...more });

describe("npm run status", () => {
  let pipeline: Pipeline;
  beforeEach(async () => {
    pipeline = await startPipeline();
  });
  afterEach(() => pipeline.close());

  /** Runs it as text and as JSON; both must agree on the exit code. */
  async function look() {
    const text = await pipeline.run(main);
    const json = await pipeline.run(main, "--json");
    assert.equal(text.code, json.code);
    for (const line of text.out.split("\n")) assert.ok([...line].length <= 80, line);
    return { code: text.code, text: text.out, status: JSON.parse(json.out) };
  }
  /** Text with its line breaks taken out. */
  const flat = (text: string) => text.replace(/\n */g, " ");

  it("is healthy when nothing was dropped yet, and when a batch is archived while another runs", async () => {
    const empty = await look();
    assert.equal(empty.code, 0);
    assert.match(empty.text, /^The local cloud: healthy\n {2}in flight: nothing\n {2}waiting: {3}0 files, 0 B\n/);
    assert.match(empty.text, /no batch is archived yet/);

    const settledAt = new Date(Date.now() - 65_000).toISOString();
    await pipeline.putLedger(batch(first, { state: "ARCHIVED", settledAt }));
    await pipeline.putLedger(batch(second, { state: "RUNNING", attempt: 1, claimedAt: new Date().toISOString() }));
    await pipeline.putLedger({ pk: "PIPELINE", sk: "IN_FLIGHT", batchId: second });
    await pipeline.put(`${folders.incoming}a.csv`, "12345");
    await pipeline.put(`${folders.incoming}notes.txt`, "x");
    const { code, text, status } = await look();
    assert.equal(code, 0, text);
    assert.equal(status.inFlight.batchId, second);
    assert.equal(status.lastArchived.batchId, first);
    assert.deepEqual([status.waiting.files, status.waiting.bytes, status.left.notCsv], [1, 5, 1]);
    assert.match(text, new RegExp(`in flight: batch ${second} RUNNING, attempt 1, claimed \\d s ago`));
    assert.match(flat(text), /waiting: {3}1 file, 5 B, oldest \d+ s ago; files of the batch in flight included left: /);
    assert.match(text, /\n {2}left: {6}1 object not CSV\n/);
    assert.match(text, new RegExp(`batch ${first} was archived 1 min 0\\d s ago`));
  });

  it("ends with 1 and says what to do about each problem", async () => {
    await pipeline.putLedger({ pk: "PIPELINE", sk: "PAUSED", since: "2026-01-01T00:00:00Z" });
    await pipeline.putLedger({ pk: "PIPELINE", sk: "IN_FLIGHT", batchId: third });
    await pipeline.putLedger(batch(third, { state: "RETRY", error: "transform: no\u001b[2J reference data" }));
    await pipeline.putLedger(batch(second, { state: "ARCHIVED", moves: { held: 2 } }));
    await pipeline.putLedger(batch(first, { state: "FAILED", error: "poison" }));
    const { code, text, status } = await look();
    assert.equal(code, 1);
    assert.equal(status.problems.length, 4);
    assert.match(text, /^The local cloud: 4 problems\n/);
    for (const line of [
      /✖ paused since 2026-01-01T00:00:00Z\n {4}to do: npx music-streams resume\n/,
      /✖ batch 20240625T120000Z-CCCCCCCC failed and waits .*no\\u001b\[2J reference data/,
      /✖ batch 20240625T110000Z-BBBBBBBB has held files \(2\)/,
      /✖ batch 20240625T100000Z-AAAAAAAA FAILED: poison to do: npx music-streams retry 20240625T100000Z-AAAAAAAA/,
    ])
      assert.ok(line.test(text) || line.test(flat(text)), `${line} in ${text}`);
  });

  it("is healthy again after a person put the files back", async () => {
    const retriedAt = "2026-01-01T00:00:00Z";
    await pipeline.putLedger(batch(first, { state: "FAILED", error: "poison", retriedAt }));
    await pipeline.putLedger(batch(second, { state: "ARCHIVED", moves: { held: 2 }, retriedAt }));
    assert.equal((await look()).code, 0);
  });

  it("counts the problems that do not fit a screen", async () => {
    for (let n = 10; n < 18; n++)
      await pipeline.putLedger(batch(`20240625T1000${n}Z-AAAAAAAA`, { state: "FAILED", error: "x".repeat(500) }));
    const { text, status } = await look();
    assert.equal(status.problems.length, 8);
    assert.ok(text.split("\n").length <= 25, text);
    assert.match(text, /\.\.\. and 4 more\n$/);
  });
});
