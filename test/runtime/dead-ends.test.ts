// One file: each story is a batch that could end by itself no more, and the stories share the fixtures above them.
import assert from "node:assert/strict";
import { mayHold } from "../../runtime/move-files";
import { requestAbandon, requestReplay, requestRetry } from "../../runtime/operator";
import { settle } from "../../runtime/settle";
import { tick } from "../../runtime/tick";
import { folders } from "../support/folders";
import { check, quiesce } from "../support/simulated-check";
import { createSimulation, type Simulation } from "../support/simulated-pipeline";
import { awsError } from "../support/simulated-s3";

const MINUTE = 60_000;

/** A tick five minutes later. Gives the name of its error, or its report's state. */
async function next(simulation: Simulation): Promise<string | undefined> {
  simulation.clock.advance(5 * MINUTE);
  const ended = await simulation.actor().run((world) => tick(world));
  if (ended === "died") return ended;
  return "threw" in ended ? ended.threw.name : ended.state;
}

/** Ticks and lets runs end well until nothing is in flight; gives the ticks that it took. */
async function ticksToRest(simulation: Simulation, atMost: number): Promise<number> {
  for (let ticks = 1; ticks <= atMost; ticks++) {
    await next(simulation);
    if (simulation.inFlight() === undefined && simulation.queued() === 0) return ticks;
    simulation.finish("good");
  }
  throw new Error(`still in flight after ${atMost} ticks: ${JSON.stringify(simulation.batches())}`);
}

async function processed(...bodies: string[]) {
  const simulation = createSimulation({ limits: { maxBatchFiles: 1000, maxBatchBytes: 1e6 } });
  for (const [index, body] of bodies.entries()) simulation.drop(`${index}.csv`, body);
  await tick(simulation.actor().world);
  simulation.finish("good");
  return simulation;
}

