import assert from "node:assert/strict";
import { requestAbandon, requestReplay } from "../../runtime/operator";
import { tick } from "../../runtime/tick";
import { folders } from "../support/folders";
import { check, quiesce } from "../support/simulated-check";
import { createSimulation, type Simulation } from "../support/simulated-pipeline";

/** One tick, and a run that ends well. */
async function round(simulation: Simulation): Promise<void> {
  simulation.remember();
  await tick(simulation.actor().world);
  simulation.finish("good");
  simulation.clock.advance(15 * 60_000);
}

/** A settled batch of these files, and the moments of its life: 0 is before its claim, 1 while it runs. */
async function settled(...bodies: string[]) {
  const simulation = createSimulation({ limits: { maxAttempts: 1 } });
  for (const [index, body] of bodies.entries()) simulation.drop(`${index}.csv`, body);
  await round(simulation);
  await round(simulation);
  const batch = simulation.batches()[0]!;
  assert.ok(batch.settledAt, `${batch.state} is settled`);
  return { simulation, batch };
}

/** Writes an earlier state into a batch's item, in flight, as a restore of both items does. */
function putBack(simulation: Simulation, batchId: string, changes: object): void {
  const { pk, sk, claimedAt, files, bytes, ignored } = simulation.dynamodb.get("BATCH", batchId)!;
  const early = { pk, sk, batchId, claimedAt, files, bytes, ignored, version: 1, attempt: 1 };
  const item = { ...early, updatedAt: claimedAt, dueAt: claimedAt, ...changes };
  simulation.dynamodb.items.set(JSON.stringify([pk, sk]), item);
  const turn = { pk: "PIPELINE", sk: "IN_FLIGHT", batchId, since: claimedAt };
  simulation.dynamodb.items.set(JSON.stringify([turn.pk, turn.sk]), turn);
  simulation.restoreTable("batch", 0, 99);
}

describe("a batch whose ledger item is restored to an earlier moment", () => {
  for (const changes of [
    { state: "CLAIMED" },
    { state: "RETRY", attempt: 2, failures: 1 },
    { state: "RUNNING", attempt: 1, workflowRunId: "wr_forgotten", startedAt: "2026-11-23T09:00:00.000Z" },
  ])
    it(`keeps its listens when it is ${changes.state} again, and ends as it was`, async () => {
      const { simulation, batch } = await settled("l1", "l2,JUNK");
      putBack(simulation, batch.batchId, changes);
      await quiesce(simulation);
      check(simulation);
      assert.deepEqual([...simulation.jobs.metrics], [["l1", 1]]);
      const { state, moves } = simulation.batches()[0]!;
      assert.deepEqual([state, moves], ["ARCHIVED", batch.moves]);
      assert.ok(simulation.logs.some(({ level, event }) => level === "ERROR" && event === "ledgerRestored"));
    });

  it("keeps its listens when a person abandons it", async () => {
    const { simulation, batch } = await settled("l1");
    putBack(simulation, batch.batchId, { state: "CLAIMED" });
    await requestAbandon(simulation.actor().world, batch.batchId);
    await tick(simulation.actor().world);
    assert.equal(simulation.batches()[0]?.state, "ARCHIVED");
    assert.deepEqual(simulation.jobs.curated(), ["l1"]);
  });

  it("is FAILED again when its file lies in failed/", async () => {
    const { simulation, batch } = await settled("l1,POISON");
    putBack(simulation, batch.batchId, { state: "CLAIMED" });
    await quiesce(simulation);
    check(simulation);
    const { state, moves } = simulation.batches()[0]!;
    assert.deepEqual([state, moves], ["FAILED", { moved: 1, quarantined: 0, left: 0, missing: 0 }]);
    assert.equal(simulation.glue.started.length, 1, "no run is started for it");
  });

  it("is divided once: the ledger has its halves already", async () => {
    const { simulation, batch } = await settled("l1", "l2,POISON");
    assert.equal(batch.state, "SPLIT");
    await quiesce(simulation);
    putBack(simulation, batch.batchId, { state: "SPLIT", day: batch.day });
    await quiesce(simulation);
    check(simulation);
  });

  it("is split again when it was split, and its halves keep their files", async () => {
    const { simulation, batch } = await settled("l1", "l2,POISON");
    await quiesce(simulation);
    const runs = simulation.glue.started.length;
    putBack(simulation, batch.batchId, { state: "CLAIMED" });
    await quiesce(simulation);
    check(simulation);
    assert.equal(simulation.batch(batch.batchId).state, "SPLIT");
    assert.equal(simulation.glue.started.length, runs, "no run is started for it");
  });

  it("keeps its listens when its archived files are gone", async () => {
    const { simulation, batch } = await settled("l1");
    simulation.hide(0);
    putBack(simulation, batch.batchId, { state: "CLAIMED" });
    await tick(simulation.actor().world);
    assert.deepEqual(simulation.jobs.curated(), ["l1"]);
    const { state, notReplayed, moves } = simulation.batch(batch.batchId);
    assert.equal(state, "ARCHIVED");
    assert.match(notReplayed!, /not in the archive/);
    assert.deepEqual(moves, { moved: 0, quarantined: 0, left: 0, missing: 1 });
    assert.equal(simulation.glue.started.length, 1, "no run is started for it");
    await quiesce(simulation);
    check(simulation);
  });

  it("archives a file once whose move was cut short", async () => {
    const { simulation, batch } = await settled("l1");
    const [file] = simulation.s3.keys(folders.archived);
    simulation.s3.put(`${folders.incoming}0.csv`, simulation.s3.objects.get(file!)!.body);
    putBack(simulation, batch.batchId, { state: "CLAIMED" });
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual(simulation.s3.keys(folders.archived), [file]);
    assert.equal(simulation.batches().length, 1);
  });

  it("can't be abandoned when it was transformed: the metrics may hold its rows", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    simulation.remember();
    await tick(simulation.actor().world);
    const [batch] = simulation.batches();
    simulation.finish("publishErrors");
    putBack(simulation, batch!.batchId, { state: "CLAIMED" });
    await requestAbandon(simulation.actor().world, batch!.batchId);
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual([...simulation.jobs.metrics], [["l1", 1]]);
  });

  it("is released when it is settled and in flight again", async () => {
    const { simulation, batch } = await settled("l1,POISON");
    putBack(simulation, batch.batchId, batch);
    await tick(simulation.actor().world);
    const { version, updatedAt, ...rest } = simulation.batches()[0]!;
    const { version: before, updatedAt: then, ...same } = batch;
    assert.deepEqual(rest, same);
    assert.equal(simulation.inFlight(), undefined);
  });
});

