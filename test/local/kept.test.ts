import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  CreateTableCommand,
  type CreateTableCommandInput,
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
import { type Emulator, startEmulator } from "../../local/emulator";
import { openKept, putBack } from "../../local/kept";
import { plainKey } from "../../runtime/lake";
import { place } from "../../runtime/places";
import { isAlive, root, typescript, until } from "../support/commands";
import { testCredentials } from "../support/credentials";
import { folders } from "../support/folders";
import { PYTHON, REGION } from "../support/provider-cloud";

const client = { region: REGION, credentials: testCredentials };

describe("data that a local cloud keeps", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-kept-"));
  });
  // A failed test leaves its emulator running, which would keep Mocha from ending.
  const started: Emulator[] = [];
  after(async () => {
    await Promise.all(started.map((emulator) => emulator.close()));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  async function start() {
    const kept = await openKept(path.join(folder, "kept"));
    const emulator = await startEmulator({ workDir: folder, python: PYTHON, port: 0, ...client, keep: kept });
    started.push(emulator);
    return { kept, emulator, ...clientsOf(emulator.endpoint) };
  }

  /** The folder of the bucket's objects, below that of the account. */
  async function folderOfObjects(): Promise<string> {
    const all = path.join(folder, "kept", "objects");
    const [account] = (await readdir(all)).filter((name) => /^\d+$/.test(name));
    return path.join(all, account!, "lake");
  }

  /** Starts the same cloud in a program of its own. */
  async function startProgram() {
    const script = `
      const { openKept } = require("./local/kept");
      const { startEmulator } = require("./local/emulator");
      (async () => {
        const kept = await openKept(${JSON.stringify(path.join(folder, "kept"))});
        const options = { workDir: ${JSON.stringify(folder)}, python: ${JSON.stringify(PYTHON)}, port: 0, keep: kept };
        const emulator = await startEmulator({ ...options, ...${JSON.stringify(client)} });
            const { isUnclean, isLoaded } = kept;
        console.log(JSON.stringify({ endpoint: emulator.endpoint, pid: emulator.process.pid, isUnclean, isLoaded }));
      })();`;
    const program = spawn("node", ["--require", typescript, "-e", script], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(program.stdout, "data")) as [Buffer];
    const { endpoint, pid, ...kept } = JSON.parse(line.toString());
    return { program, pid, kept, ...clientsOf(endpoint) };
  }

  // Each test goes on with the data of the one before: a start takes seconds.
  let cloud: Awaited<ReturnType<typeof startProgram>>;

  it("is there again after a clean shutdown: objects and tables", async () => {
    const first = await start();
    assert.deepEqual([first.kept.isUnclean, first.kept.isLoaded], [false, false]);
    await first.kept.loaded();
    await fill(first);
    await first.emulator.close();
    cloud = await startProgram();
    assert.deepEqual([cloud.kept.isUnclean, cloud.kept.isLoaded], [false, true]);
    assert.equal(await objectOf(cloud.s3, objects.archived), "one");
    assert.deepEqual(await itemOf(cloud.dynamodb, "first"), { pk: { S: "first" } });
  });

  it("is there again after the program that started the emulator was killed", async () => {
    await addItem(cloud.dynamodb, "second");
    cloud.program.kill("SIGKILL");
    await until("the emulator has ended", async () => !isAlive(cloud.pid));
    const next = await start();
    assert.equal(next.kept.isUnclean, false);
    assert.deepEqual(await itemOf(next.dynamodb, "second"), { pk: { S: "second" } });
    process.kill(-next.emulator.process.pid, "SIGKILL");
    await next.emulator.close();
  });

  it("after the emulator itself was killed, its objects are there, and every file can be processed again", async () => {
    // The disk had not written these data yet when it lost power.
    await truncate(path.join(await folderOfObjects(), objects.cut), 3);
    const next = await start();
    assert.equal(next.kept.isUnclean, true);
    assert.equal(await objectOf(next.s3, objects.cut), "fiv");
    const { endpoint } = next.emulator;
    assert.equal(await putBack({ endpoint, ...client }), 4);
    assert.equal(await putBack({ endpoint, ...client }), 0);
    const { Contents = [] } = await next.s3.send(new ListObjectsV2Command({ Bucket: "lake", EncodingType: "url" }));
    assert.equal(Contents.find(({ Key }) => Key === objects.cut)?.Size, 3);
    // Every later run must honour the list of forgotten listeners.
    const left = [place("forgotten", { userId: "u1" })];
    const again = [
      "again/B1/a b.csv",
      `again/B1/${oddName}`,
      "again/B2/a b.csv",
      "again/B2/deep/c.csv",
      "cut.csv",
      "waiting.csv",
    ];
    assert.deepEqual(
      Contents.map(({ Key }) => plainKey(Key!)).sort(),
      [...left, ...again.map((name) => folders.incoming + name)].sort(),
    );
    assert.equal(await objectOf(next.s3, `${folders.incoming}again/B2/a b.csv`), "two");
    assert.equal(await objectOf(next.s3, `${folders.incoming}again/B1/${oddName}`), "odd");
    assert.deepEqual((await next.dynamodb.send(new ListTablesCommand({}))).TableNames, []);
    assert.equal(next.kept.isSaved(), false);
    await next.kept.repaired();
    await next.emulator.close();
    assert.equal(next.kept.isSaved(), true);
    assert.equal((await openKept(path.join(folder, "kept"))).isUnclean, false);
  });

  it("is cut off where the emulator could not save its tables, and stays so until it is repaired", async () => {
    const first = await start();
    await first.dynamodb.send(new CreateTableCommand({ TableName: "batches", ...tableOfOneKey }));
    // A folder in the way of a file: the emulator only logs that it can't save, as on a full disk.
    await mkdir(path.join(first.kept.stateDir, "dynamodb.json.tmp"), { recursive: true });
    await first.emulator.close();
    for (const wasRepaired of [false, true]) {
      const next = await openKept(path.join(folder, "kept"));
      assert.equal(next.isUnclean, true);
      if (wasRepaired) await next.repaired();
    }
  });

  it("of version 0.1.0 is whole if its tables are newer than its mark, and is judged once", async () => {
    const old = path.join(folder, "old");
    for (const isWhole of [true, false]) {
      await mkdir(path.join(old, "objects"), { recursive: true });
      await mkdir(path.join(old, "state"), { recursive: true });
      const tables = path.join(old, "state", "dynamodb.json");
      await writeFile(tables, "{}");
      await writeFile(path.join(old, "opened"), "");
      await utimes(isWhole ? path.join(old, "opened") : tables, 1, 1);
      assert.equal((await openKept(old)).isUnclean, !isWhole);
      assert.equal((await openKept(old)).isUnclean, !isWhole);
      assert.equal(existsSync(tables), isWhole);
      await rm(old, { recursive: true });
    }
  });
});

