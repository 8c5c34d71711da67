import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { type Emulator, startEmulator } from "../../local/emulator";
import type { Batch, Manifest } from "../../runtime/batch";
import { deleteAll, head, listAll, readManifest } from "../../runtime/lake";
import { readBatch } from "../../runtime/ledger";
import { copy, move } from "../../runtime/move";
import { requestReplay, requestRetry } from "../../runtime/operator";
import { inParallel } from "../../runtime/parallel";
import { place } from "../../runtime/places";
import { tick } from "../../runtime/tick";
import { connect, type World } from "../../runtime/world";
import { testCredentials } from "../support/credentials";
import { folders } from "../support/folders";
import { FULL, timeLimitMs } from "../support/full";
import { SimulatedGlue } from "../support/simulated-glue";

const python = path.join(__dirname, "..", "..", ".local", "python", "bin", "python");
const client = { region: "us-east-1", credentials: testCredentials };

const ODD_NAMES = [
  " a  b .csv",
  "a+b.csv",
  "100%.csv",
  "%20.csv",
  "a%2Fb.csv",
  `it's "q".csv`,
  "é.csv",
  "e\u0301.csv",
  "[x].csv",
  "*.csv",
  "?versionId=1.csv",
  "#1.csv",
  "a&b=c;d,e@f:g.csv",
  "_x.csv",
  ".x.csv",
  "a//b.csv",
  "new\nline.csv",
  "tab\t.csv",
  "bell\u0007.csv",
  "日本.csv.gz",
  "😀.CSV",
  "back\\slash.csv",
  "{y}.csv",
  "!()'~.csv",
  "<x>.csv",
  "deep/er/and deeper/z.csv",
  "../up.csv",
  "./here/./../x.csv",
  "/first.csv",
  `${"n".repeat(1011)}.csv`,
  `${"ü".repeat(503)}.csv.gz`,
];

