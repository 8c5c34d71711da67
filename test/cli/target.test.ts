import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { openTarget } from "../../cli/target";
import { testCredentials } from "../support/credentials";
import { outputsOf, runCommandIn, verb } from "./pipeline";

const batches = verb("batches");
const drop = verb("drop");
const metrics = verb("metrics");

/** A process id that no process has: Linux and macOS use smaller ones. */
const nobody = 2 ** 30;
const outputs = outputsOf("1");

describe("the pipeline that a command opens", () => {
  let root: string;
  let server: Server;
  let endpoint: string;

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), "music-streams-target-"));
    await mkdir(path.join(root, ".local"));
    await writeFile(path.join(root, "a.csv"), "user_id\n");
    // It answers, but is not our cloud: it knows no bucket.
    server = createServer((_request, response) => response.writeHead(404).end()).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await rm(root, { recursive: true, force: true });
  });

  const run = (state: unknown) =>
    writeFile(path.join(root, ".local", "run.json"), typeof state === "string" ? state : JSON.stringify(state));
  const alive = () => ({ pid: process.pid, endpoint, region: "us-east-1", credentials: testCredentials, outputs });

  for (const [name, main, args] of [
    ["drop", drop, ["a.csv"]],
    ["batches", batches, ["--json"]],
    ["metrics", metrics, ["export"]],
  ] as const) {
    it(`${name} says that the local cloud isn't running, and how to start it`, async () => {
      const { code, out, notes } = await runCommandIn(root, main, [...args]);
      assert.deepEqual([code, out], [3, ""]);
      assert.match(notes.join("\n"), /^The local cloud is not running .*npm start/s);
      assert.doesNotMatch(notes.join("\n"), /\n\s+at /);
    });
  }

  it("does not take the run.json of a dead process, a closed port, another cloud or half a file for a running cloud", async () => {
    const half = [[], null, {}, '{"pid": 1', { ...alive(), pid: 0 }, { ...alive(), credentials: {} }].map(
      (state) => [state, "can't be read"] as const,
    );
    for (const [state, why] of [
      ...half,
      [{ ...alive(), pid: nobody }, "has ended"],
      [{ ...alive(), endpoint: "http://127.0.0.1:9" }, "nothing answers at http://127.0.0.1:9"],
      [alive(), `what answers at ${endpoint} has no bucket ${outputs.bucketName}`],
    ] as const) {
      await run(state);
      const message = new RegExp(`^The local cloud is not running \\(.*${why}.*npm start`, "s");
      await assert.rejects(openTarget({ root, env: {} }), { name: "UserError", message }, JSON.stringify(state));
    }
  });

  it("says that a cloud without outputs is still starting", async () => {
    await run({ ...alive(), outputs: {} });
    await assert.rejects(openTarget({ root, env: {} }), /still starting/);
  });

  async function fakePulumi(script: string): Promise<NodeJS.ProcessEnv> {
    const bin = path.join(root, "bin");
    await mkdir(bin, { recursive: true });
    await writeFile(path.join(bin, "pulumi"), `#!/bin/sh\n${script}\n`);
    await chmod(path.join(bin, "pulumi"), 0o755);
    return { PATH: `${bin}:/usr/bin:/bin` };
  }
  const answers = `case "$*" in "stack output --json --stack dev"*) echo '${JSON.stringify(outputs)}';; "config get aws:region --stack dev"*) echo eu-north-1;; *) exit 9;; esac`;

  it("takes a stack's outputs and region from Pulumi", async () => {
    const target = await openTarget({ root, stack: "dev", env: await fakePulumi(answers) });
    assert.deepEqual([target.isLocal, target.outputs, await target.s3.config.region()], [false, outputs, "eu-north-1"]);
  });

  it("knows the workflow's page in the AWS console, if the stack's program names it", async () => {
    const page = "https://eu-north-1.console.aws.amazon.com/glue/home#/v2/etl-configuration/workflows/view/w";
    const linked = JSON.stringify({ ...outputs, consoleLinks: { workflow: page } });
    const env = await fakePulumi(answers.replace(JSON.stringify(outputs), () => linked));
    assert.equal((await openTarget({ root, stack: "dev", env })).workflowPage, page);
    assert.equal((await openTarget({ root, stack: "dev", env: await fakePulumi(answers) })).workflowPage, undefined);
  });

  it("prefers the stack's region to the environment's", async () => {
    const env = { ...(await fakePulumi(answers)), AWS_REGION: "ap-south-1" };
    const target = await openTarget({ root, stack: "dev", env });
    assert.equal(await target.dynamodb.config.region(), "eu-north-1");
  });

  it("takes the environment's region when the stack sets none", async () => {
    const env = { ...(await fakePulumi(answers.replace("echo eu-north-1", "exit 1"))), AWS_REGION: "ap-south-1" };
    const target = await openTarget({ root, stack: "dev", env });
    assert.equal(await target.dynamodb.config.region(), "ap-south-1");
  });

  for (const [what, script, message] of [
    ["a stack that doesn't exist", "echo 'error: no stack named dev found' >&2; exit 1", /no stack named dev found/],
    ["a stack that isn't deployed", "echo '{}'", /the stack dev has no outputs: deploy it first/],
    [
      "a stack of another program",
      `echo '{"bucketName": "b"}'`,
      /has no output referenceLocation, ledgerTableName, .*archiveFunctionName/,
    ],
    ["an answer that isn't JSON", "echo 'Welcome!'", /did not answer with JSON/],
  ] as const) {
    it(`says what is wrong with ${what}`, async () => {
      await assert.rejects(openTarget({ root, stack: "dev", env: await fakePulumi(script) }), message);
    });
  }

  it("says that --stack needs the Pulumi CLI when there is none", async () => {
    const { code, notes } = await runCommandIn(root, batches, ["--stack", "dev"], { PATH: root });
    assert.equal(code, 3);
    assert.match(notes.join("\n"), /needs the Pulumi CLI.*https:\/\/www\.pulumi\.com/);
  });
});
