// One file, because its stories share the fixtures above them and follow a batch from claim to replay.
import assert from "node:assert/strict";
import type { Manifest } from "../../runtime/batch";
import { pause, requestReplay, requestRetry, resume } from "../../runtime/operator";
import { fileOf, place } from "../../runtime/places";
import { planReplay } from "../../runtime/replay";
import { settle } from "../../runtime/settle";
import { tick } from "../../runtime/tick";
import { folders, placedName } from "../support/folders";
import { check, quiesce } from "../support/simulated-check";
import { createSimulation, type Fault, type Simulation } from "../support/simulated-pipeline";
import { awsError } from "../support/simulated-s3";

const MINUTE = 60_000;

async function sense(simulation: Simulation) {
  return tick(simulation.actor().world);
}

/** Ticks a quarter of an hour later, after any pause. */
async function later(simulation: Simulation) {
  simulation.clock.advance(15 * MINUTE);
  return sense(simulation);
}

function faultAt(name: string, fault: Fault) {
  return { fault: (_: number, call: string) => (call === name ? fault : undefined) };
}

/** Something that happens when a Lambda is about to make a call. */
function happensAt(name: string, act: () => void) {
  const fault = (_: number, call: string): undefined => {
    if (call === name) act();
  };
  return { fault };
}

describe("a tick", () => {
  it("with nothing to do writes nothing and makes two calls", async () => {
    const actor = createSimulation().actor();
    assert.deepEqual(await tick(actor.world), {
      action: "idle",
      waiting: { files: 0, bytes: 0 },
      ignored: { folders: 0, notCsv: 0 },
      steps: [],
    });
    assert.deepEqual(actor.calls, ["Query", "ListObjectsV2"]);
  });

  it("while a run works writes nothing and makes three calls", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    const actor = simulation.actor();
    const report = await tick(actor.world);
    assert.deepEqual([report.action, report.state], ["waiting", "RUNNING"]);
    assert.deepEqual(actor.calls, ["Query", "Get", "GetWorkflowRun"]);
  });

  it("claims over all pages, starts one run, and says what it did", async () => {
    const simulation = createSimulation({ limits: { maxBatchFiles: 5000, maxBatchBytes: 1e9 } });
    for (let index = 0; index < 1100; index++) simulation.drop(`f${index}.csv`, `l${index}`);
    simulation.s3.put(`${folders.incoming}folder/`, "");
    simulation.s3.put(`${folders.incoming}notes.txt`, "x");
    const report = await sense(simulation);
    assert.equal(report.claimed?.files, 1100);
    assert.deepEqual(report.ignored, { folders: 1, notCsv: 1 });
    assert.deepEqual(report.waiting, { files: 0, bytes: 0 });
    assert.equal(report.state, "RUNNING");
    const [batch] = simulation.batches();
    assert.deepEqual(
      simulation.glue.started.map(({ properties }) => properties),
      [{ batch_id: batch!.batchId, attempt: "1" }],
    );
  });

  it("leaves files that land during a run for the next batch", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.drop("b.csv", "l2");
    assert.equal((await sense(simulation)).claimed, undefined);
    simulation.finish("good");
    const report = await sense(simulation);
    assert.equal(report.claimed?.files, 1);
    assert.deepEqual(simulation.s3.keys(folders.incoming), [`${folders.incoming}b.csv`]);
  });

  it("lets a claim lose whose listing is older than another's claim", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    let listed = () => {};
    const pausedAfterListing = new Promise<void>((resolve) => {
      listed = resolve;
    });
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let turns = 0;
    // Turns come before and after each call: the fourth ends the listing.
    const slow = tick(
      simulation.actor({
        turn: async () => {
          if (++turns === 4) {
            listed();
            await gate;
          }
        },
      }).world,
    );
    await pausedAfterListing;
    await sense(simulation);
    simulation.finish("good");
    await sense(simulation);
    goOn();
    assert.equal((await slow).claimed, undefined);
    assert.equal(simulation.batches().length, 1);
    assert.equal(simulation.s3.keys(folders.batches).filter((key) => key.endsWith(fileOf("manifest"))).length, 1);
    check(simulation);
  });

  it("stops before the Lambda's time is up, and the next one goes on", async () => {
    const simulation = createSimulation({ limits: { maxBatchFiles: 200 } });
    for (let index = 0; index < 100; index++) simulation.drop(`f${index}.csv`, "l1");
    await sense(simulation);
    simulation.finish("good");
    const actor = simulation.actor({ turn: async () => simulation.clock.advance(100) });
    const report = await tick(actor.world, 15_000);
    assert.deepEqual([report.action, report.state], ["waiting", "PROCESSED"]);
    const left = simulation.s3.keys(folders.incoming).length;
    assert.ok(left > 0 && left < 100, `${left} are left`);
    assert.equal((await sense(simulation)).action, "idle");
    assert.deepEqual(simulation.batches()[0]?.moves, { moved: 100, quarantined: 0, left: 0, missing: 0 });
    check(simulation);
  });

  it("frees a pipeline whose batch somebody deleted from the ledger", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.dynamodb.items.delete(JSON.stringify(["BATCH", simulation.inFlight()]));
    simulation.finish("good");
    const report = await sense(simulation);
    assert.equal(report.claimed?.files, 1);
  });
});