describe("a file that S3 does not move", () => {
  for (const [what, error] of [
    ["STUCK", "KMS.DisabledException"],
    ["BROKEN", "InternalError"],
  ] as const)
    it(`is held after three tries in ten minutes when others move (${error}); its listens count`, async () => {
      const simulation = await processed("l1", `l2,${what}`);
      assert.deepEqual(
        [await next(simulation), await next(simulation), await next(simulation)],
        [error, error, undefined],
      );
      const batch = simulation.batches()[0]!;
      assert.deepEqual(
        [batch.state, batch.moves, batch.stuck],
        ["ARCHIVED", { moved: 1, quarantined: 0, left: 0, missing: 0, held: 1 }, undefined],
      );
      assert.match(batch.notMoved ?? "", new RegExp(error));
      const { level, files, first } = simulation.logs.find(({ event }) => event === "filesHeld")!;
      assert.deepEqual([level, files, first], ["ERROR", 1, `${folders.incoming}1.csv`]);
      check(simulation);
      simulation.drop("next.csv", "l3");
      assert.equal(await next(simulation), "RUNNING", "the next file is claimed");
    });

  it("is held when it is the only one and S3 refuses it", async () => {
    const simulation = await processed("l1,STUCK");
    assert.equal(await ticksToRest(simulation, 5), 3);
    check(simulation);
  });

  it("is held after two hours when it is the only one and S3 itself fails", async () => {
    const simulation = await processed("l1,BROKEN");
    const ticks = await ticksToRest(simulation, 30);
    assert.ok(ticks >= 24, `${ticks} ticks`);
    check(simulation);
  });

  it("is held at once when its batch has failed and S3 refuses it, else after two hours", async () => {
    for (const [what, atMost] of [
      ["STUCK,POISON", 6],
      ["BROKEN,POISON", 40],
    ] as const) {
      const simulation = await processed(`l1,${what}`);
      await ticksToRest(simulation, atMost);
      assert.deepEqual([simulation.batches()[0]?.state, simulation.batches()[0]?.moves?.held], ["FAILED", 1]);
      check(simulation);
    }
  });

  it("costs one run when transform can't read it either, even a hundred of them among 512 files", async () => {
    const bodies = Array.from({ length: 512 }, (_, at) => (at % 5 === 0 && at < 500 ? `l${at},SEALED` : `l${at}`));
    const simulation = await processed(...bodies);
    await ticksToRest(simulation, 5);
    assert.equal(simulation.glue.started.length, 1);
    const { state, moves, report } = simulation.batches()[0]!;
    assert.deepEqual([state, moves?.moved, moves?.held, report?.filesQuarantined], ["ARCHIVED", 412, 100, 100]);
    check(simulation);
    simulation.drop("next.csv", "another");
    assert.equal(await next(simulation), "RUNNING", "the next file is claimed");
  });

  it("is moved when the cause goes away in time, and the batch forgets it", async () => {
    const simulation = await processed("l1", "l2,STUCK");
    await next(simulation);
    assert.equal(simulation.batches()[0]?.stuck?.tries, 1);
    const stuck = simulation.s3.objects.get(`${folders.incoming}1.csv`)!;
    simulation.s3.objects.set(`${folders.incoming}1.csv`, { ...stuck, body: "l2,READY" });
    await next(simulation);
    const { state, moves, stuck: tried, notMoved } = simulation.batches()[0]!;
    assert.deepEqual(
      [state, moves?.moved, moves?.held, tried, notMoved],
      ["ARCHIVED", 2, undefined, undefined, undefined],
    );
  });

  it("is claimed again after a retry of its archived batch, and counts once", async () => {
    const simulation = await processed("l1", "l2,STUCK");
    await ticksToRest(simulation, 5);
    const { batchId } = simulation.batches()[0]!;
    assert.equal(await requestRetry(simulation.actor().world, batchId), true);
    assert.equal(await requestRetry(simulation.actor().world, batchId), false);
    assert.equal(await next(simulation), "RUNNING");
    simulation.finish("good");
    await quiesce(simulation);
    check(simulation);
    await assert.rejects(requestReplay(simulation.actor().world, batchId), /1.csv was read, but is not in the archive/);
  });

  it("is held with hundreds of others, also when a Lambda dies in between", async () => {
    for (const dies of [1, 2, 3]) {
      const simulation = await processed("l1", ...Array.from({ length: 200 }, (_, index) => `m${index},STUCK`));
      await next(simulation);
      await next(simulation);
      simulation.clock.advance(5 * MINUTE);
      let writes = 0;
      const fault = (_: number, name: string) =>
        name === "TransactWrite" && ++writes === dies ? ("crashBefore" as const) : undefined;
      await simulation.actor({ fault }).run((world) => tick(world));
      await ticksToRest(simulation, 5);
      const { state, moves, holding } = simulation.batches()[0]!;
      assert.deepEqual([state, moves?.held, holding], ["ARCHIVED", 200, undefined]);
      assert.equal(simulation.dynamodb.all("HELD").length, 200);
      check(simulation);
    }
  });

  it("is not held while it moves: what an unfinished call wrote is taken back", async () => {
    const simulation = await processed(...Array.from({ length: 120 }, (_, index) => `m${index},STUCK`));
    await next(simulation);
    await next(simulation);
    simulation.clock.advance(5 * MINUTE);
    let writes = 0;
    const fault = (_: number, name: string) =>
      name === "TransactWrite" && ++writes === 2 ? ("crashBefore" as const) : undefined;
    await simulation.actor({ fault }).run((world) => tick(world));
    assert.equal(simulation.dynamodb.all("HELD").length, 90);
    for (const [key, stored] of simulation.s3.objects)
      simulation.s3.objects.set(key, { ...stored, body: stored.body.replace("STUCK", "READY") });
    await ticksToRest(simulation, 3);
    assert.deepEqual([simulation.dynamodb.all("HELD").length, simulation.batches()[0]?.moves?.moved], [0, 120]);
  });

  it("is never held for errors that pass: throttling, lost connections, expired credentials", () => {
    const file = { key: "k", name: "k", etag: "e", size: 1, lastModified: "" };
    const outcome = (error: Error) =>
      mayHold(
        { state: "FAILED" },
        { files: [file], outcomes: [undefined], failed: [{ file, target: "t", error }] },
        { since: "2026-11-23T10:00:00Z", tries: 1 },
        Date.parse("2026-11-23T10:00:00Z"),
      );
    const passing = ["SlowDown", "KMS.ThrottlingException", "RequestTimeout", "ExpiredToken", "RequestTimeTooSkewed"];
    for (const name of passing) assert.equal(outcome(awsError(name, 400)), false, name);
    assert.equal(outcome(new Error("connect ECONNREFUSED")), false);
    for (const name of ["KMS.DisabledException", "KMSInvalidStateException", "InvalidRequest", "InvalidObjectState"])
      assert.equal(outcome(awsError(name, 400)), true, name);
  });
});