const tableOfOneKey = {
  BillingMode: "PAY_PER_REQUEST",
  AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
} as const satisfies Partial<CreateTableCommandInput>;

const date = "2024-05-01";
/** XML changes a carriage return, and a listing in plain form would lose it. */
const oddName = "odd\rx\ny+z%20.csv";
const objects = {
  archived: place("archived", { date, batchId: "B1", name: "a b.csv" }),
  odd: place("archived", { date, batchId: "B1", name: oddName }),
  quarantined: place("quarantinedFile", { date, batchId: "B2", name: "a b.csv" }),
  failed: place("failed", { date, batchId: "B2", name: "deep/c.csv" }),
  waiting: `${folders.incoming}waiting.csv`,
  cut: `${folders.incoming}cut.csv`,
  curated: `${place("listensBatch", { date, batchId: "B1" })}part-0.parquet`,
  manifest: place("manifest", { batchId: "B1" }),
  forgotten: place("forgotten", { userId: "u1" }),
};

function clientsOf(endpoint: string) {
  const access = { endpoint, ...client };
  return { s3: new S3Client({ ...access, forcePathStyle: true }), dynamodb: new DynamoDBClient(access) };
}

async function fill({ s3, dynamodb }: ReturnType<typeof clientsOf>): Promise<void> {
  await s3.send(new CreateBucketCommand({ Bucket: "lake" }));
  const bodies = {
    archived: "one",
    odd: "odd",
    quarantined: "two",
    failed: "three",
    waiting: "four",
    cut: "five",
    curated: "rows",
    manifest: "{}",
    forgotten: "{}",
  };
  for (const [name, Key] of Object.entries(objects))
    await s3.send(new PutObjectCommand({ Bucket: "lake", Key, Body: bodies[name as keyof typeof bodies] }));
  await dynamodb.send(
    new CreateTableCommand({
      TableName: "batches",
      ...tableOfOneKey,
    }),
  );
  await addItem(dynamodb, "first");
}

async function addItem(dynamodb: DynamoDBClient, pk: string): Promise<void> {
  await dynamodb.send(new PutItemCommand({ TableName: "batches", Item: { pk: { S: pk } } }));
}

async function objectOf(s3: S3Client, Key: string): Promise<string | undefined> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: "lake", Key }));
  return Body?.transformToString();
}

async function itemOf(dynamodb: DynamoDBClient, pk: string) {
  return (await dynamodb.send(new GetItemCommand({ TableName: "batches", Key: { pk: { S: pk } } }))).Item;
}