describe("starting", () => {
  it("finds the run of a start whose reply was lost, and starts no second one", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    const actor = simulation.actor(faultAt("StartWorkflowRun", "errorAfter"));
    const first = await tick(actor.world);
    assert.equal(first.state, "CLAIMED");
    assert.match(first.error ?? "", /could not be started: TimeoutError/);
    const second = await sense(simulation);
    assert.equal(second.state, "RUNNING");
    assert.equal(simulation.glue.started.length, 1);
  });

  it("finds it also pages back, and after the run has ended", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await tick(simulation.actor(faultAt("StartWorkflowRun", "errorAfter")).world);
    simulation.finish("good");
    for (let other = 0; other < 7; other++) {
      await simulation.glue.send({ constructor: { name: "StartWorkflowRunCommand" }, input: { RunProperties: {} } });
      simulation.glue.current()!.status = "COMPLETED";
    }
    await later(simulation);
    assert.equal(simulation.batches()[0]?.state, "ARCHIVED");
  });

  it("waits while another run blocks the workflow, and starts after it", async () => {
    const simulation = createSimulation();
    await simulation.glue.send({ constructor: { name: "StartWorkflowRunCommand" }, input: { RunProperties: {} } });
    simulation.drop("a.csv", "l1");
    const report = await sense(simulation);
    assert.deepEqual([report.state, report.error], ["CLAIMED", undefined]);
    simulation.glue.current()!.status = "COMPLETED";
    assert.equal((await later(simulation)).state, "RUNNING");
  });

  it("leaves the reason of a refusal in the ledger, and the next tick tries again", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await tick(simulation.actor(faultAt("StartWorkflowRun", "denied")).world);
    assert.match(simulation.batches()[0]?.error ?? "", /AccessDenied/);
    assert.equal((await later(simulation)).state, "RUNNING");
    simulation.finish("good");
    await sense(simulation);
    assert.equal(simulation.batches()[0]?.error, undefined);
  });

  it("does not take the run of an earlier attempt for its own", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("publishFails");
    await sense(simulation);
    simulation.clock.advance(MINUTE);
    await simulation.actor(faultAt("StartWorkflowRun", "crashBefore")).run((world) => tick(world));
    await later(simulation);
    assert.deepEqual([simulation.batches()[0]?.state, simulation.batches()[0]?.attempt], ["RUNNING", 2]);
    assert.equal(simulation.glue.started.length, 2);
  });

  it("stops its run when the ledger went on without it", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    const slow = simulation.actor();
    const glue = slow.clients.glue as unknown as { send(command: object): Promise<unknown> };
    const { send } = glue;
    glue.send = async (command) => {
      // The request hangs so long that another tick takes over, and its run is over before this one begins.
      if (command.constructor.name === "StartWorkflowRunCommand") {
        await later(simulation);
        simulation.finish("good");
        await sense(simulation);
      }
      return send(command);
    };
    await tick(slow.world);
    assert.deepEqual(
      simulation.glue.started.map(({ status }) => status),
      ["COMPLETED", "STOPPED"],
    );
    check(simulation);
  });

  it("does not give up a run that Glue does not find yet", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("goodAndUnseen");
    assert.equal((await sense(simulation)).state, "RUNNING");
    await later(simulation);
    assert.deepEqual([simulation.batches()[0]?.state, simulation.glue.started.length], ["ARCHIVED", 1]);
  });

  it("is taken over half a minute after its sender died", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await simulation.actor(faultAt("StartWorkflowRun", "crashBefore")).run((world) => tick(world));
    simulation.clock.advance(29_000);
    assert.equal((await sense(simulation)).state, "CLAIMED");
    simulation.clock.advance(1000);
    assert.equal((await sense(simulation)).state, "RUNNING");
  });
});

