// One file: the life of one stack, in which each test goes on where the one before it ended.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { DeleteAlarmsCommand } from "@aws-sdk/client-cloudwatch";
import { DescribeTableCommand } from "@aws-sdk/client-dynamodb";
import { GetJobCommand, GetTriggersCommand, GetWorkflowRunsCommand, UntagResourceCommand } from "@aws-sdk/client-glue";
import { GetFunctionCommand, InvokeCommand, UpdateFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { parse } from "yaml";
import { stopsAtFailure } from "../support/chain";
import { ROOT, recordProgram } from "../support/program-record";
import { CONFIGURATION, groupsOf } from "./configuration";
import { type DeployedStack, labelOf } from "./deployed-stack";
import { type Engine, startEngine } from "./engine";
import { type Inventory, PARTS, takeInventory } from "./inventory";
import type { Project } from "./project";

// One stack through its life: each test begins where the one before ended.
describe("under the real engine", () => {
  stopsAtFailure();
  let engine: Engine;
  let project: Project;
  let dev: DeployedStack;
  /** The same sources, as on another machine. */
  let elsewhere: Project;
  let prod: DeployedStack;
  let onlyDev: Inventory;
  let onlyProd: Inventory;

  before(async () => {
    engine = await startEngine();
    project = await engine.copyProject("project");
    dev = await engine.openStack("dev", project);
  });
  after(async () => engine?.close());

  const labels = async (stack: DeployedStack) => (await stack.resources()).map(({ urn }) => labelOf(urn)).sort();
  const codeOf = async (name: unknown) => {
    const { Configuration } = await engine.clients.lambda.send(new GetFunctionCommand({ FunctionName: String(name) }));
    return Configuration?.CodeSha256;
  };

  /** The command of the only job that the workflow's second trigger starts. */
  const publishCommand = async () => {
    const { glue } = engine.clients;
    const { Triggers = [] } = await glue.send(new GetTriggersCommand({}));
    const { Actions = [] } = Triggers.find(({ Type }) => Type === "CONDITIONAL")!;
    assert.deepEqual(
      Actions.map(({ JobName }) => JobName),
      [(await dev.outputs()).publishJobName],
    );
    return (await glue.send(new GetJobCommand({ JobName: Actions[0]!.JobName! }))).Job?.Command?.Name ?? "";
  };

  let previewed: string[] = [];
  it("a preview of a new stack makes nothing", async () => {
    previewed = (await dev.preview()).changes;
    assert.deepEqual(
      previewed.filter((change) => !change.startsWith("create ")),
      [],
    );
    assert.deepEqual(await takeInventory(engine.clients), {});
  });

  it("a wrong value stops the preview: the error names the key, what is expected and what came", async () => {
    const restore = await project.configure("dev", { logRetentionDays: "8", workerType: "small" });
    await assert.rejects(dev.preview(), (error: Error) => {
      assert.match(error.message, /logRetentionDays is "8", but must be one of 1, 3, 5, 7, 14, /);
      assert.match(error.message, /workerType is "small", but must be one of G\.1X, /);
      return true;
    });
    await restore();
  });

  it("a stack that breaks a rule of the policy pack is refused, and the error names the rule", async () => {
    const restore = await project.edit("infra/lake.ts", `status: "Enabled" }`, `status: "Suspended" }`);
    const policyPacks = [path.join(project.root, "policy")];
    await assert.rejects(
      dev.preview({ policyPacks }),
      /bucket-versioned[\s\S]*versioning must be Enabled, not Suspended/,
    );
    await restore();
  });

  it("a stack is deployed as previewed, and keeps the policy pack's rules", async () => {
    const { changes, output } = await dev.up({ policyPacks: [path.join(project.root, "policy")] });
    assert.deepEqual(changes, previewed);
    assert.match(output, /✅ music-streams@/);
    const { resources } = await recordProgram("dev");
    assert.deepEqual(await labels(dev), resources.map(({ urn }) => labelOf(urn)).sort());
  });

  it("all outputs are known", async () => {
    const outputs = Object.entries(await dev.outputs());
    assert.ok(outputs.length >= 13, String(outputs.length));
    for (const [key, value] of outputs) {
      for (const text of Object.values(typeof value === "object" ? { ...value } : { value })) {
        assert.match(String(text), /^(?!undefined|.*04da6b54-80e4-)./s, key);
      }
    }
  });

  it("its workflow has not run, its first trigger waits, its second is active", async () => {
    const { workflowName: Name } = (await dev.outputs()) as Record<string, string>;
    const { Runs } = await engine.clients.glue.send(new GetWorkflowRunsCommand({ Name }));
    assert.deepEqual(Runs, []);
    const { Triggers = [] } = await engine.clients.glue.send(new GetTriggersCommand({}));
    const states = Triggers.map(({ Type, State }) => `${Type} ${State}`).sort();
    assert.deepEqual(states, ["CONDITIONAL ACTIVATED", "ON_DEMAND CREATED"]);
  });

  it("its Lambdas run as the engine packed them", async () => {
    const { senseFunctionName, archiveFunctionName } = await dev.outputs();
    for (const name of [senseFunctionName, archiveFunctionName]) {
      const answer = await engine.clients.lambda.send(new InvokeCommand({ FunctionName: String(name) }));
      assert.equal(JSON.parse(Buffer.from(answer.Payload!).toString()).action, "idle");
    }
  });

  it("each resource is listed by its service, or is part of one that is", async () => {
    const counts = new Map<string, number>();
    for (const label of await labels(dev)) {
      const type = label.split(" ")[0]!;
      if (!PARTS.includes(type)) counts.set(type, (counts.get(type) ?? 0) + 1);
    }
    const found = await takeInventory(engine.clients);
    assert.deepEqual(
      Object.fromEntries(Object.entries(found).map(([type, names]) => [type, names.length])),
      Object.fromEntries([...counts].sort()),
    );
  });

  it("nothing changes when nothing has changed", async () => {
    assert.deepEqual((await dev.up()).changes, []);
    assert.deepEqual((await dev.refresh()).changes, []);
  });

  it("nothing changes on another machine, on another day", async () => {
    const umask = process.umask(0o077);
    const { TZ } = process.env;
    try {
      process.env.TZ = "Pacific/Auckland";
      elsewhere = await engine.copyProject("checked/out/elsewhere", new Date("2001-02-03T04:05:06Z"));
      const again = await engine.openStack("dev", elsewhere, { TZ: "Pacific/Auckland" });
      assert.deepEqual((await again.preview()).changes, []);
    } finally {
      process.umask(umask);
      if (TZ === undefined) delete process.env.TZ;
      else process.env.TZ = TZ;
    }
  });

  it("each configuration key changes its own resources, and nothing else", async () => {
    const { "pulumi:tags": _, ...config } = parse(readFileSync(path.join(ROOT, "Pulumi.yaml"), "utf8")).config;
    const declared = Object.keys(config);
    assert.deepEqual(Object.keys(CONFIGURATION).sort(), declared.sort());
    const resources = await dev.resources();
    const tagged = resources.filter(({ inputs }) => inputs && "tags" in inputs).map(({ urn }) => labelOf(urn));
    for (const { keys, changes } of groupsOf(tagged)) {
      const values = keys.map((key) => [key, CONFIGURATION[key]!.value]);
      const restore = await project.configure("dev", Object.fromEntries(values));
      assert.deepEqual((await dev.preview()).changes, changes.sort(), keys.join(", "));
      await restore();
    }
  });

  it("a configured tag reaches each resource that has tags", async () => {
    const tagged = (await dev.resources()).filter(({ inputs }) => inputs && "tags" in inputs);
    await project.configure("dev", { tags: CONFIGURATION.tags!.value });
    assert.deepEqual((await dev.up()).changes, tagged.map(({ urn }) => `update ${labelOf(urn)}`).sort());
    for (const { inputs } of (await dev.resources()).filter(({ urn }) => tagged.some((one) => one.urn === urn))) {
      assert.deepEqual(inputs?.tags, { project: "music-streams", stack: "dev", team: "music" });
    }
    // The provider asks each service for the tags.
    assert.deepEqual((await dev.refresh()).changes, []);
  });

  it("another publish engine gets another job, in both directions, and the workflow runs that one", async () => {
    const commands: string[] = [];
    for (const engine of ["spark", "duckdb"]) {
      await project.configure("dev", { publishEngine: engine });
      const { changes } = await dev.up();
      assert.ok(changes.includes("replace Job music-streams-publish"), changes.join(", "));
      commands.push(await publishCommand());
      assert.deepEqual((await dev.up()).changes, []);
    }
    assert.deepEqual(commands, ["glueetl", "pythonshell"]);
  });

  it("a key of its own is taken up and given up again", async () => {
    for (const [key, encrypted] of [
      [CONFIGURATION.kmsKeyArn!.value, true],
      ["", false],
    ] as const) {
      await project.configure("dev", { kmsKeyArn: key });
      await dev.up();
      const TableName = String((await dev.outputs()).ledgerTableName);
      const { Table } = await engine.clients.dynamodb.send(new DescribeTableCommand({ TableName }));
      assert.equal(Table?.SSEDescription?.Status === "ENABLED", encrypted);
    }
  });

  const replaced = ["publish", "transform", "wheel", "zip"].map(
    (part) => `replace BucketObjectv2 music-streams-scripts-${part}`,
  );
  const jobs = ["update Job music-streams-publish", "update Job music-streams-transform"];
  const functions = ["update Function music-streams-archive", "update Function music-streams-sense"];

  const inSense = "export async function observedTick(world: World, remainingMs: number): Promise<TickReport> {";
  const inBoth = "export async function work(world: World, allowed: Allowance): Promise<Progress> {";

  it("a change of the library updates scripts and jobs; a change of code that both Lambdas run updates both", async () => {
    const restores = [
      await project.edit("glue-scripts/music_streams/fence.py", "def batch_in_turn(", "# Changed.\ndef batch_in_turn("),
      await project.edit("runtime/settle.ts", inBoth, `${inBoth}\n  world.clock.now();`),
    ];
    assert.deepEqual((await dev.preview()).changes, [...replaced, ...functions, ...jobs].sort());
    for (const restore of restores) await restore();
  });

  it("a change of a script adds new scripts beside the old ones; a change of what only sense runs updates only sense", async () => {
    const objects = async () =>
      (await dev.resources()).filter(({ type }) => type.endsWith(":BucketObjectv2")).map(({ inputs }) => inputs!);
    const before = await objects();
    await project.edit("glue-scripts/transform.py", "def main(", "# Changed.\ndef main(");
    await project.edit("runtime/observe.ts", inSense, `${inSense}\n  world.clock.now();`);
    const changes = [...replaced, "update Function music-streams-sense", ...jobs];
    assert.deepEqual((await dev.up()).changes, changes.sort());
    const after = await objects();
    assert.equal(new Set([...before, ...after].map(({ key }) => key)).size, 8);
    for (const { bucket, key } of [...before, ...after]) {
      await engine.clients.s3.send(new HeadObjectCommand({ Bucket: String(bucket), Key: String(key) }));
    }
  });

  it("a refresh finds what somebody deleted or changed, and the next up repairs it", async () => {
    const resources = await dev.resources();
    const { id: alarm = "" } = resources.find(
      ({ urn }) => labelOf(urn) === "MetricAlarm music-streams-alarms-batch-stuck",
    )!;
    await engine.clients.cloudwatch.send(new DeleteAlarmsCommand({ AlarmNames: [alarm] }));
    const FunctionName = String((await dev.outputs()).archiveFunctionName);
    await engine.clients.lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, MemorySize: 128 }));
    const { arn } = resources.find(({ urn }) => labelOf(urn) === "Job music-streams-transform")!.outputs!;
    await engine.clients.glue.send(new UntagResourceCommand({ ResourceArn: String(arn), TagsToRemove: ["team"] }));
    assert.deepEqual((await dev.refresh()).changes, [
      "delete MetricAlarm music-streams-alarms-batch-stuck",
      "update Function music-streams-archive",
      "update Job music-streams-transform",
    ]);
    assert.deepEqual((await dev.up()).changes, [
      "create MetricAlarm music-streams-alarms-batch-stuck",
      // It shows the alarm, which now has another name.
      "update Dashboard music-streams-dashboard",
      "update Function music-streams-archive",
      "update Job music-streams-transform",
    ]);
    const { Configuration } = await engine.clients.lambda.send(new GetFunctionCommand({ FunctionName }));
    assert.equal(Configuration?.MemorySize, 512);
    assert.deepEqual((await dev.refresh()).changes, []);
  });

  it("a second stack is deployed beside the first from another copy, with the same packages byte for byte", async () => {
    onlyDev = await takeInventory(engine.clients);
    prod = await engine.openStack("prod", elsewhere);
    await prod.up();
    const ids = async (stack: DeployedStack) => (await stack.resources()).map(({ type, id }) => `${type} ${id}`);
    const both = [...(await ids(dev)), ...(await ids(prod))];
    assert.equal(new Set(both).size, both.length);
    const [one, other] = [await dev.outputs(), await prod.outputs()];
    assert.equal(await codeOf(one.archiveFunctionName), await codeOf(other.archiveFunctionName));
    assert.deepEqual((await dev.refresh()).changes, []);
  });

  it("a stack is destroyed without a trace, and the other stays as it is", async () => {
    const both = await takeInventory(engine.clients);
    await dev.destroy();
    onlyProd = await takeInventory(engine.clients);
    for (const [type, names] of Object.entries(both)) {
      const others = names.filter((name) => !onlyDev[type]?.includes(name));
      assert.deepEqual(onlyProd[type], others, type);
    }
    assert.deepEqual((await prod.refresh()).changes, []);
  });

  it("a stack is destroyed without its data as the manual says, and deployed again around them", async () => {
    const manual = readFileSync(path.join(ROOT, "docs", "operations.md"), "utf8");
    const exclude = [...manual.matchAll(/--exclude '([^']+)'/g)].map(([, pattern = ""]) => pattern);
    await prod.destroy({ exclude });
    const { Bucket, Table, CatalogDatabase, CatalogTable } = onlyProd;
    assert.deepEqual(await takeInventory(engine.clients), { Bucket, CatalogDatabase, CatalogTable, Table });
    const kept = await labels(prod);
    for (const guard of ["BucketPolicy", "BucketPublicAccessBlock", "BucketVersioning"])
      assert.ok(
        kept.some((label) => label.startsWith(`${guard} `)),
        guard,
      );
    const { changes } = await prod.up();
    assert.deepEqual(
      changes.filter((change) => !change.startsWith("create ")),
      [],
    );
    onlyProd = await takeInventory(engine.clients);
    assert.deepEqual(onlyProd.Bucket, Bucket);
    assert.deepEqual((await prod.refresh()).changes, []);
  });

  it("a protected stack is destroyed only after a deployment has removed its protection", async () => {
    const data = CONFIGURATION.protect!.changes as string[];
    const guarded = (await prod.resources())
      .filter(({ protect }) => protect)
      .map(({ urn }) => `update ${labelOf(urn)}`);
    assert.deepEqual(guarded.sort(), data);
    await assert.rejects(prod.previewDestroy(), /music-streams-(lake-bucket|\w+-table)[\s\S]*protected/);
    assert.deepEqual(await takeInventory(engine.clients), onlyProd);
    // Without that preview, Pulumi deletes everything that is not protected. The data are.
    await assert.rejects(prod.destroy(), /music-streams-(lake-bucket|\w+-table)[\s\S]*protected/);
    const { Bucket, Table } = await takeInventory(engine.clients);
    assert.deepEqual([Bucket, Table], [onlyProd.Bucket, onlyProd.Table]);
    await elsewhere.configure("prod", { protect: "false" });
    const { changes } = await prod.up();
    for (const change of data) assert.ok(changes.includes(change), change);
    await prod.destroy();
    assert.deepEqual(await takeInventory(engine.clients), {});
  });
});
