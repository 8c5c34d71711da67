import assert from "node:assert/strict";
import { settle } from "../../runtime/settle";
import { tick } from "../../runtime/tick";
import { check, quiesce } from "../support/simulated-check";
import type { Ending } from "../support/simulated-glue";
import { type ActorOptions, createSimulation, FAULTS, type Simulation } from "../support/simulated-pipeline";

/** Runs of each kind: what is dropped, how the workflow ends each time, and which Lambda looks after that. */
const STORIES: { name: string; files: [string, string][]; endings: Ending["kind"][]; settledBy: "tick" | "settle" }[] =
  [
    {
      name: "a good run, settled by sense",
      files: [
        ["a.csv", "l1,l2"],
        ["b.csv", "JUNK"],
        ["big.csv", "l3,".repeat(300)],
      ],
      endings: ["good"],
      settledBy: "tick",
    },
    {
      name: "a good run, settled by archive",
      files: [
        ["a.csv", "l1,l2"],
        ["b.csv", "l2,l3"],
      ],
      endings: ["good"],
      settledBy: "settle",
    },
    {
      name: "a publish that fails once",
      files: [["a.csv", "l1,l2"]],
      endings: ["publishFails", "good"],
      settledBy: "settle",
    },
    {
      name: "a file that fails every time",
      files: [["a.csv", "l1,POISON"]],
      endings: ["good", "good"],
      settledBy: "settle",
    },
    {
      name: "a bad file among good ones",
      files: [
        ["a.csv", "l1"],
        ["b.csv", "l2,POISON"],
        ["c.csv", "l3"],
      ],
      endings: ["good", "good", "good", "good", "good", "good", "good"],
      settledBy: "tick",
    },
    { name: "a run that Glue forgets", files: [["a.csv", "l1"]], endings: ["lost", "good"], settledBy: "tick" },
  ];

interface Played {
  simulation: Simulation;
  calls: string[];
  reached: boolean;
}

/** Plays a story with one fault at the n-th of all calls that the Lambdas make in it. */
async function play(story: (typeof STORIES)[number], at: number, fault: (typeof FAULTS)[number]): Promise<Played> {
  const simulation = createSimulation();
  for (const [name, body] of story.files) simulation.drop(name, body);
  const calls: string[] = [];
  let reached = false;
  const options: ActorOptions = {
    fault: (_, name) => {
      calls.push(name);
      if (calls.length - 1 !== at) return undefined;
      reached = true;
      return fault;
    },
  };
  await simulation.actor(options).run((world) => tick(world));
  for (const ending of story.endings) {
    simulation.finish(ending);
    if (story.settledBy === "settle") await simulation.actor(options).run((world) => settle(world, 60_000));
    simulation.clock.advance(15 * 60_000);
    await simulation.actor(options).run((world) => tick(world));
  }
  return { simulation, calls, reached };
}

describe("every single fault", () => {
  let cases = 0;
  for (const story of STORIES)
    it(`at every call of ${story.name} leaves nothing lost and nothing counted twice`, async () => {
      const { calls } = await play(story, -1, "errorBefore");
      for (let at = 0; at < calls.length; at++)
        for (const fault of FAULTS) {
          const { simulation, reached } = await play(story, at, fault);
          assert.ok(reached, `call ${at} was made`);
          try {
            await quiesce(simulation);
            check(simulation);
          } catch (error) {
            throw new Error(`${fault} at call ${at} (${calls[at]})`, { cause: error });
          }
          cases++;
        }
    });
  after(() => console.log(`      ${cases} single faults`));

  it("in a good run is made good within two ticks and one run of the workflow", async () => {
    const story = STORIES[1]!;
    const { calls } = await play(story, -1, "errorBefore");
    for (let at = 0; at < calls.length; at++)
      for (const fault of FAULTS) {
        const { simulation } = await play(story, at, fault);
        const before = simulation.glue.started.length;
        const ticks = await quiesce(simulation);
        assert.ok(ticks <= 2, `${fault} at call ${at} (${calls[at]}) took ${ticks} ticks`);
        assert.ok(simulation.glue.started.length - before <= 1);
      }
  });
});
