import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { GetItemCommand, QueryCommand } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from "@aws-sdk/client-s3";
import { unzipSync } from "fflate";
import { deploy } from "../../local/deploy";
import { bytesOf } from "../../local/provider/archive";
import { type Clients, closeClients, createClients } from "../../local/provider/clients";
import { place } from "../../runtime/places";
import { testCredentials } from "../support/credentials";
import { folders } from "../support/folders";
import { type Recorded, ROOT, recordProgram, runAndRecord } from "../support/program-record";
import { REGION, reportOneRow, startCloud, startScriptedGlue } from "../support/provider-cloud";

const LARGEST_BYTES = 1_000_000;
const FILE = `${folders.incoming}a b+c%20ü.csv`;
const BODY = "user_id,track_id,listen_time\nu1,t1,2024-06-25 17:43:13\n";

async function packageOf(program: Recorded, name: string): Promise<Uint8Array> {
  return bytesOf(program.inputsOf("lambda/function:Function", name).code, ROOT);
}

describe("the packages of the Lambdas", () => {
  for (const name of ["music-streams-sense", "music-streams-archive"]) {
    it(`${name}: holds the code and the SDK clients it uses, and nothing else`, async () => {
      const zip = await packageOf(await recordProgram("dev"), name);
      console.log(`      ${name}: ${zip.length} bytes zipped`);
      assert.ok(zip.length < LARGEST_BYTES, `${zip.length} bytes are more than ${LARGEST_BYTES}`);
      const files = Object.keys(unzipSync(zip));
      assert.ok(files.includes("__index.js"));
      for (const client of ["client-s3", "client-glue", "client-dynamodb", "lib-dynamodb"]) {
        assert.ok(files.includes(`node_modules/@aws-sdk/${client}/dist-cjs/index.js`), client);
      }
      for (const file of files) {
        assert.match(
          file,
          /^(__index\.js|node_modules\/(@aws-sdk|@smithy|@aws|bowser|tslib|mnemonist|obliterator)\/.*)$/,
        );
        assert.match(file, /\.(js|cjs|json)$/);
        assert.doesNotMatch(file, /dist-es|dist-types|client-(iam|lambda|scheduler|cloudwatch|eventbridge)/);
      }
    });
  }

  it("are the same bytes each time", async () => {
    const hashes = new Set<string>();
    for (const program of [await recordProgram("dev"), await runAndRecord("dev")]) {
      const zip = await packageOf(program, "music-streams-sense");
      hashes.add(createHash("sha256").update(zip).digest("hex"));
    }
    assert.equal(hashes.size, 1);
  });
});