describe("archiving", () => {
  it("moves good files to the day's folder and quarantined ones to quarantine, with the same bytes", async () => {
    const simulation = createSimulation();
    simulation.drop("x/a b+%.csv", "l1");
    simulation.drop("bad.csv", "JUNK");
    await sense(simulation);
    simulation.finish("good");
    await sense(simulation);
    const [batch] = simulation.batches();
    assert.deepEqual(batch?.moves, { moved: 1, quarantined: 1, left: 0, missing: 0 });
    assert.equal(simulation.s3.objects.get(`${folders.archived}2026-11-23/${batch?.batchId}/x/a b+%.csv`)?.body, "l1");
    assert.equal(
      simulation.s3.objects.get(`${folders.quarantinedFiles}2026-11-23/${batch?.batchId}/bad.csv`)?.body,
      "JUNK",
    );
    assert.deepEqual(simulation.s3.keys(folders.incoming), []);
  });

  it("leaves a file overwritten since the claim in incoming, to be claimed next", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.drop("a.csv", "l2");
    simulation.finish("good");
    const report = await sense(simulation);
    assert.deepEqual(simulation.batches().at(-1)?.moves, { moved: 0, quarantined: 0, left: 1, missing: 0 });
    assert.equal(report.claimed?.files, 1);
    await quiesce(simulation);
    check(simulation);
  });

  it("leaves a file overwritten between copy and delete, and keeps the copy", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("good");
    await simulation.actor(faultAt("DeleteObject", "crashBefore")).run((world) => tick(world));
    simulation.s3.put(`${folders.incoming}a.csv`, "l2");
    simulation.clock.advance(30_000);
    await sense(simulation);
    const first = simulation.batches().at(-1)!;
    assert.deepEqual(first.moves, { moved: 1, quarantined: 0, left: 0, missing: 0 });
    assert.equal(simulation.s3.objects.get(`${folders.archived}2026-11-23/${first.batchId}/a.csv`)?.body, "l1");
    assert.equal(simulation.s3.objects.get(`${folders.incoming}a.csv`)?.body, "l2");
  });

  it("leaves a file overwritten exactly between copy and delete", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("good");
    await settle(simulation.actor(happensAt("DeleteObject", () => simulation.drop("a.csv", "l2"))).world, MINUTE);
    assert.equal(simulation.s3.objects.get(`${folders.incoming}a.csv`)?.body, "l2");
    await quiesce(simulation);
    check(simulation);
  });

  it("leaves a file that the run did not read, though its old version is back", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.drop("a.csv", "l2");
    simulation.finish("good");
    simulation.drop("a.csv", "l1");
    await settle(simulation.actor().world, MINUTE);
    assert.deepEqual(simulation.s3.keys(folders.incoming), [`${folders.incoming}a.csv`]);
    await quiesce(simulation);
    check(simulation);
  });

  it("keeps a file with a long name apart from one that bears its shortened name", async () => {
    const simulation = createSimulation();
    const long = `${"n".repeat(1000)}.csv`;
    simulation.drop(long, "l1");
    simulation.drop(placedName("archived", long), "l2");
    await sense(simulation);
    simulation.finish("good");
    await sense(simulation);
    const { batchId } = simulation.batches()[0]!;
    assert.equal(simulation.s3.keys(folders.archived).length, 2);
    await requestReplay(simulation.actor().world, batchId);
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual(simulation.jobs.curated().sort(), ["l1", "l2"]);
  });

  for (const size of ["same", "another"])
    it(`never overwrites another object of ${size} size`, async () => {
      const simulation = createSimulation();
      simulation.drop("a.csv", "l1");
      await sense(simulation);
      const { batchId } = simulation.batches()[0]!;
      const key = place("archived", { date: "2026-11-23", batchId, name: "a.csv" });
      simulation.s3.put(key, size === "same" ? "xx" : "else");
      simulation.finish("good");
      await assert.rejects(sense(simulation), /holds another object than/);
      assert.deepEqual(
        [key, `${folders.incoming}a.csv`].map((one) => simulation.s3.objects.get(one)?.body),
        [size === "same" ? "xx" : "else", "l1"],
      );
      simulation.s3.objects.delete(key);
      await sense(simulation);
      check(simulation);
    });

  it("goes on after midnight into the folder of the day it began", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    simulation.drop("b.csv", "l2");
    simulation.clock.set(Date.parse("2026-11-23T23:59:00Z"));
    await sense(simulation);
    simulation.finish("good");
    let deletes = 0;
    const fault = (_: number, call: string) => (call === "DeleteObject" && deletes++ === 1 ? "crashBefore" : undefined);
    await simulation.actor({ fault }).run((world) => tick(world));
    await later(simulation);
    const [batch] = simulation.batches();
    assert.deepEqual(simulation.s3.keys(folders.archived), [
      `${folders.archived}2026-11-23/${batch?.batchId}/a.csv`,
      `${folders.archived}2026-11-23/${batch?.batchId}/b.csv`,
    ]);
  });

  it("asks again when S3 answers that two conditional requests met", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("good");
    const actor = simulation.actor();
    const { send } = actor.clients.s3 as unknown as { send(command: object): Promise<unknown> };
    let conflicts = 0;
    actor.world.clients.s3.send = (async (command: object) => {
      if (command.constructor.name === "DeleteObjectCommand" && conflicts++ < 2)
        throw awsError("ConditionalRequestConflict", 409);
      return send(command);
    }) as never;
    await tick(actor.world);
    assert.equal(conflicts, 3);
    assert.deepEqual(simulation.s3.keys(folders.incoming), []);
  });

  it("reports a file that somebody deleted, and ends", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("good");
    simulation.remove("a.csv");
    await sense(simulation);
    assert.deepEqual(simulation.batches()[0]?.moves, { moved: 0, quarantined: 0, left: 0, missing: 1 });
    assert.ok(simulation.logs.some(({ event, outcome }) => event === "fileNotMoved" && outcome === "missing"));
  });

  it("looks again while the run still says RUNNING after its last job's event", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    const actor = simulation.actor();
    const { sleep } = actor.world.clock;
    let slept = 0;
    actor.world.clock.sleep = async (ms) => {
      await sleep(ms);
      if (++slept === 3) simulation.finish("good");
    };
    const report = await settle(actor.world, 120_000);
    assert.deepEqual([report.action, slept], ["archive", 3]);
    assert.equal(simulation.batches()[0]?.state, "ARCHIVED");
  });

  it("gives up looking after a minute, or when its Lambda ends", async () => {
    for (const [remaining, most] of [
      [300_000, 60_000],
      [20_000, 10_000],
    ] as const) {
      const simulation = createSimulation();
      simulation.drop("a.csv", "l1");
      await sense(simulation);
      const before = simulation.clock.now();
      const report = await settle(simulation.actor().world, remaining);
      assert.deepEqual([report.action, report.state], ["waiting", "RUNNING"]);
      const took = simulation.clock.now() - before;
      assert.ok(took <= most + 5000 && took > most / 2, `${took} ms`);
    }
  });

  it("never starts a run", async () => {
    const simulation = createSimulation({ limits: { retryPauseSeconds: 0 } });
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("publishFails");
    const report = await settle(simulation.actor().world, 120_000);
    assert.deepEqual([report.action, report.state, simulation.glue.started.length], ["waiting", "RETRY", 1]);
  });
});