describe("the protocol on the emulator's S3 and DynamoDB", () => {
  let emulator: Emulator;
  let workDir: string;
  let s3: S3Client;
  let dynamodb: DynamoDBClient;
  let documents: DynamoDBDocumentClient;
  let buckets = 0;

  before(async () => {
    workDir = await mkdtemp(path.join(tmpdir(), "runtime-"));
    emulator = await startEmulator({ workDir, python, port: 0, ...client });
    s3 = new S3Client({ ...client, endpoint: emulator.endpoint, forcePathStyle: true });
    dynamodb = new DynamoDBClient({ ...client, endpoint: emulator.endpoint });
    documents = DynamoDBDocumentClient.from(dynamodb);
  });

  after(async () => {
    await emulator?.close();
    await rm(workDir, { recursive: true, force: true });
  });

  /** A separate pipeline on the emulator. Its Glue ends runs on request, with jobs that do nothing. */
  async function pipeline(limits: object = {}) {
    const name = `lake-${++buckets}`;
    await s3.send(new CreateBucketCommand({ Bucket: name }));
    await dynamodb.send(
      new CreateTableCommand({
        TableName: name,
        BillingMode: "PAY_PER_REQUEST",
        KeySchema: [
          { AttributeName: "pk", KeyType: "HASH" },
          { AttributeName: "sk", KeyType: "RANGE" },
        ],
        AttributeDefinitions: [
          { AttributeName: "pk", AttributeType: "S" },
          { AttributeName: "sk", AttributeType: "S" },
        ],
      }),
    );
    const glue = new SimulatedGlue(
      Date.now,
      { transform: () => ({ ok: true, error: "" }), publish: () => undefined },
      25,
    );
    const world: World = connect(
      { s3, glue: glue as never, documents },
      {
        BUCKET: name,
        LEDGER_TABLE: name,
        WORKFLOW: "w",
        TRANSFORM_JOB: "transform",
        PUBLISH_JOB: "publish",
        LIMITS: JSON.stringify({
          maxBatchFiles: 5000,
          maxBatchBytes: 1e9,
          maxAttempts: 1,
          retryPauseSeconds: 0,
          maxRetryPauseSeconds: 0,
          ...limits,
        }),
      },
    );
    world.log = () => undefined;
    const put = async (Key: string, Body: string) =>
      (await s3.send(new PutObjectCommand({ Bucket: name, Key, Body }))).ETag!;
    const get = async (Key: string) =>
      (await s3.send(new GetObjectCommand({ Bucket: name, Key }))).Body!.transformToString();
    const keys = async (prefix: string) => (await listAll(world, prefix)).map(({ key }) => key);
    const report = async (batchId: string): Promise<Manifest> => {
      const manifest = await readManifest(world, batchId);
      const counts = { rowsRead: 1, rowsKept: 1, rowsDuplicate: 0, rowsQuarantined: {} };
      const workflowRunId = glue.current()!.id;
      const files = manifest.files.map((file) => ({ name: file.name, ...counts }));
      const totals = { rowsRead: files.length, rowsKept: files.length, rowsDuplicate: 0, rowsQuarantined: {} };
      await put(
        place("transformReport", { batchId }),
        JSON.stringify({ batchId, workflowRunId, ...totals, files, filesQuarantined: [], filesChanged: [], days: [] }),
      );
      await put(place("publishReport", { batchId }), JSON.stringify({ batchId, workflowRunId, days: ["2024-06-25"] }));
      return manifest;
    };
    return { name, glue, world, put, get, keys, report };
  }

  // A listing of S3 has 1,000 keys a page.
  const many = FULL ? 1100 : 120;

  it(`claims ${many} files with keys of every kind, and archives each byte for byte`, async function () {
    this.timeout(timeLimitMs(many, 1000));
    const { world, glue, put, get, keys, report } = await pipeline();
    const names = [...ODD_NAMES, ...Array.from({ length: many - ODD_NAMES.length }, (_, index) => `many/${index}.csv`)];
    await inParallel(names, 32, (name) => put(`${folders.incoming}${name}`, `body of ${name}`));
    await put(`${folders.incoming}folder/`, " ");
    await put(`${folders.incoming}readme.txt`, "no CSV");

    const { claimed, ignored } = await tick(world);
    assert.equal(claimed?.files, many);
    assert.deepEqual(ignored, { folders: 1, notCsv: 1 });
    const { batchId } = claimed!;
    const manifest = await report(batchId);
    assert.deepEqual(new Set(manifest.files.map(({ name }) => name)), new Set(names));

    glue.finish({ kind: "good" });
    const settled = await tick(world);
    assert.equal(settled.action, "idle");
    const batch = (await readBatch(world, batchId)) as Batch;
    assert.equal(batch.state, "ARCHIVED");
    assert.deepEqual(batch.moves, { moved: many, quarantined: 0, left: 0, missing: 0 });
    assert.deepEqual(await keys(folders.incoming), [`${folders.incoming}folder/`, `${folders.incoming}readme.txt`]);
    const archived = new Set(await keys(folders.archived));
    assert.equal(archived.size, many);
    for (const name of names) assert.ok(archived.has(place("archived", { date: batch.day!, batchId, name })), name);
    for (const name of ODD_NAMES)
      assert.equal(await get(place("archived", { date: batch.day!, batchId, name })), `body of ${name}`);

    await requestReplay(world, batchId);
    assert.equal((await tick(world)).state, "RUNNING");
    assert.equal(glue.started.length, 2);
  });

  it("lets one of several ticks at once claim", async () => {
    const { world, glue, put } = await pipeline();
    await put(`${folders.incoming}a.csv`, "x");
    const reports = await Promise.all(Array.from({ length: 6 }, () => tick(world)));
    assert.equal(reports.filter(({ claimed }) => claimed).length, 1);
    assert.equal(glue.started.length, 1);
    assert.equal((await listAll(world, folders.batches)).length, 1);
  });

  it("moves the claimed version only", async () => {
    const { world, put, get, keys } = await pipeline();
    const etag = await put(`${folders.incoming}a.csv`, "old");
    await put(`${folders.incoming}a.csv`, "new");
    assert.equal(
      await move(world, { key: `${folders.incoming}a.csv`, etag, size: 3 }, `${folders.archived}a.csv`),
      "left",
    );
    assert.deepEqual(await keys(""), [`${folders.incoming}a.csv`]);
    assert.equal(
      await move(world, { key: `${folders.incoming}gone.csv`, etag, size: 3 }, `${folders.archived}gone.csv`),
      "missing",
    );
    await put(`${folders.archived}a.csv`, "old");
    assert.equal(
      await move(world, { key: `${folders.incoming}a.csv`, etag, size: 3 }, `${folders.archived}a.csv`),
      "moved",
    );
    assert.equal(await get(`${folders.incoming}a.csv`), "new");
    const now = await put(`${folders.incoming}a.csv`, "newer");
    for (let repeat = 0; repeat < 2; repeat++)
      assert.equal(
        await move(world, { key: `${folders.incoming}a.csv`, etag: now, size: 5 }, `${folders.archived}b.csv`),
        "moved",
      );
    assert.equal(await get(`${folders.archived}b.csv`), "newer");
    assert.deepEqual(await keys(folders.incoming), []);
  });

  it("moves a file too big for one copy in parts, under the same condition", async () => {
    const { world, name, put, get, keys } = await pipeline();
    const settings = { ...world.settings, singleCopyBytes: 6 * 1024 ** 2, copyPartBytes: 5 * 1024 ** 2 };
    const body = "0123456789abcdef".repeat((11 * 1024 ** 2) / 16);
    const key = `${folders.incoming}big + é.csv`;
    const etag = await put(key, body);
    const small = { ...world, settings };
    const source = { key, etag, size: body.length };
    assert.equal(await move(small, { ...source, etag: '"0"' }, `${folders.archived}big.csv`), "left");
    assert.equal(await move(small, source, `${folders.archived}big.csv`), "moved");
    assert.equal(await move(small, source, `${folders.archived}big.csv`), "moved");
    assert.equal(await get(`${folders.archived}big.csv`), body);
    const { ETag } = await s3.send(new HeadObjectCommand({ Bucket: name, Key: `${folders.archived}big.csv` }));
    assert.match(ETag!, /-3"$/);
    assert.deepEqual(await keys(folders.incoming), []);
  });

  it("marks a copy, whole or in parts", async () => {
    const { world, put, get } = await pipeline();
    const body = "0123456789abcdef".repeat((11 * 1024 ** 2) / 16);
    const source = {
      key: `${folders.failed}big.csv`,
      etag: await put(`${folders.failed}big.csv`, body),
      size: body.length,
    };
    const inParts = { ...world.settings, singleCopyBytes: 6 * 1024 ** 2, copyPartBytes: 5 * 1024 ** 2 };
    for (const settings of [world.settings, inParts]) {
      await copy({ ...world, settings }, source, `${folders.incoming}big.csv`, "B");
      assert.equal((await head(world, `${folders.incoming}big.csv`))?.mark, "B");
      assert.equal(await get(`${folders.incoming}big.csv`), body);
      await deleteAll(world, folders.incoming);
    }
  });

  it("splits, fails, takes the output away and puts the file back", async () => {
    const { world, glue, put, keys, report } = await pipeline();
    await put(`${folders.incoming}a b.csv`, "x");
    await put(`${folders.incoming}c.csv`, "y");
    const { batchId } = (await tick(world)).claimed!;
    glue.finish({ kind: "good" });
    glue.runs[0]!.jobs = [{ name: "transform", state: "FAILED", error: "boom" }];
    await put(place("readingMarker", { batchId }), JSON.stringify({ workflowRunId: glue.runs[0]!.id }));
    await put(place("touched", { batchId }), JSON.stringify({ days: ["2024-06-25"] }));
    const output = [
      place("listensBatch", { batchId, date: "2024-06-25" }),
      place("quarantinedRows", { batchId }),
      place("staged", { batchId }),
    ];
    for (const folder of output) await put(`${folder}part-0`, "z");
    await put(`${folders.listens}listen_date=2024-06-25/batch_id=other/part-0`, "z");

    const { batchId: half } = await tick(world);
    assert.deepEqual(await keys(folders.curated), [`${folders.listens}listen_date=2024-06-25/batch_id=other/part-0`]);
    assert.deepEqual([...(await keys(folders.quarantinedRows)), ...(await keys(folders.staged))], []);
    const whole = (await readBatch(world, batchId)) as Batch;
    assert.deepEqual([whole.state, whole.error], ["SPLIT", "FAILED: boom"]);
    assert.ok(whole.children?.includes(half!));

    glue.finish({ kind: "good" });
    glue.runs[0]!.jobs = [{ name: "transform", state: "FAILED", error: "boom" }];
    await put(place("readingMarker", { batchId: half! }), JSON.stringify({ workflowRunId: glue.runs[0]!.id }));
    await tick(world);
    assert.equal((await readBatch(world, half!))?.state, "FAILED");
    const [failed] = await keys(folders.failed);
    const { name } = (await readManifest(world, half!)).files[0]!;
    assert.ok(failed?.endsWith(`/${half}/${name}`));
    await put(`${folders.incoming}${name}`, "another");
    await assert.rejects(requestRetry(world, half!), /holds another file/);
    await deleteAll(world, folders.incoming);
    await requestRetry(world, half!);
    // The other half runs first.
    await report(whole.children!.find((child) => child !== half)!);
    glue.finish({ kind: "good" });
    await tick(world);
    assert.deepEqual([await keys(folders.failed), await keys(folders.incoming)], [[], [`${folders.incoming}${name}`]]);
  });
});
