import assert from "node:assert/strict";
import { settle } from "../../runtime/settle";
import { tick } from "../../runtime/tick";
import { check } from "../support/simulated-check";
import { type Actor, createSimulation, type Simulation } from "../support/simulated-pipeline";

/** A batch of three files whose run has succeeded; `POISON` makes it fail for good. */
async function ran(body = "l1"): Promise<Simulation> {
  const simulation = createSimulation({ limits: { maxAttempts: 1 } });
  const names = body.includes("POISON") ? ["a.csv"] : ["a.csv", "b.csv", "c.csv"];
  for (const name of names) simulation.drop(name, body);
  await tick(simulation.actor().world);
  simulation.finish("good");
  return simulation;
}

const copies = ({ calls }: Actor) => calls.filter((name) => name === "CopyObject").length;

/** Archive dies at its first copy. */
async function killed(simulation: Simulation): Promise<void> {
  const archive = simulation.actor({ fault: (_, name) => (name === "CopyObject" ? "crashBefore" : undefined) });
  assert.equal(await archive.run((world) => settle(world, 60_000)), "died");
}

describe("a lease of a batch's files", () => {
  for (const body of ["l1", "l1,POISON"])
    it(`lets one Lambda move them, and the other leaves (${body})`, async () => {
      const simulation = await ran(body);
      let other: Actor | undefined;
      const archive: Actor = simulation.actor({
        turn: async () => {
          if (other || copies(archive) === 0) return;
          other = simulation.actor();
          const { action, steps } = await tick(other.world);
          assert.deepEqual([action, steps], ["waiting", []]);
        },
      });
      await settle(archive.world, 60_000);
      assert.ok(other);
      assert.deepEqual([copies(archive), copies(other)], [body === "l1" ? 3 : 1, 0]);
      const [batch] = simulation.batches();
      assert.ok(batch?.settledAt && batch.lease === undefined);
      check(simulation);
    });

  it("of a killed Lambda ends within seconds where the files are few", async () => {
    const simulation = await ran();
    await killed(simulation);
    const early = simulation.actor();
    await tick(early.world);
    assert.deepEqual([copies(early), simulation.batches()[0]?.state], [0, "PROCESSED"]);
    simulation.clock.advance(11_000);
    await tick(simulation.actor().world);
    check(simulation);
  });

  it("ends within two minutes, however many the files are", async () => {
    const simulation = await ran();
    await killed(simulation);
    const [batch] = simulation.batches();
    const { pk, sk } = simulation.dynamodb.get("BATCH", batch!.batchId)!;
    const until = new Date(simulation.clock.now() + 120_000).toISOString();
    const lease = { holder: "dead", until };
    simulation.dynamodb.items.set(JSON.stringify([pk, sk]), { ...batch, pk, sk, files: 100_000, lease });
    simulation.clock.advance(119_000);
    const early = simulation.actor();
    await tick(early.world);
    assert.equal(copies(early), 0);
    simulation.clock.advance(1_000);
    await tick(simulation.actor().world);
    assert.equal(simulation.batches()[0]?.state, "ARCHIVED");
  });

  it("does not count when a clock that was ahead wrote it, or an earlier version wrote none", async () => {
    for (const lease of [{ holder: "ahead", until: "2027-01-01T00:00:00.000Z" }, undefined]) {
      const simulation = await ran();
      await killed(simulation);
      const key = JSON.stringify(["BATCH", simulation.inFlight()]);
      const { lease: _, ...item } = simulation.dynamodb.items.get(key)!;
      simulation.dynamodb.items.set(key, { ...item, ...(lease ? { lease } : {}) });
      await tick(simulation.actor().world);
      check(simulation);
    }
  });

  it("ends when a move fails, so that the next try need not wait", async () => {
    const simulation = await ran();
    const fault = (_: number, name: string) => (name === "CopyObject" ? ("denied" as const) : undefined);
    await simulation.actor({ fault }).run((world) => settle(world, 60_000));
    await tick(simulation.actor().world);
    check(simulation);
  });
});