describe("a run whose counts are not those of its jobs", () => {
  it("is a success if its jobs succeeded, and the log has the counts", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("goodAndMiscounted");
    await sense(simulation);
    assert.deepEqual([simulation.batches()[0]?.state, simulation.batches()[0]?.attempt], ["ARCHIVED", 1]);
    const { actions, status } = simulation.logs.find(({ event }) => event === "runEnded") as never;
    assert.deepEqual([status, (actions as { TotalActions: number }).TotalActions], ["COMPLETED", 11]);
    check(simulation);
  });
});

describe("a run that fails", () => {
  it("leaves the files in incoming and its error in the ledger, and gets a next attempt after a growing pause", async () => {
    const simulation = createSimulation({ limits: { maxAttempts: 9 } });
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    for (const pauseMinutes of [1, 2, 4, 8, 10, 10]) {
      simulation.finish("transformFailsEarly");
      await settle(simulation.actor().world, 60_000);
      const [batch] = simulation.batches();
      assert.deepEqual(
        [batch?.state, batch?.errorJob, batch?.error],
        ["RETRY", "transform", "FAILED: reference data is missing"],
      );
      assert.deepEqual(simulation.s3.keys(folders.incoming), [`${folders.incoming}a.csv`]);
      simulation.clock.advance(pauseMinutes * MINUTE - 1);
      assert.equal((await sense(simulation)).state, "RETRY");
      simulation.clock.advance(1);
      assert.equal((await sense(simulation)).state, "RUNNING");
    }
  });

  it("before transform reads a file never counts against the files", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    simulation.drop("b.csv", "l2");
    await sense(simulation);
    for (const kind of [
      "transformFailsEarly",
      "transformFailsEarly",
      "transformFailsEarly",
      "error",
      "stopped",
      "publishFails",
      "publishAbsent",
      "lost",
      "transformFailsEarly",
    ] as const) {
      simulation.finish(kind);
      await later(simulation);
      await later(simulation);
      assert.equal(simulation.batches()[0]?.state, "RUNNING");
    }
    assert.equal(simulation.batches()[0]?.attempt, 10);
    simulation.finish("good");
    await later(simulation);
    check(simulation);
  });

  it("does not blame the files for what an earlier attempt read", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    for (const kind of ["transformFailsLate", "transformFailsEarly", "transformFailsEarly"] as const) {
      simulation.finish(kind);
      await sense(simulation);
      assert.equal(simulation.batches()[0]?.dataFailures, 1);
      await later(simulation);
    }
    simulation.finish("transformTimesOut");
    await sense(simulation);
    assert.equal(simulation.batches()[0]?.state, "FAILED");
  });

  it("isolates one bad file among nine, whose good ones are all processed", async () => {
    const simulation = createSimulation({ limits: { maxBatchFiles: 9 } });
    for (let index = 1; index <= 9; index++) simulation.drop(`${index}.csv`, index === 4 ? "l4,POISON" : `l${index}`);
    await sense(simulation);
    await quiesce(simulation);
    check(simulation);
    assert.equal(simulation.s3.keys(folders.archived).length, 8);
    assert.deepEqual(
      simulation.s3.keys(folders.failed).map((key) => key.split("/").at(-1)),
      ["4.csv"],
    );
    const failed = simulation.batches().find(({ state }) => state === "FAILED");
    assert.equal(failed?.error, "FAILED: a task failed while writing rows");
    assert.deepEqual(failed?.moves, { moved: 1, quarantined: 0, left: 0, missing: 0 });
    assert.ok(simulation.logs.some(({ level, event }) => level === "ERROR" && event === "batchFailed"));
  });

  it("leaves a file in incoming that S3 does not let it move, and claims it again after a retry", async () => {
    const simulation = createSimulation({ limits: { maxAttempts: 1 } });
    simulation.drop("a.csv", "l1");
    simulation.drop("sealed.csv", "l2,SEALED");
    await sense(simulation);
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual(simulation.s3.keys(folders.incoming), [`${folders.incoming}sealed.csv`]);
    const batch = simulation.batches()[0]!;
    assert.deepEqual(batch.moves, { moved: 1, quarantined: 0, left: 0, missing: 0, held: 1 });
    simulation.drop("b.csv", "l3");
    const report = await sense(simulation);
    assert.deepEqual([report.claimed?.files, report.ignored], [1, { folders: 0, notCsv: 0, held: 1 }]);
    simulation.finish("good");
    await sense(simulation);
    assert.equal(await requestRetry(simulation.actor().world, batch.batchId), true);
    assert.equal((await sense(simulation)).claimed?.files, 1, "it is claimed again");
    // Another version counts as another file.
    await quiesce(simulation);
    simulation.drop("sealed.csv", "l2");
    await quiesce(simulation);
    check(simulation);
    assert.deepEqual(simulation.s3.keys(folders.incoming), []);
  });

  it("runs the halves of a split batch before it claims newer files", async () => {
    const simulation = createSimulation({ limits: { maxAttempts: 1 } });
    simulation.drop("a.csv", "l1,POISON");
    simulation.drop("b.csv", "l2");
    await sense(simulation);
    simulation.drop("c.csv", "l3");
    simulation.finish("good");
    const report = await sense(simulation);
    const whole = simulation.batches().find(({ state }) => state === "SPLIT");
    assert.ok(whole?.children?.includes(report.batchId!));
    assert.equal(report.claimed, undefined);
    assert.equal(simulation.queued(), 1);
  });

  it("knows when its oldest file landed, and so does each half of a split batch", async () => {
    const simulation = createSimulation({ limits: { maxAttempts: 1 } });
    const [first, second] = ["z.csv", "a.csv"].map((name) => {
      simulation.drop(name, name === "z.csv" ? "l1,POISON" : "l2");
      const landedAt = new Date(simulation.clock.now()).toISOString();
      simulation.clock.advance(MINUTE);
      return landedAt;
    });
    await sense(simulation);
    assert.equal(simulation.batches()[0]!.landedAt, first);
    simulation.finish("good");
    await sense(simulation);
    const halves = simulation.batches().filter(({ parent }) => parent !== undefined);
    assert.deepEqual(halves.map(({ landedAt }) => landedAt).sort(), [first, second]);
  });

  it("is not called a success when its reports are another run's", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    simulation.finish("good");
    const [batch] = simulation.batches();
    const key = place("publishReport", { batchId: batch!.batchId });
    simulation.s3.put(key, JSON.stringify({ ...simulation.s3.json(key), workflowRunId: "wr_0" }));
    await settle(simulation.actor().world, 60_000);
    assert.deepEqual([simulation.batches()[0]?.state, simulation.batches()[0]?.errorJob], ["RETRY", "publish"]);
    assert.deepEqual(simulation.s3.keys(folders.archived), []);
  });
});

