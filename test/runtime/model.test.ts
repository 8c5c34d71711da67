import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { leaveOut, putOnList } from "../../runtime/forget";
import { pause, requestAbandon, requestReplay, requestRetry, resume } from "../../runtime/operator";
import { RefusedError } from "../../runtime/refused";
import { settle } from "../../runtime/settle";
import { tick } from "../../runtime/tick";
import type { World } from "../../runtime/world";
import { AskedCalls, resourcesOf, rolePermissions } from "../support/asked-calls";
import { folders, placedName } from "../support/folders";
import { FULL, timeLimitMs } from "../support/full";
import { differences } from "../support/permissions";
import { recordProgram } from "../support/program-record";
import { check, quiesce } from "../support/simulated-check";
import { ENDINGS, type Ending } from "../support/simulated-glue";
import { type Actor, createSimulation, FAULTS, type Fault, type Simulation } from "../support/simulated-pipeline";

/** The call of a Lambda or a command that fails, and how; none when `fault` is absent. */
interface Trouble {
  call: number;
  fault?: Fault | undefined;
  /** The error of the caller's clock. */
  skewMs: number;
}

type Event =
  | { kind: "drop"; name: string; body: string }
  | { kind: "dropElsewhere"; from: string; name: string }
  | { kind: "remove"; name: string }
  /** Someone deletes a file in the archive, and restores it before the pipeline settles. */
  | { kind: "hide"; index: number }
  /**
   * A tick on schedule, or archive on an event: in time, late, doubled or for nothing. A lost event is not listed.
   */
  | ({ kind: "lambda"; of: "tick" | "settle" } & Trouble)
  | {
      kind: "together";
      of: ("tick" | "settle")[];
      seed: number;
      ending: Ending["kind"] | undefined;
      drop: [string, string] | undefined;
      remove: string | undefined;
      /** A listener whom a person forgets meanwhile. */
      forget?: string | undefined;
    }
  /** Someone restores the ledger, one batch's item or the metrics to an earlier moment, and does as the manual says. */
  | { kind: "restore"; what: "ledger" | "batch" | "metrics"; index: number; moment: number }
  | { kind: "finish"; ending: Ending["kind"] }
  /** A run from its start to its end, with nothing in between: so that histories get far. */
  | { kind: "round"; ending: Ending["kind"] }
  | { kind: "wait"; minutes: number }
  /** A person forgets a listener, who is the listen of this name. The command does not wait. */
  | ({ kind: "forget"; listener: string } & Trouble)
  | ({ kind: "command"; of: "pause" | "resume" | "replay" | "retry" | "abandon"; index: number } & Trouble);

/** A name too long for archive/, and one that looks like its shortened form there. */
const LONG = `${"n".repeat(1000)}.csv`;
const TWIN = placedName("archived", LONG);
const name = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("a.csv", "b.csv", "x/c.csv", "d e+%.csv", "é.csv", "f.csv") },
  { weight: 1, arbitrary: fc.constantFrom(LONG, TWIN) },
);
const listen = fc.constantFrom("l1", "l2", "l3", "l4", "l5", "l6", "l7");
const listens = fc.uniqueArray(listen, {
  minLength: 1,
  maxLength: 4,
});
const body = fc
  .tuple(
    listens,
    fc.constantFrom("", "", "", "", "", "", ",POISON", ",POISON", ",JUNK", ",JUNK", ",SEALED", ",STUCK", ",BROKEN"),
  )
  .map(([rows, odd]) => rows.join(",") + odd);