describe("a replay whose archived file vanished after it was prepared", () => {
  async function replaying(ending: "good" | "publishFails") {
    const simulation = await processed("l1", "l2", "JUNK");
    await next(simulation);
    const before = simulation.batches()[0]!;
    await requestReplay(simulation.actor().world, before.batchId);
    await next(simulation);
    if (ending === "publishFails") {
      simulation.finish("publishFails");
      await next(simulation);
      simulation.clock.advance(15 * MINUTE);
      await next(simulation);
    }
    simulation.hide(0);
    return { simulation, before };
  }

  it("ends, and the batch is what it was", async () => {
    const { simulation, before } = await replaying("good");
    await ticksToRest(simulation, 3);
    const { notReplayed, ...after } = simulation.batches()[0]!;
    assert.match(notReplayed ?? "", /0.csv has|0.csv was read, but is not in the archive/);
    const { version, updatedAt, settledAt, attempt, dueAt, startedAt, ...same } = before;
    for (const [name, value] of Object.entries(same)) assert.deepEqual(after[name as keyof typeof after], value, name);
    assert.deepEqual([after.replay, after.prepared, after.beforeReplay, after.error], Array(4).fill(undefined));
    simulation.restore();
    check(simulation);
  });

  it("goes on until someone restores the file, if an attempt has replaced rows", async () => {
    const { simulation } = await replaying("publishFails");
    for (let round = 0; round < 5; round++) {
      simulation.finish("good");
      await next(simulation);
      simulation.clock.advance(15 * MINUTE);
    }
    assert.match(simulation.batches()[0]!.error ?? "", /archive changed/);
    assert.ok(simulation.logs.some(({ event }) => event === "replayIncomplete"));
    simulation.restore();
    await quiesce(simulation);
    assert.deepEqual([simulation.batches()[0]?.state, simulation.batches()[0]?.notReplayed], ["ARCHIVED", undefined]);
    check(simulation);
  });

  it("ends when a person abandons it, and another replay puts the rows back", async () => {
    const { simulation, before } = await replaying("publishFails");
    await requestAbandon(simulation.actor().world, before.batchId);
    await ticksToRest(simulation, 3);
    const { state, notReplayed, workflowRunId } = simulation.batches()[0]!;
    assert.deepEqual(
      [state, notReplayed, workflowRunId],
      ["ARCHIVED", "a person abandoned the batch", before.workflowRunId],
    );
    simulation.restore();
    await requestReplay(simulation.actor().world, before.batchId);
    await quiesce(simulation);
    check(simulation);
  });
});