describe("25 repeats of a step", () => {
  /** The whole state: bucket, ledger, metrics, and the number of started runs. */
  const snapshot = ({ s3, dynamodb, jobs, glue }: Simulation) =>
    structuredClone({
      objects: [...s3.objects].map(([key, { body, etag }]) => [key, body, etag]).sort(),
      items: [...dynamodb.items].sort(),
      metrics: [...jobs.metrics].sort(),
      started: glue.started.length,
    });
  async function changeNothing(simulation: Simulation, step: () => Promise<unknown>) {
    await step();
    const once = snapshot(simulation);
    for (let repeat = 0; repeat < 25; repeat++) await step();
    assert.deepEqual(snapshot(simulation), once);
    await Promise.all(Array.from({ length: 25 }, step));
    assert.deepEqual(snapshot(simulation), once, "nor at once");
  }
  const steps = (simulation: Simulation) => ({
    sense: () => tick(simulation.actor().world),
    archive: () => settle(simulation.actor().world, 1000),
  });

  it("changes nothing, in each state of a good batch and of its replay", async () => {
    const simulation = createSimulation();
    const { sense, archive } = steps(simulation);
    for (const [name, body] of [
      ["a.csv", "l1,l2"],
      ["b.csv", "JUNK"],
      ["big.csv", "l3,".repeat(300)],
    ] as const)
      simulation.drop(name, body);
    for (let round = 0; round < 2; round++) {
      await changeNothing(simulation, sense);
      await changeNothing(simulation, archive);
      simulation.finish("good");
      await changeNothing(simulation, archive);
      await changeNothing(simulation, sense);
      const { batchId } = simulation.batches()[0]!;
      await changeNothing(simulation, () => requestReplay(simulation.actor().world, batchId));
    }
    await quiesce(simulation);
    check(simulation);
  });

  it("changes nothing, in each state of a batch that fails, is split, isolated and put back", async () => {
    const simulation = createSimulation();
    const { sense, archive } = steps(simulation);
    simulation.drop("a.csv", "l1,POISON");
    simulation.drop("b.csv", "l2");
    for (let round = 0; round < 8; round++) {
      await changeNothing(simulation, sense);
      simulation.finish("good");
      await changeNothing(simulation, archive);
      simulation.clock.advance(15 * MINUTE);
    }
    const failed = simulation.batches().find(({ state }) => state === "FAILED")!;
    await changeNothing(simulation, () => requestRetry(simulation.actor().world, failed.batchId));
    await changeNothing(simulation, sense);
    await quiesce(simulation);
    check(simulation);
  });

  it("changes nothing when it is a pause or its end", async () => {
    const simulation = createSimulation();
    await changeNothing(simulation, () => pause(simulation.actor().world));
    await changeNothing(simulation, () => resume(simulation.actor().world));
  });
});

