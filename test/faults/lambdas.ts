import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import layout from "../../layout.json";
import { place } from "../../runtime/places";
import { until } from "../support/commands";
import { folders } from "../support/folders";
import { by } from "./proxy";
import type { Scenario } from "./scenario";
import type { Stage } from "./stage";

/** Delays archive's copies, lets a run end, and waits until some files are moved and some are not. */
export async function midMove(stage: Stage): Promise<void> {
  await stage.failing("move held", { ...by("lambdas", "s3", "CopyObject"), latency: 1000 });
  await stage.tick();
  const { batchId, files } = await stage.reach("PROCESSED");
  const moved = async () => (await stage.keys(folders.archived)).filter((key) => key.includes(batchId)).length;
  await until("archive is moving files", async () => (await moved()) > 0);
  assert.ok((await moved()) < files, "not every file is moved yet");
}

/** Several calls at once. Their errors do not matter: a Lambda lost a race, or the emulator is under load. */
async function atOnce(stage: Stage, lambdas: ("sense" | "archive")[]): Promise<void> {
  await Promise.all(lambdas.map((lambda) => stage.invoke(lambda)));
}

export const lambdaScenarios: Scenario[] = [
  {
    name: "archive-killed",
    about: "kill -9 of the archive Lambda after it moved part of the files",
    quick: true,
    async play(stage) {
      await stage.dropMany(120, 3);
      await midMove(stage);
      await stage.killWorkers("archive");
      await stage.mend();
    },
  },
  {
    name: "sense-killed",
    about: "kill -9 of sense at three points: claiming, starting the run, settling",
    quick: true,
    async play(stage) {
      await stage.dropMany(20, 10);
      const moments = [
        { name: "claim held", ...by("lambdas", "dynamodb", "TransactWriteItems") },
        { name: "start held", ...by("lambdas", "glue", "StartWorkflowRun") },
      ];
      for (const { name, ...calls } of moments) {
        await stage.failing(name, { ...calls, latency: 3000 });
        const tick = stage.tick();
        await until(name, () => stage.hasFired(name));
        await stage.killWorkers("sense");
        assert.ok(await tick, "the tick failed");
        await stage.mend();
        // Calls on their way still arrive after the death of their sender.
        await sleep(3500);
      }
      await until("the run exists", async () => {
        if ((await stage.inFlight())?.state === "RUNNING") return true;
        await stage.tick();
        return false;
      });
      await stage.deliverEvents(false);
      const { batchId } = await stage.reach("RUNNING");
      await until("publish has ended", async () =>
        (await stage.keys(folders.batches)).includes(place("publishReport", { batchId })),
      );
      await stage.failing("settling held", { ...by("lambdas", "dynamodb", "PutItem"), latency: 3000 });
      await sleep(1500);
      const tick = stage.tick();
      await until("settling held", () => stage.hasFired("settling held"));
      await stage.killWorkers("sense");
      assert.ok(await tick, "the tick failed");
      await stage.mend();
      await sleep(3500);
      await stage.deliverEvents(true);
    },
  },
  {
    name: "events-lost",
    about: "no event reaches archive; sense alone settles",
    async play(stage) {
      await stage.deliverEvents(false);
      try {
        await stage.dropMany(2, 100);
        await stage.settle();
        stage.fault("events lost");
        const [batch] = await stage.batches();
        assert.equal(batch?.state, "ARCHIVED");
      } finally {
        await stage.deliverEvents(true);
      }
    },
  },
  {
    name: "events-doubled",
    about: "archive called eight times at once before, during and long after the run",
    async play(stage) {
      const eight = Array.from({ length: 8 }, () => "archive" as const);
      const call = async () => {
        await atOnce(stage, eight);
        for (const _ of eight) stage.fault("event doubled");
      };
      await call();
      await stage.dropMany(30, 10);
      await call();
      await stage.tick();
      await stage.failing("copy held", { ...by("lambdas", "s3", "CopyObject"), latency: 300 });
      await stage.working("transform");
      const during = call();
      await stage.working("publish");
      await Promise.all([during, call()]);
      await until("nothing is in flight", async () => !(await stage.inFlight()));
      await call();
      await stage.mend();
    },
  },
  {
    name: "crowd",
    about: "ten callers of sense and ten of archive at once, repeatedly, from the drop until everything is settled",
    async play(stage) {
      await stage.dropMany(40, 10);
      let isSettled = false;
      const caller = async (_: unknown, at: number) => {
        while (!isSettled) {
          await stage.invoke(at % 2 ? "archive" : "sense");
          stage.fault("call too many");
          await sleep(500);
        }
      };
      const callers = Promise.all(Array.from({ length: 20 }, caller));
      await until("everything is settled", async () => {
        const isWaiting = (await stage.keys(layout.incoming)).length > 0;
        return !isWaiting && !(await stage.inFlight());
      });
      isSettled = true;
      await callers;
    },
  },
];