/** The time of a page of a listing: a tick's time is enough for all, for two pages, or for one. */
const slow = fc.constantFrom(0, 0, 12_000, 25_000);
const lambda = fc.constantFrom("tick" as const, "tick" as const, "settle" as const);
const ending = fc.oneof(
  { weight: 1, arbitrary: fc.constant("good" as const) },
  { weight: 2, arbitrary: fc.constantFrom(...ENDINGS) },
);
const trouble = {
  call: fc.nat(14),
  fault: fc.option(fc.constantFrom(...FAULTS), { nil: undefined }),
  skewMs: fc.constantFrom(0, 0, 300_000, -300_000),
};
const command = fc.constantFrom(...(["pause", "resume", "replay", "replay", "retry", "retry", "abandon"] as const));

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("drop" as const), name, body }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("dropElsewhere" as const), from: name, name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("hide" as const), index: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("lambda" as const), of: lambda, ...trouble }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("together" as const),
      of: fc.array(lambda, { minLength: 1, maxLength: 3 }),
      seed: fc.nat(),
      ending: fc.option(ending, { nil: undefined }),
      drop: fc.option(fc.tuple(name, body), { nil: undefined }),
      remove: fc.option(name, { nil: undefined, freq: 1 }),
      forget: fc.option(listen, { nil: undefined, freq: 1 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("finish" as const), ending }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("round" as const), ending }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), minutes: fc.nat(20) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("command" as const), of: command, index: fc.nat(3), ...trouble }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget" as const), listener: listen, ...trouble }) },
);

const restoration: fc.Arbitrary<Event> = fc.record({
  kind: fc.constant("restore" as const),
  what: fc.constantFrom("ledger" as const, "batch" as const, "metrics" as const),
  index: fc.nat(3),
  moment: fc.nat(40),
});

/** Any event, and restores among them. */
const restorable: fc.Arbitrary<Event> = fc.oneof(
  { weight: 30, arbitrary: event },
  { weight: 2, arbitrary: restoration },
);

/** The Lambdas' requests to AWS in all histories. */
const asked = new AskedCalls();

async function call(actor: Actor, of: "tick" | "settle"): Promise<void> {
  await actor.run<unknown>((world) => (of === "tick" ? tick(world, 60_000) : settle(world, 20_000)));
  asked.note(of === "tick" ? "sense" : "archive", actor.commands);
}

/** Runs Lambdas concurrently: before and after each call, chance decides which one continues. */
async function together(simulation: Simulation, event: Event & { kind: "together" }): Promise<void> {
  const waiting: (() => void)[] = [];
  const turn = () => new Promise<void>((resolve) => waiting.push(resolve));
  const work = event.of.map((of) => call(simulation.actor({ turn }), of));
  if (event.forget !== undefined) work.push(forget(simulation, simulation.actor({ turn }), event.forget, turn));
  let running = work.length;
  for (const one of work)
    void one.finally(() => {
      running--;
    });
  let state = event.seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  let { drop, remove } = event;
  while (running > 0) {
    await new Promise((resolve) => setImmediate(resolve));
    if (event.ending && random(8) === 0) simulation.finish(event.ending);
    if (drop && random(16) === 0) {
      simulation.drop(...drop);
      drop = undefined;
    }
    if (remove && random(16) === 0) {
      simulation.remove(remove);
      remove = undefined;
    }
    if (waiting.length > 0) waiting.splice(random(waiting.length), 1)[0]!();
  }
}

/** The command `forget`, which does not wait. `turn` waits until its search may begin, and until it may end. */
async function forget(simulation: Simulation, actor: Actor, listener: string, turn = async () => {}): Promise<void> {
  await actor.run(async (world) => {
    await putOnList(world, listener);
    const { atWork, impossible } = await leaveOut(world, async () => {
      await turn();
      const found = simulation.jobs.search(listener);
      await turn();
      return found;
    });
    if (atWork.length === 0 && impossible.size === 0) simulation.promised.add(listener);
  });
}

/** Carries out a person's request, which may be refused. */
function obey(world: World, simulation: Simulation, event: Event & { kind: "command" }): Promise<unknown> {
  if (event.of === "pause") return pause(world);
  if (event.of === "resume") return resume(world);
  const batchId = simulation.batches()[event.index]?.batchId ?? "none";
  if (event.of === "abandon") return requestAbandon(world, batchId);
  return event.of === "replay" ? requestReplay(world, batchId) : requestRetry(world, batchId);
}

