import assert from "node:assert/strict";
import { batchesAtWork, leaveOut, putOnList } from "../../runtime/forget";
import { pause } from "../../runtime/operator";
import { settle } from "../../runtime/settle";
import { tick } from "../../runtime/tick";
import { folders } from "../support/folders";
import { createSimulation, type Simulation } from "../support/simulated-pipeline";

const search = (simulation: Simulation, listener: string) => async () => simulation.jobs.search(listener);

/** Ticks and runs until nothing is at work. */
async function settleAll(simulation: Simulation): Promise<void> {
  do {
    await simulation.actor().run((world) => tick(world, 60_000));
    simulation.finish("good");
    await simulation.actor().run((world) => settle(world, 20_000));
  } while ((await batchesAtWork(simulation.actor().world)).length > 0);
}

describe("forgetting a listener", () => {
  it("takes their rows out of curated and the metrics, leaves all others, and counts no later file's", async () => {
    const simulation = createSimulation();
    const { world } = simulation.actor();
    simulation.drop("a.csv", "l1,l2");
    await settleAll(simulation);
    simulation.drop("b.csv", "l2,l3");
    await settleAll(simulation);
    assert.equal(await putOnList(world, "l2"), true);
    const first = await leaveOut(world, search(simulation, "l2"));
    assert.deepEqual([first.atWork, first.queued.length, first.impossible.size], [[], 1, 0]);
    await settleAll(simulation);
    simulation.drop("c.csv", "l2,l4");
    await settleAll(simulation);
    assert.deepEqual(simulation.jobs.curated().sort(), ["l1", "l3", "l4"]);
    assert.deepEqual([...simulation.jobs.metrics.keys()].sort(), ["l1", "l3", "l4"]);
    assert.deepEqual((await leaveOut(world, search(simulation, "l2"))).holdings, []);
  });

  it("keeps the time of the first request", async () => {
    const simulation = createSimulation();
    const { world } = simulation.actor();
    await putOnList(world, "l1");
    const before = simulation.s3.objects.get(`${folders.forgotten}l1`)!.body;
    simulation.clock.advance(60_000);
    assert.equal(await putOnList(world, "l1"), false);
    assert.equal(simulation.s3.objects.get(`${folders.forgotten}l1`)!.body, before);
  });

  it("counts a batch as at work that settles during the search: its run may have read the list too early", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "l1");
    await simulation.actor().run((world) => tick(world, 60_000));
    const { world } = simulation.actor();
    await putOnList(world, "l1");
    const { atWork, holdings } = await leaveOut(world, async () => {
      const found = simulation.jobs.search("l1");
      await settleAll(simulation);
      return found;
    });
    assert.deepEqual([atWork.length, holdings.length], [1, 0]);
    assert.deepEqual(simulation.jobs.curated(), ["l1"]);
  });

  it("asks for a queued replay only once, and says why a batch can't run again", async () => {
    const simulation = createSimulation();
    const { world } = simulation.actor();
    for (const name of ["a.csv", "b.csv"]) {
      simulation.drop(name, name.startsWith("a") ? "l1,l2" : "l3,l4");
      await settleAll(simulation);
    }
    await pause(world);
    for (const listener of ["l1", "l3"]) await putOnList(world, listener);
    const [archived] = simulation.s3.keys(folders.archived);
    simulation.s3.objects.delete(archived!);
    const { impossible } = await leaveOut(world, search(simulation, "l1"));
    assert.match([...impossible.values()].join(), /can't run again: a\.csv was read, but is not in the archive/);
    const { queued } = await leaveOut(world, search(simulation, "l3"));
    const again = await leaveOut(world, search(simulation, "l3"));
    assert.deepEqual([queued.length, again.queued, again.atWork], [1, [], queued]);
  });
});
