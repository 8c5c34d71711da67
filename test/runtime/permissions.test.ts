import assert from "node:assert/strict";
import { requestReplay, requestRetry } from "../../runtime/operator";
import { settle } from "../../runtime/settle";
import { tick } from "../../runtime/tick";
import { AskedCalls, byAws, resourcesOf, rolePermissions } from "../support/asked-calls";
import { folders } from "../support/folders";
import { differences, dispensable } from "../support/permissions";
import { EVERY_CHOICE, recordProgram } from "../support/program-record";
import type { Ending } from "../support/simulated-glue";
import { type ActorOptions, createSimulation, type Simulation } from "../support/simulated-pipeline";

/** Larger than a single copy may be; no two are the same listen. */
const large = (first: string) => first + "x".repeat(600);

/** Files in incoming/, and the endings of the jobs in order. */
const STORIES: { files: string[]; endings: Ending["kind"][] }[] = [
  { files: ["l1", large("l2")], endings: ["good"] },
  { files: [large("l1"), "l2,JUNK", `${large("l3")},JUNK`], endings: ["transformFailsLate", "good"] },
  { files: ["l1,POISON"], endings: ["transformFailsLate"] },
  { files: [`${large("l1")},POISON`, "l2"], endings: ["transformFailsLate"] },
];
const ROUNDS = 12;
/** Longer than a dead Lambda's lease of a few files. */
const LEASE_MS = 15_000;
/** The calls before which a Lambda may die, and none. */
const CALLS = [...Array(15).keys(), Number.POSITIVE_INFINITY];
/** The Lambdas whose multipart uploads fail, in alternating rounds. */
const BREAKING = [["sense", "archive"], ["archive", "sense"], []];

describe("the permissions of the Lambdas", () => {
  const asked = new AskedCalls();

  async function run(simulation: Simulation, role: "sense" | "archive", options: ActorOptions = {}) {
    const actor = simulation.actor(options);
    await actor.run<unknown>((world) => (role === "sense" ? tick(world) : settle(world, 60_000)));
    asked.note(role, actor.commands);
  }

  /**
   * One Lambda dies before a call and the other continues, round by round; multipart uploads fail too. In between,
   * people send every kind of request.
   */
  async function play({ files, endings }: (typeof STORIES)[number], call: number, breaking: (typeof BREAKING)[number]) {
    const simulation = createSimulation();
    for (const [at, body] of files.entries()) simulation.drop(`${at}.csv`, body);
    for (let round = 0; round < ROUNDS; round += 1) {
      const faults = (role: "sense" | "archive", dies: boolean): ActorOptions => ({
        fault: (index, name) => {
          if (dies && index === call) return "crashBefore";
          const breaks = breaking[round % 2] === role && name === "CompleteMultipartUpload";
          return breaks ? "errorBefore" : undefined;
        },
      });
      await run(simulation, "sense", faults("sense", true));
      simulation.clock.advance(LEASE_MS);
      await run(simulation, "archive", faults("archive", false));
      const batchId = simulation.inFlight();
      if (batchId !== undefined)
        simulation.s3.put(`${folders.quarantinedRows}batch_id=${batchId}/part-0.json`, "a row");
      simulation.finish(endings[round % endings.length]!);
      await run(simulation, "archive", faults("archive", true));
      simulation.clock.advance(LEASE_MS);
      await run(simulation, "sense", faults("sense", false));
      simulation.clock.advance(15 * 60_000);
      if (round !== ROUNDS / 2) continue;
      // The request may be refused.
      for (const { state, batchId: settled } of simulation.batches()) {
        if (state === "ARCHIVED") await simulation.actor().run((world) => requestReplay(world, settled));
        if (state === "FAILED") await simulation.actor().run((world) => requestRetry(world, settled));
      }
    }
  }

  before(async () => {
    for (const story of STORIES) {
      for (const call of CALLS) for (const breaking of BREAKING) await play(story, call, breaking);
    }

    // Another tick is faster: this one deletes its manifest.
    const late = createSimulation();
    late.drop("a.csv", "l1");
    const overtaken = (_: number, name: string): undefined => {
      const claims = { pk: "PIPELINE", sk: "CLAIMS", claims: 99 };
      if (name === "PutObject") late.dynamodb.items.set(JSON.stringify([claims.pk, claims.sk]), claims);
    };
    await run(late, "sense", { fault: overtaken });

    // The batch goes on without a run that a tick has just started: the tick stops the run.
    const unwanted = createSimulation();
    unwanted.drop("a.csv", "l1");
    const moved = (_: number, name: string): undefined => {
      const batch = unwanted.batches()[0];
      if (name === "StartWorkflowRun" && batch)
        unwanted.dynamodb.items.set(JSON.stringify(["BATCH", batch.batchId]), { ...batch, attempt: 2, version: 99 });
    };
    await run(unwanted, "sense", { fault: moved });
  });

  for (const [stack, changes] of [
    ["a stack", {}],
    ["a stack with a key of its own", EVERY_CHOICE],
  ] as const) {
    it(`are what their calls need in ${stack}: nothing is missing, and removing any one would be noticed`, async () => {
      const program = await recordProgram("dev", changes);
      const permissions = (["sense", "archive"] as const).flatMap((role) => rolePermissions(program, role));
      const calls = asked.calls(resourcesOf(program, changes));
      assert.deepEqual(differences(permissions, calls, byAws(program)), []);
      assert.deepEqual(dispensable(permissions, calls, byAws(program)), []);
    });
  }
});