/** Restores a table, and does what docs/operations.md says after it. */
async function restore(simulation: Simulation, { what, index, moment }: Event & { kind: "restore" }): Promise<void> {
  simulation.restoreTable(what, moment, index);
  if (what === "metrics") return;
  const { world } = simulation.actor();
  for (const batchId of simulation.lost())
    await requestReplay(world, batchId).catch((error) => {
      if (!(error instanceof RefusedError)) throw error;
    });
}

async function happen(simulation: Simulation, event: Event): Promise<void> {
  const troubled = ({ call, fault, skewMs }: Trouble) =>
    simulation.actor({ fault: (index: number) => (index === call ? fault : undefined), skewMs });
  switch (event.kind) {
    case "drop":
      return simulation.drop(event.name, event.body);
    case "dropElsewhere": {
      const same = simulation.dropped.findLast(({ name }) => name === event.from);
      if (same) simulation.drop(event.name, same.body);
      return;
    }
    case "remove":
      return simulation.remove(event.name);
    case "hide":
      return simulation.hide(event.index);
    case "lambda":
      await call(troubled(event), event.of);
      return;
    case "together":
      return together(simulation, event);
    case "restore":
      return restore(simulation, event);
    case "finish":
      simulation.finish(event.ending);
      return;
    case "round":
      await call(simulation.actor(), "tick");
      simulation.finish(event.ending);
      await call(simulation.actor(), "settle");
      return simulation.clock.advance(15 * 60_000);
    case "wait":
      await simulation.deliver(false);
      return simulation.clock.advance(event.minutes * 60_000);
    case "forget":
      await forget(simulation, troubled(event), event.listener);
      return;
    case "command":
      await troubled(event).run((world) => obey(world, simulation, event));
  }
}

async function live(events: Event[], listMs = 0): Promise<void> {
  const simulation = createSimulation({ listMs });
  // A page of keys that no claim takes, before all others.
  for (const key of ["!marker/", "!notes.txt", "!readme"]) simulation.s3.put(`${folders.incoming}${key}`, "left alone");
  for (const one of events) {
    simulation.remember();
    await happen(simulation, one);
  }
  await quiesce(simulation);
  check(simulation);
}

/** Histories that once failed, with their lessons. Never remove one. */
const KNOWN: { lesson: string; events: Event[]; listMs?: number }[] = JSON.parse(
  readFileSync(path.join(__dirname, "histories.json"), "utf8"),
);

describe("the protocol under random histories", () => {
  for (const { lesson, events, listMs } of KNOWN) it(`remembers: ${lesson}`, () => live(events, listMs));

  const histories = Number(process.env.HISTORIES ?? (FULL ? 10_000 : 1500));

  /** Lives random histories. A failure prints its seed, and the shortest one that fails, as JSON for histories.json. */
  async function liveMany(some: fc.Arbitrary<Event[]>, numRuns: number): Promise<void> {
    const seed = process.env.SEED ? { seed: Number(process.env.SEED) } : {};
    await fc.assert(
      fc.asyncProperty(some, slow, (events, listMs) =>
        live(events, listMs).catch((cause) => {
          throw new Error(JSON.stringify({ events, listMs }), { cause });
        }),
      ),
      { numRuns, ...seed, endOnFailure: process.env.SHRINK === "no" },
    );
    console.log(`      ${numRuns} histories`);
  }

  it("loses no listen and counts none twice, whatever fails, in any order", () =>
    liveMany(fc.array(event, { minLength: 5, maxLength: 40 }), histories)).timeout(timeLimitMs(histories, 100));

  const restores = histories / 5;
  it("loses no listen to restores of tables, and counts none twice", () =>
    liveMany(fc.array(restorable, { minLength: 5, maxLength: 40 }), restores)).timeout(timeLimitMs(restores, 100));

  it("asks for nothing that the Lambdas' roles may not do", async () => {
    const program = await recordProgram("dev");
    const permissions = (["sense", "archive"] as const).flatMap((role) => rolePermissions(program, role));
    const refused = differences(permissions, asked.calls(resourcesOf(program)), []);
    assert.deepEqual(
      refused.filter((one) => one.includes("no permission allows it")),
      [],
    );
  });
});