describe("a batch that a person abandons", () => {
  it("has a file moved, not held, whose copy got no answer: the copy may still arrive", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await simulation.actor({ fault: (_, name) => (name === "StartWorkflowRun" ? "denied" : undefined) }).run(tick);
    await requestAbandon(simulation.actor().world, simulation.inFlight()!);
    simulation.clock.advance(5 * MINUTE);
    await simulation.actor({ fault: (_, name) => (name === "CopyObject" ? "late" : undefined) }).run(tick);
    await simulation.deliver(true);
    await next(simulation);
    const [{ moves } = {}] = simulation.batches();
    assert.deepEqual(moves, { moved: 1, quarantined: 0, left: 0, missing: 0 });
    check(simulation);
  });

  it("goes to failed/ whole, in each state before its rows count, and can be retried", async () => {
    for (const reach of ["CLAIMED", "RUNNING", "RETRY"] as const) {
      const simulation = createSimulation();
      simulation.drop("a.csv", "l1");
      simulation.drop("b.csv", "l2");
      const starts = reach === "CLAIMED" ? ("errorBefore" as const) : undefined;
      const fault = (_: number, name: string) => (name === "StartWorkflowRun" ? starts : undefined);
      await simulation.actor({ fault }).run((world) => tick(world));
      if (reach === "RETRY") {
        simulation.finish("transformFailsLate");
        await settle(simulation.actor().world, MINUTE);
      }
      const { batchId, state } = simulation.batches()[0]!;
      assert.equal(state, reach);
      for (let twice = 0; twice < 2; twice++) await requestAbandon(simulation.actor().world, batchId);
      const atMost = reach === "RUNNING" ? 2 : 1;
      for (let ticks = 0; ticks < atMost; ticks++) await next(simulation);
      const batch = simulation.batch(batchId);
      assert.deepEqual(
        [batch.state, batch.error, batch.moves?.moved],
        ["FAILED", "a person abandoned the batch", 2],
        reach,
      );
      assert.ok(batch.abandonedAt && batch.settledAt);
      assert.equal(simulation.s3.keys(folders.failed).length, 2);
      assert.deepEqual(simulation.jobs.curated(), []);
      check(simulation);
      await requestRetry(simulation.actor().world, batchId);
      await quiesce(simulation);
      check(simulation);
      assert.deepEqual(simulation.jobs.curated().sort(), ["l1", "l2"]);
    }
  });

  it("has its run stopped, by sense alone", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await tick(simulation.actor().world);
    const { batchId } = simulation.batches()[0]!;
    await requestAbandon(simulation.actor().world, batchId);
    const archive = simulation.actor();
    await settle(archive.world, 1000);
    assert.ok(!archive.calls.includes("StopWorkflowRun"));
    await next(simulation);
    assert.equal(simulation.glue.started[0]?.status, "STOPPED");
    await next(simulation);
    const used = simulation.logs.filter(({ event }) => event === "jobEnded");
    assert.equal(used.length, 1, "its cost is logged once");
  });

  it("is not given up while a start of its run may still arrive", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    const fault = (_: number, name: string) => (name === "StartWorkflowRun" ? ("crashBefore" as const) : undefined);
    await simulation.actor({ fault }).run((world) => tick(world));
    const { batchId } = simulation.batches()[0]!;
    await requestAbandon(simulation.actor().world, batchId);
    await tick(simulation.actor().world);
    assert.equal(simulation.batch(batchId).state, "CLAIMED");
    simulation.clock.advance(30_000);
    await tick(simulation.actor().world);
    assert.equal(simulation.batch(batchId).state, "FAILED");
  });

  it("is archived after all when its run has succeeded by then", async () => {
    const simulation = await processed("l1");
    await requestAbandon(simulation.actor().world, simulation.batches()[0]!.batchId);
    await next(simulation);
    assert.equal(simulation.batches()[0]?.state, "ARCHIVED");
    check(simulation);
  });

  it("is refused once its rows may be in the metrics, before the request or after it", async () => {
    for (const late of [false, true]) {
      const simulation = createSimulation();
      simulation.drop("a.csv", "l1");
      await tick(simulation.actor().world);
      const { batchId } = simulation.batches()[0]!;
      if (late) await requestAbandon(simulation.actor().world, batchId);
      simulation.finish("publishFails");
      await settle(simulation.actor().world, MINUTE);
      if (late) assert.match(simulation.batch(batchId).notAbandoned ?? "", /metrics may hold its rows/);
      await assert.rejects(requestAbandon(simulation.actor().world, batchId), /only a successful publish can end it/);
      await quiesce(simulation);
      assert.equal(simulation.batch(batchId).state, "ARCHIVED");
      check(simulation);
    }
  });

  it("is refused when it is settled or unknown", async () => {
    const simulation = await processed("l1");
    await next(simulation);
    const { world } = simulation.actor();
    await assert.rejects(requestAbandon(world, simulation.batches()[0]!.batchId), /is ARCHIVED and settled/);
    await assert.rejects(requestAbandon(world, "nope"), /knows no batch nope/);
  });

  it("holds a file that S3 does not move at once", async () => {
    const simulation = await processed("l1,BROKEN");
    await next(simulation);
    await requestAbandon(simulation.actor().world, simulation.batches()[0]!.batchId);
    await next(simulation);
    assert.deepEqual([simulation.batches()[0]?.state, simulation.batches()[0]?.moves?.held], ["ARCHIVED", 1]);
    check(simulation);
  });

  it("is not put back when a person abandons the retry, and can be put back later", async () => {
    const simulation = await processed("l1,POISON");
    await ticksToRest(simulation, 8);
    const { batchId } = simulation.batches()[0]!;
    await requestRetry(simulation.actor().world, batchId);
    await requestAbandon(simulation.actor().world, batchId);
    await next(simulation);
    const { state, notPutBack, settledAt } = simulation.batch(batchId);
    assert.deepEqual([state, notPutBack], ["FAILED", "a person abandoned the request"]);
    assert.ok(settledAt);
    await requestRetry(simulation.actor().world, batchId);
    await next(simulation);
    assert.ok(simulation.batch(batchId).retriedAt);
  });
});
