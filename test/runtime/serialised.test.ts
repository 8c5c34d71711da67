import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { runInThisContext } from "node:vm";
import { runtime } from "@pulumi/pulumi";
import { iso } from "../../runtime/batch";
import { observedTick } from "../../runtime/observe";
import { settle } from "../../runtime/settle";
import { connect, type LambdaSettings } from "../../runtime/world";
import { folders } from "../support/folders";
import { createSimulation } from "../support/simulated-pipeline";

/** Pulumi packs this text; it runs here as Lambda would run it, apart from the modules of this test. */
async function executed(factory: () => unknown): Promise<(...args: unknown[]) => Promise<unknown>> {
  const { text, exportName } = await runtime.serializeFunction(factory, { isFactoryFunction: true });
  assert.ok(!text.includes("@pulumi"), "the code takes nothing of Pulumi along");
  const module = { exports: {} as Record<string, unknown> };
  const wrapped = runInThisContext(`(function (exports, require, module) {${text}\n})`, { filename: "__index.js" });
  wrapped(module.exports, createRequire(__filename), module);
  return module.exports[exportName] as (...args: unknown[]) => Promise<unknown>;
}

describe("the serialised Lambdas", () => {
  it("claim, start, settle and archive a file", async () => {
    const simulation = createSimulation();
    simulation.drop("a b.csv", "one,two");
    const actor = simulation.actor();
    const globals = globalThis as { clients?: unknown; env?: LambdaSettings };
    globals.clients = actor.clients;
    globals.env = {
      BUCKET: "lake",
      LEDGER_TABLE: "ledger",
      WORKFLOW: "workflow",
      TRANSFORM_JOB: "transform",
      PUBLISH_JOB: "publish",
      LIMITS: JSON.stringify(simulation.limits),
      METRICS_NAMESPACE: "music-streams/test",
    };
    const sense = await executed(() => {
      const given = globalThis as unknown as { clients: Parameters<typeof connect>[0]; env: LambdaSettings };
      const world = connect(given.clients, given.env);
      return async (remaining: number) => observedTick(world, remaining);
    });
    const archive = await executed(() => {
      const given = globalThis as unknown as { clients: Parameters<typeof connect>[0]; env: LambdaSettings };
      const world = connect(given.clients, given.env);
      return async (remaining: number) => settle(world, remaining);
    });
    simulation.clock.set(Date.now());
    const lines: string[] = [];
    const write = process.stdout.write;
    process.stdout.write = ((text: string) => lines.push(text)) as never;
    try {
      const report = (await sense(60_000)) as { claimed: { files: number }; state: string };
      assert.equal(report.claimed.files, 1);
      assert.equal(report.state, "RUNNING");
      simulation.glue.finish({ kind: "good" });
      assert.equal(((await archive(60_000)) as { action: string }).action, "archive");
    } finally {
      process.stdout.write = write;
    }
    const claimed = lines.map((line) => JSON.parse(line)).find(({ event }) => event === "claimed");
    assert.equal(claimed.FilesClaimed, 1);
    const [batch] = simulation.batches();
    assert.equal(batch?.state, "ARCHIVED");
    assert.ok(
      simulation.s3.objects.has(`${folders.archived}${iso(Date.now()).slice(0, 10)}/${batch?.batchId}/a b.csv`),
    );
  });
});