describe("an operator", () => {
  async function archived(body = "l1") {
    const simulation = createSimulation();
    simulation.drop("a.csv", body);
    await sense(simulation);
    simulation.finish("good");
    await sense(simulation);
    return { simulation, batchId: simulation.batches()[0]!.batchId };
  }

  it("pauses: nothing is claimed, what is in flight is settled; resumes: it goes on", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await sense(simulation);
    const { world } = simulation.actor();
    await pause(world);
    await pause(world);
    simulation.drop("b.csv", "l2");
    simulation.finish("good");
    const report = await sense(simulation);
    assert.deepEqual([report.action, report.paused, simulation.batches()[0]?.state], ["paused", true, "ARCHIVED"]);
    assert.deepEqual(simulation.s3.keys(folders.incoming), [`${folders.incoming}b.csv`]);
    await resume(world);
    assert.equal((await sense(simulation)).claimed?.files, 1);
  });

  it("has an archived batch run again from the archive, twice, with the files where they were", async () => {
    const { simulation, batchId } = await archived();
    const places = simulation.s3.keys(folders.archived);
    for (const attempt of [2, 3]) {
      await requestReplay(simulation.actor().world, batchId);
      await requestReplay(simulation.actor().world, batchId);
      const before: string = simulation.s3.json(place("manifest", { batchId })).files[0].key;
      assert.ok(before.startsWith(attempt === 2 ? folders.incoming : folders.archived), before);
      assert.equal((await sense(simulation)).state, "RUNNING");
      assert.equal(simulation.s3.json(place("manifest", { batchId })).files[0].key, places[0]);
      simulation.finish("good");
      simulation.clock.advance(48 * 60 * MINUTE);
      await sense(simulation);
      const batch = simulation.batch(batchId);
      assert.deepEqual([batch.state, batch.attempt, batch.moves?.moved], ["ARCHIVED", attempt, 1]);
      assert.equal(batch.day, "2026-11-23");
      assert.deepEqual(simulation.s3.keys(folders.archived), places);
    }
    check(simulation);
  });

  it("can't replay a batch if that would lose listens", async () => {
    const { simulation, batchId } = await archived();
    simulation.s3.objects.delete(simulation.s3.keys(folders.archived)[0]!);
    await assert.rejects(requestReplay(simulation.actor().world, batchId), /a.csv was read, but is not in the archive/);
    assert.equal(simulation.batch(batchId).state, "ARCHIVED");
    await assert.rejects(requestReplay(simulation.actor().world, "nope"), /knows no batch nope/);
  });

  it("can't have a batch run again from an archive that holds other bytes than were read", async () => {
    const { simulation, batchId } = await archived();
    const [key = ""] = simulation.s3.keys(folders.archived);
    const kept = simulation.s3.objects.get(key)!;
    const lastModified = new Date(simulation.clock.now() + MINUTE);
    simulation.s3.objects.set(key, { ...kept, etag: '"other"', lastModified });
    await assert.rejects(requestReplay(simulation.actor().world, batchId), /a.csv has other bytes than were read/);
    simulation.s3.objects.set(key, { ...kept, body: `${kept.body}more`, etag: '"other-2"' });
    await assert.rejects(requestReplay(simulation.actor().world, batchId), /a.csv has other bytes than were read/);
    // A multipart copy has a new ETag, and so has a copy under another key.
    for (const same of [{ etag: '"other-2"', lastModified }, { etag: '"other"' }]) {
      simulation.s3.objects.set(key, { ...kept, ...same });
      assert.ok("manifest" in (await planReplay(simulation.actor().world, simulation.batch(batchId))));
    }
  });

  it("ends a replay whose files disappeared before it ran, and leaves the batch as it was", async () => {
    const { simulation, batchId } = await archived();
    const { version: _, ...before } = simulation.batch(batchId);
    await requestReplay(simulation.actor().world, batchId);
    const [key = ""] = simulation.s3.keys(folders.archived);
    const kept = simulation.s3.objects.get(key)!;
    simulation.s3.objects.delete(key);
    await later(simulation);
    const { state, notReplayed, report } = simulation.batch(batchId);
    assert.deepEqual([state, report], ["ARCHIVED", before.report]);
    assert.match(notReplayed ?? "", /a.csv was read, but is not in the archive/);
    assert.equal(simulation.glue.started.length, 1);
    simulation.s3.objects.set(key, kept);
    check(simulation);
  });

  it("must restore a file first that lies in a cold class", async () => {
    const { simulation, batchId } = await archived();
    simulation.s3.objects.get(simulation.s3.keys(folders.archived)[0]!)!.storageClass = "GLACIER";
    await assert.rejects(
      requestReplay(simulation.actor().world, batchId),
      /is in storage class GLACIER: restore it first/,
    );
  });

  async function failed() {
    const simulation = createSimulation({ limits: { maxAttempts: 1 } });
    simulation.drop("a.csv", "l1,POISON");
    await sense(simulation);
    simulation.finish("good");
    await sense(simulation);
    return { simulation, batchId: simulation.batches()[0]!.batchId };
  }

  it("has a failed file put back, once", async () => {
    const { simulation, batchId } = await failed();
    const { world } = simulation.actor();
    await assert.rejects(requestReplay(world, batchId), /is FAILED/);
    for (let repeat = 0; repeat < 2; repeat++) assert.equal(await requestRetry(world, batchId), true);
    const report = await sense(simulation);
    assert.deepEqual(
      [simulation.s3.keys(folders.failed), simulation.s3.keys(folders.incoming)],
      [[], [`${folders.incoming}a.csv`]],
    );
    assert.ok(simulation.batch(batchId).retriedAt);
    assert.equal(report.claimed?.files, 1);
    assert.notEqual(simulation.inFlight(), batchId);
    assert.equal(await requestRetry(world, batchId), false);
    await quiesce(simulation);
    check(simulation);
  });

  it("never has a file put back over another", async () => {
    const { simulation, batchId } = await failed();
    const { world } = simulation.actor();
    simulation.s3.put(`${folders.incoming}a.csv`, "l9");
    await assert.rejects(
      requestRetry(world, batchId),
      new RegExp(`${folders.incoming}a.csv holds another file by now`),
    );
    simulation.s3.objects.delete(`${folders.incoming}a.csv`);
    await requestRetry(world, batchId);
    // The other file arrives at that moment.
    await tick(simulation.actor(happensAt("CopyObject", () => simulation.drop("a.csv", "l8"))).world);
    const batch = simulation.batch(batchId);
    assert.deepEqual([batch.state, batch.notPutBack], ["FAILED", `${folders.incoming}a.csv holds another file`]);
    assert.ok(batch.settledAt && !batch.retriedAt && !batch.puttingBack);
    assert.equal(simulation.s3.keys(folders.failed).length, 1);
    simulation.finish("good");
    await later(simulation);
    assert.equal(await requestRetry(world, batchId), true);
    await later(simulation);
    assert.deepEqual(simulation.s3.keys(folders.failed), []);
    await quiesce(simulation);
    check(simulation);
  });

  it("has a file above the limit of a single copy put back in parts, and never over another", async () => {
    const { simulation, batchId } = await failed();
    const [key = ""] = simulation.s3.keys(folders.failed);
    const { body } = simulation.s3.put(key, `${"l1,".repeat(300)}POISON`);
    await requestRetry(simulation.actor().world, batchId);
    await tick(
      simulation.actor(happensAt("CompleteMultipartUpload", () => simulation.s3.put(`${folders.incoming}a.csv`, "l8")))
        .world,
    );
    assert.equal(simulation.s3.objects.get(key)?.body, body);
    simulation.finish("good");
    await later(simulation);
    await requestRetry(simulation.actor().world, batchId);
    await sense(simulation);
    assert.equal(simulation.s3.objects.get(`${folders.incoming}a.csv`)?.body, body);
    assert.deepEqual(simulation.s3.keys(folders.failed), []);
  });

  it("keeps in a replay's manifest the claimed files that it skips", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    simulation.drop("bad.csv", "JUNK");
    await sense(simulation);
    simulation.finish("good");
    await sense(simulation);
    const { batchId } = simulation.batches()[0]!;
    for (let repeat = 0; repeat < 2; repeat++) {
      await requestReplay(simulation.actor().world, batchId);
      await quiesce(simulation);
      const { files, notReplayed } = simulation.s3.json(place("manifest", { batchId })) as Manifest;
      assert.deepEqual([files.map(({ name }) => name), notReplayed?.map(({ name }) => name)], [["a.csv"], ["bad.csv"]]);
    }
    check(simulation);
  });
});