describe("the serialised handlers", () => {
  let cloud: Awaited<ReturnType<typeof startCloud>>;
  let glue: Awaited<ReturnType<typeof startScriptedGlue>>;
  let clients: Clients;
  let outputs: Record<string, string>;
  let program: Recorded;

  before(async () => {
    cloud = await startCloud();
    glue = await startScriptedGlue(cloud.endpoint);
    const { endpoint } = cloud;
    const where = { endpoint, glueEndpoint: glue.endpoint, credentials: testCredentials };
    outputs = (await deploy({ root: ROOT, stack: "local", ...where })).outputs as never;
    clients = createClients({ ...where, region: REGION });
    program = await recordProgram("local");
    for (const name of ["sense", "archive"]) await unpack(name);
    await clients.s3.send(new PutObjectCommand({ Bucket: outputs.bucketName, Key: FILE, Body: BODY }));
  });
  after(async () => {
    if (clients) closeClients(clients);
    await glue?.close();
    await cloud?.close();
  });

  /** Unpacks the package where it finds only its own files. */
  async function unpack(name: string) {
    for (const [file, bytes] of Object.entries(unzipSync(await packageOf(program, `music-streams-${name}`)))) {
      const target = path.join(cloud.folder, name, file);
      mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(target, bytes);
    }
  }

  /** Calls a handler as Lambda does, in its own process. */
  async function call(name: string): Promise<Record<string, unknown>> {
    const script = `require("./__index.js").handler({}, { getRemainingTimeInMillis: () => 60000 })
      .then((answer) => console.log("ANSWER" + JSON.stringify({ node: process.version, ...answer })));`;
    const { LIMITS } = (
      program.inputsOf("lambda/function:Function", `music-streams-${name}`).environment as {
        variables: Record<string, string>;
      }
    ).variables;
    const env = {
      AWS_ENDPOINT_URL: cloud.endpoint,
      AWS_ENDPOINT_URL_GLUE: glue.endpoint,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: testCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: testCredentials.secretAccessKey,
      BUCKET: outputs.bucketName,
      LEDGER_TABLE: outputs.ledgerTableName,
      WORKFLOW: outputs.workflowName,
      TRANSFORM_JOB: outputs.transformJobName,
      PUBLISH_JOB: outputs.publishJobName,
      LIMITS,
    };
    const node = path.join(ROOT, "node_modules", ".bin", "node");
    const { stdout } = await promisify(execFile)(node, ["-e", script], { cwd: path.join(cloud.folder, name), env });
    return JSON.parse(stdout.split("ANSWER")[1]!);
  }

  async function keys(prefix: string): Promise<string[]> {
    const page = await clients.s3.send(new ListObjectsV2Command({ Bucket: outputs.bucketName, Prefix: prefix }));
    return (page.Contents ?? []).map(({ Key }) => Key!);
  }

  it("sense claims the waiting file: a manifest, an item in the ledger, a run of the workflow", async () => {
    const answer = await call("sense");
    assert.match(String(answer.node), /^v24\./);
    const { batchId, files } = answer.claimed as { batchId: string; files: number };
    assert.equal(files, 1);
    assert.deepEqual(await keys(folders.batches), [place("manifest", { batchId })]);
    const Key = place("manifest", { batchId });
    const { Body } = await clients.s3.send(new GetObjectCommand({ Bucket: outputs.bucketName, Key }));
    const manifest = JSON.parse(await Body!.transformToString());
    assert.deepEqual([manifest.batchId, manifest.files[0].key], [batchId, FILE]);
    assert.equal((glue.runs[0]!.WorkflowRunProperties as Record<string, string>).batch_id, batchId);
    const { Item } = await clients.dynamodb.send(
      new GetItemCommand({ TableName: outputs.ledgerTableName, Key: { pk: { S: "BATCH" }, sk: { S: batchId } } }),
    );
    assert.equal(Item?.state?.S, "RUNNING");
    assert.deepEqual(await keys(folders.incoming), [FILE]);
  });

  it("archive moves the file to the dated folder when the run has succeeded", async () => {
    const batchId = (glue.runs[0]!.WorkflowRunProperties as Record<string, string>).batch_id!;
    await reportOneRow(clients, outputs.bucketName!, batchId, FILE);
    glue.finish([outputs.transformJobName!, "SUCCEEDED"], [outputs.publishJobName!, "SUCCEEDED"]);
    const answer = await call("archive");
    const [archived] = await keys(folders.archived);
    assert.match(
      archived!,
      new RegExp(`^${folders.archived}\\d{4}-\\d\\d-\\d\\d/${batchId}/${"a b\\+c%20ü"}\\.csv$`),
      JSON.stringify(answer),
    );
    const { Body } = await clients.s3.send(new GetObjectCommand({ Bucket: outputs.bucketName, Key: archived }));
    assert.equal(await Body!.transformToString(), BODY);
    assert.deepEqual(await keys(folders.incoming), []);
    const { Items } = await clients.dynamodb.send(
      new QueryCommand({
        TableName: outputs.ledgerTableName,
        KeyConditionExpression: "pk = :batches",
        ExpressionAttributeValues: { ":batches": { S: "BATCH" } },
      }),
    );
    assert.deepEqual(
      Items?.map((item) => item.state?.S),
      ["ARCHIVED"],
    );
  });

  it("sense and archive find nothing more to do", async () => {
    assert.equal((await call("sense")).action, "idle");
    assert.equal((await call("archive")).action, "idle");
    assert.equal(glue.runs.length, 1);
  });

  it("archive leaves a waiting file to sense", async () => {
    await clients.s3.send(
      new PutObjectCommand({ Bucket: outputs.bucketName, Key: `${folders.incoming}next.csv`, Body: BODY }),
    );
    assert.equal((await call("archive")).action, "idle");
    assert.equal(glue.runs.length, 1);
    assert.equal(((await call("sense")).claimed as { files: number }).files, 1);
    assert.equal(glue.runs.length, 2);
  });
});
