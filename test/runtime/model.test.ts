import fc from "fast-check";
import { setPause } from "../../runtime/ledger";
import { requestReplay } from "../../runtime/operator";
import { settle } from "../../runtime/settle";
import { tick } from "../../runtime/tick";
import { check, quiesce } from "../support/simulated-check";
import type { Ending } from "../support/simulated-glue";
import { type Actor, createSimulation, FAULTS, type Fault, type Simulation } from "../support/simulated-pipeline";

type Event =
  | { kind: "drop"; name: string; body: string }
  | { kind: "remove"; name: string }
  | { kind: "lambda"; of: "tick" | "settle"; call: number; fault: Fault | undefined; skewMs: number }
  | {
      kind: "together";
      of: ("tick" | "settle")[];
      seed: number;
      ending: Ending["kind"] | undefined;
      drop: [string, string] | undefined;
    }
  | { kind: "finish"; ending: Ending["kind"] }
  | { kind: "wait"; minutes: number }
  | { kind: "pause"; on: boolean }
  | { kind: "replay"; index: number };

const ENDINGS: Ending["kind"][] = [
  "good",
  "good",
  "good",
  "transformFailsEarly",
  "transformFailsLate",
  "transformTimesOut",
  "publishFails",
  "publishAbsent",
  "stopped",
  "error",
  "lost",
];

const name = fc.constantFrom("a.csv", "b.csv", "x/c.csv", "d e+%.csv", "é.csv", "f.csv");
const listens = fc.uniqueArray(fc.constantFrom("l1", "l2", "l3", "l4", "l5", "l6", "l7"), {
  minLength: 1,
  maxLength: 4,
});
const body = fc
  .tuple(listens, fc.constantFrom("", "", "", ",POISON", ",JUNK"))
  .map(([rows, odd]) => rows.join(",") + odd);
const lambda = fc.constantFrom("tick" as const, "tick" as const, "settle" as const);
const ending = fc.constantFrom(...ENDINGS);

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("drop" as const), name, body }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), name }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("lambda" as const),
      of: lambda,
      call: fc.nat(14),
      fault: fc.option(fc.constantFrom(...FAULTS), { nil: undefined }),
      skewMs: fc.constantFrom(0, 0, 300_000, -300_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("together" as const),
      of: fc.array(lambda, { minLength: 2, maxLength: 3 }),
      seed: fc.nat(),
      ending: fc.option(ending, { nil: undefined }),
      drop: fc.option(fc.tuple(name, body), { nil: undefined }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("finish" as const), ending }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), minutes: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pause" as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("replay" as const), index: fc.nat(3) }) },
);

function call(actor: Actor, of: "tick" | "settle"): Promise<unknown> {
  return actor.run<unknown>((world) => (of === "tick" ? tick(world, 60_000) : settle(world, 20_000)));
}

/** Runs Lambdas at once: before and after each of their calls it is chance that says whose turn it is. */
async function together(simulation: Simulation, event: Event & { kind: "together" }): Promise<void> {
  const waiting: (() => void)[] = [];
  const turn = () => new Promise<void>((resolve) => waiting.push(resolve));
  let running = event.of.length;
  for (const of of event.of)
    void call(simulation.actor({ turn }), of).finally(() => {
      running--;
    });
  let state = event.seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  let { drop } = event;
  while (running > 0) {
    await new Promise((resolve) => setImmediate(resolve));
    if (event.ending && random(8) === 0) simulation.finish(event.ending);
    if (drop && random(16) === 0) {
      simulation.drop(...drop);
      drop = undefined;
    }
    if (waiting.length > 0) waiting.splice(random(waiting.length), 1)[0]!();
  }
}

async function happen(simulation: Simulation, event: Event): Promise<void> {
  switch (event.kind) {
    case "drop":
      return simulation.drop(event.name, event.body);
    case "remove":
      return simulation.remove(event.name);
    case "lambda": {
      const fault = (index: number) => (index === event.call ? event.fault : undefined);
      await call(simulation.actor({ fault, skewMs: event.skewMs }), event.of);
      return;
    }
    case "together":
      return together(simulation, event);
    case "finish":
      simulation.finish(event.ending);
      return;
    case "wait":
      return simulation.clock.advance(event.minutes * 60_000);
    case "pause":
      return setPause(simulation.actor().world, event.on);
    case "replay": {
      const batchId = simulation.batches()[event.index]?.batchId;
      if (batchId) await simulation.actor().run((world) => requestReplay(world, batchId));
    }
  }
}

describe("the protocol under random histories", () => {
  it("loses no listen and counts none twice, whatever fails, in any order", async () => {
    const histories = Number(process.env.HISTORIES ?? 1500);
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 40 }), async (events) => {
        const simulation = createSimulation();
        for (const one of events) await happen(simulation, one);
        await quiesce(simulation);
        check(simulation);
      }),
      { numRuns: histories, ...(process.env.SEED ? { seed: Number(process.env.SEED) } : {}) },
    );
  });
});