/** A batch that was transformed and not published when the ledger was restored to the moment before its claim. */
async function lostAtWork() {
  const simulation = createSimulation();
  simulation.drop("a.csv", "l1");
  simulation.remember();
  await tick(simulation.actor().world);
  simulation.finish("publishAbsent");
  simulation.restoreTable("ledger", 0);
  const [lost] = simulation.lost();
  return { simulation, lost };
}

describe("a batch that a restored ledger has lost", () => {
  it("is taken up by a replay when it was at work, and its unpublished listens count", async () => {
    const { simulation, lost } = await lostAtWork();
    await requestReplay(simulation.actor().world, lost!);
    await assert.rejects(requestReplay(simulation.actor().world, lost!), /only an archived batch/);
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual([...simulation.jobs.metrics], [["l1", 1]]);
  });

  it("is taken up after another batch has claimed its files, and that one runs again", async () => {
    const { simulation, lost } = await lostAtWork();
    await quiesce(simulation);
    assert.deepEqual([...simulation.jobs.metrics], [], "its listens count as known, and nobody published them");
    await requestReplay(simulation.actor().world, lost!);
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual([...simulation.jobs.metrics], [["l1", 1]]);
  });

  it("is taken up before the batch that took its files is archived, and that one runs again", async () => {
    const { simulation, lost } = await lostAtWork();
    await tick(simulation.actor().world);
    await requestReplay(simulation.actor().world, lost!);
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual([...simulation.jobs.metrics], [["l1", 1]]);
    assert.ok(simulation.logs.some(({ event, taken_from }) => event === "takerQueued" && taken_from === lost));
  });

  it("is taken up by a replay when it was archived, and its files stay where they are", async () => {
    const { simulation, batch } = await settled("l1");
    simulation.restoreTable("ledger", 0);
    assert.deepEqual(simulation.lost(), [batch.batchId]);
    const before = simulation.s3.keys(folders.archived);
    await requestReplay(simulation.actor().world, batch.batchId);
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual(simulation.s3.keys(folders.archived), before);
    assert.deepEqual(simulation.lost(), []);
  });
});
