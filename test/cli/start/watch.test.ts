import assert from "node:assert/strict";
import type { LambdaClient } from "@aws-sdk/client-lambda";
import { watchPipeline } from "../../../cli/start/watch";
import { tick } from "../../../runtime/tick";
import { createSimulation } from "../../support/simulated-pipeline";

describe("the watch of npm start", () => {
  const realNow = Date.now;
  let nowMs: number;
  beforeEach(() => {
    nowMs = realNow();
    Date.now = () => nowMs;
  });
  afterEach(() => {
    Date.now = realNow;
  });

  /** A pipeline whose sense fails as often as the test says. */
  function watched() {
    const simulation = createSimulation();
    const failing = { ticks: 0 };
    const send = async () => {
      if (failing.ticks-- > 0) return { FunctionError: "Unhandled", Payload: Buffer.from("killed") };
      await tick(simulation.actor().world);
      return {};
    };
    const { world } = simulation.actor();
    const watch = watchPipeline(world, { send } as unknown as LambdaClient, "sense", world.clients.glue);
    const look = () => {
      nowMs += 60_000;
      simulation.clock.advance(60_000);
      return watch.look();
    };
    return { simulation, failing, look };
  }

  it("goes on when Glue has forgotten the run of the batch in flight: sense plans the next attempt", async () => {
    const { simulation, look } = watched();
    simulation.drop("a.csv", "l1");
    await look();
    const running = await look();
    assert.deepEqual(
      running.batches.map(({ state }) => state),
      ["RUNNING"],
    );
    assert.ok(Object.keys(running.jobs).length > 0, "the jobs of the run are known");
    simulation.glue.runs.length = 0;
    assert.deepEqual((await look()).jobs, {});
    simulation.clock.advance(3_600_000);
    const next = await look();
    assert.equal(next.batches[0]!.attempt, 2);
  });

  it("goes on after failed ticks, and says why when five fail in a row", async () => {
    const { simulation, failing, look } = watched();
    simulation.drop("a.csv", "l1");
    failing.ticks = 4;
    for (let looks = 0; looks < 6; looks++) await look();
    assert.equal((await look()).batches.length, 1);
    failing.ticks = 5;
    for (let looks = 0; looks < 4; looks++) await look();
    await assert.rejects(look(), /sense failed 5 times: killed/);
  });
});
