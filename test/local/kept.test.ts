import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  ListTablesCommand,
  PutItemCommand,
} from "@aws-sdk/client-dynamodb";
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { localCredentials } from "../../local/credentials";
import { startEmulator } from "../../local/emulator";
import { openKept, putBack } from "../../local/kept";
import { isAlive, root, until } from "../support/commands";
import { PYTHON, REGION } from "../support/provider-cloud";

describe("data that a local cloud keeps", function () {
  this.timeout(60_000);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-kept-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

  async function start() {
    const kept = await openKept(path.join(folder, "kept"));
    const emulator = await startEmulator({ workDir: folder, python: PYTHON, port: 0, region: REGION, keep: kept });
    await kept.opened();
    return { kept, emulator, ...clientsOf(emulator.endpoint) };
  }

  it("is there again after an end in order: objects and tables", async () => {
    const one = await start();
    assert.deepEqual([one.kept.isUnclean, one.kept.isLoaded], [false, false]);
    await one.kept.loaded();
    await fill(one);
    await one.emulator.close();
    const other = await start();
    assert.deepEqual([other.kept.isUnclean, other.kept.isLoaded], [false, true]);
    assert.equal(await objectOf(other.s3, "archive/2024-05-01/B1/a b.csv"), "one");
    assert.deepEqual(await itemOf(other.dynamodb), { pk: { S: "BATCH" } });
    await other.emulator.close();
  });

  it("is there again after the program that started the emulator was killed", async () => {
    const script = `
      const { openKept } = require("./local/kept");
      const { startEmulator } = require("./local/emulator");
      (async () => {
        const kept = await openKept(${JSON.stringify(path.join(folder, "kept"))});
        const keep = { workDir: ${JSON.stringify(folder)}, python: ${JSON.stringify(PYTHON)}, port: 0, region: "${REGION}", keep: kept };
        const emulator = await startEmulator(keep);
        await kept.opened();
        console.log(JSON.stringify({ endpoint: emulator.endpoint, pid: emulator.process.pid }));
      })();`;
    const program = spawn("node", ["--require", "ts-node/register/transpile-only", "-e", script], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(program.stdout, "data")) as [Buffer];
    const { endpoint, pid } = JSON.parse(line.toString());
    await fill(clientsOf(endpoint));
    program.kill("SIGKILL");
    await until("the emulator has ended", 20_000, async () => !isAlive(pid));
    const other = await start();
    assert.equal(other.kept.isUnclean, false);
    assert.deepEqual(await itemOf(other.dynamodb), { pk: { S: "BATCH" } });
    await other.emulator.close();
  });

  it("after the emulator itself was killed, its objects are there, and every file can be worked through again", async () => {
    const one = await start();
    await fill(one);
    process.kill(-one.emulator.process.pid, "SIGKILL");
    await one.emulator.close();
    const other = await start();
    assert.equal(other.kept.isUnclean, true);
    const { endpoint } = other.emulator;
    assert.equal(await putBack(endpoint, REGION), 3);
    assert.equal(await putBack(endpoint, REGION), 0);
    const { Contents = [] } = await other.s3.send(new ListObjectsV2Command({ Bucket: "lake" }));
    assert.deepEqual(
      Contents.map(({ Key }) => Key),
      [
        "incoming/again/B1/a b.csv",
        "incoming/again/B2/a b.csv",
        "incoming/again/B2/deep/c.csv",
        "incoming/waiting.csv",
      ],
    );
    assert.equal(await objectOf(other.s3, "incoming/again/B2/a b.csv"), "two");
    await other.dynamodb.send(new ListTablesCommand({}));
    await other.kept.repaired();
    await other.emulator.close();
    assert.equal((await openKept(path.join(folder, "kept"))).isUnclean, false);
  });
});

function clientsOf(endpoint: string) {
  const access = { endpoint, region: REGION, credentials: localCredentials };
  return { s3: new S3Client({ ...access, forcePathStyle: true }), dynamodb: new DynamoDBClient(access) };
}

async function fill({ s3, dynamodb }: ReturnType<typeof clientsOf>): Promise<void> {
  await s3.send(new CreateBucketCommand({ Bucket: "lake" }));
  const objects = {
    "archive/2024-05-01/B1/a b.csv": "one",
    "quarantine/files/2024-05-01/B2/a b.csv": "two",
    "failed/2024-05-01/B2/deep/c.csv": "three",
    "incoming/waiting.csv": "four",
    "curated/listens/listen_date=2024-05-01/batch_id=B1/part-0.parquet": "rows",
    "batches/B1/manifest.json": "{}",
  };
  for (const [Key, Body] of Object.entries(objects)) await s3.send(new PutObjectCommand({ Bucket: "lake", Key, Body }));
  await dynamodb.send(
    new CreateTableCommand({
      TableName: "batches",
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
    }),
  );
  await dynamodb.send(new PutItemCommand({ TableName: "batches", Item: { pk: { S: "BATCH" } } }));
}

async function objectOf(s3: S3Client, Key: string): Promise<string | undefined> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: "lake", Key }));
  return Body?.transformToString();
}

async function itemOf(dynamodb: DynamoDBClient) {
  return (await dynamodb.send(new GetItemCommand({ TableName: "batches", Key: { pk: { S: "BATCH" } } }))).Item;
}
