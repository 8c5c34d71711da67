import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CreateTableCommand } from "@aws-sdk/client-dynamodb";
import { CreateFunctionCommand } from "@aws-sdk/client-lambda";
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { PutCommand } from "@aws-sdk/lib-dynamodb";
import { strToU8, zipSync } from "fflate";
import { main } from "../../cli/main";
import { localTarget, type Target } from "../../cli/target";
import { startEmulator } from "../../local/emulator";
import { place } from "../../runtime/places";
import { exitCodeOf, type Main } from "../../terminal/terminal";
import { testCredentials } from "../support/credentials";
import { folders } from "../support/folders";
import { ODD_NAME } from "../support/odd-files";
import { createRole } from "../support/roles";
import { puttingCode } from "../support/signed";

/** A stack's outputs, with names that no other pipeline on the same emulator has. */
export function outputsOf(name: string) {
  return {
    bucketName: `lake-${name}`,
    referenceLocation: `s3://lake-${name}/${folders.reference}`,
    ledgerTableName: `batches-${name}`,
    metricsTableName: `metrics-${name}`,
    workflowName: `workflow-${name}`,
    transformJobName: `transform-${name}`,
    publishJobName: `publish-${name}`,
    senseFunctionName: `sense-${name}`,
    archiveFunctionName: `archive-${name}`,
  };
}

const client = { region: "us-east-1", credentials: testCredentials };

/** An emulator, and the role of the Lambdas on it. */
interface Host {
  endpoint: string;
  role: string;
  close(): Promise<void>;
}

/** The emulator that all suites of this process share. The first pipeline starts it. */
let shared: Promise<Host> | undefined;
let pipelines = 0;

after(async () => (await shared)?.close());

/** Starts an emulator of the caller's own, for a test that ends it. */
export async function startHost(): Promise<Host> {
  const workDir = await mkdtemp(path.join(tmpdir(), "music-streams-cli-emulator-"));
  const python = path.resolve(__dirname, "..", "..", ".local", "python", "bin", "python");
  const emulator = await startEmulator({ workDir, python, port: 0, ...client });
  const may = { service: "lambda.amazonaws.com", actions: ["logs:*"] };
  return {
    endpoint: emulator.endpoint,
    role: await createRole(emulator.endpoint, "sense", may),
    async close() {
      await emulator.close();
      await rm(workDir, { recursive: true, force: true });
    },
  };
}

/** What a command said, and its exit code. */
export interface Said {
  code: number;
  out: string;
  notes: string[];
}

/**
 * A bucket, the two tables of docs/architecture.md and a sense that leaves a trace, on an emulator; `.local/run.json`
 * names them.
 */
export interface Pipeline {
  target: Target;
  /** A folder that stands for the project's root. */
  root: string;
  run(command: Main, ...args: string[]): Promise<Said>;
  put(key: string, body: string): Promise<string>;
  /** Plays sense and archive: see `Claim`. */
  claim(batchId: string, names: string[], parent?: string): Promise<Claim>;
  keys(prefix: string): Promise<string[]>;
  putLedger(item: Record<string, unknown>): Promise<void>;
  close(): Promise<void>;
}

/** A batch that the test drives by hand. */
export interface Claim {
  set(attributes: Record<string, unknown>): Promise<void>;
  report(report: Record<string, unknown>): Promise<void>;
  move(name: string, to: string): Promise<void>;
}

/** Runs a command in this process, with a terminal that remembers. */
export async function runCommandIn(
  root: string,
  command: Main,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Said> {
  const said: Said = { code: 0, out: "", notes: [] };
  const terminal = {
    out: (text: string) => {
      said.out += text;
    },
    note: (line: string) => said.notes.push(line),
    interactive: false,
    env,
    root,
    cwd: root,
  };
  said.code = await exitCodeOf(command, args, terminal);
  return said;
}

/** The command line of one verb. */
export function verb(name: string): Main {
  return (args, terminal) => main([name, ...args], terminal);
}

/** Makes an empty pipeline: on the shared emulator, unless `host` gives another. */
export async function startPipeline(host?: Host): Promise<Pipeline> {
  if (!host) shared ??= startHost();
  const { endpoint, role } = host ?? (await shared)!;
  pipelines += 1;
  const outputs = outputsOf(String(pipelines));
  const root = await mkdtemp(path.join(tmpdir(), ODD_NAME));
  const cloud = { endpoint, ...client, outputs };
  const target = localTarget(cloud);
  await mkdir(path.join(root, ".local"), { recursive: true });
  await writeFile(path.join(root, ".local", "run.json"), JSON.stringify({ pid: process.pid, pids: [], ...cloud }));
  await createResources(target, role);

  const put = async (key: string, body: string) => {
    const answer = await target.s3.send(new PutObjectCommand({ Bucket: outputs.bucketName, Key: key, Body: body }));
    return answer.ETag as string;
  };
  const putLedger = async (item: Record<string, unknown>) => {
    await target.documents.send(new PutCommand({ TableName: outputs.ledgerTableName, Item: item }));
  };
  const objects = async (prefix: string) => {
    const listed = await target.s3.send(new ListObjectsV2Command({ Bucket: outputs.bucketName, Prefix: prefix }));
    return listed.Contents ?? [];
  };
  return {
    target,
    root,
    put,
    putLedger,
    run: (command, ...args) => runCommandIn(root, command, args),
    keys: async (prefix) => (await objects(prefix)).map((object) => object.Key ?? ""),
    async claim(batchId, names, parent) {
      const present = await objects(folders.incoming);
      const found = (name: string) => present.find((object) => object.Key === `${folders.incoming}${name}`);
      const files = names.map((name) => ({
        key: `${folders.incoming}${name}`,
        name,
        etag: found(name)?.ETag ?? '"gone"',
        size: found(name)?.Size ?? 1,
        lastModified: new Date().toISOString(),
      }));
      const item = {
        pk: "BATCH",
        sk: batchId,
        batchId,
        state: "RUNNING",
        attempt: 1,
        files: names.length,
        claimedAt: new Date().toISOString(),
      };
      await put(place("manifest", { batchId }), JSON.stringify({ batchId, files, parent }));
      await putLedger(item);
      return {
        set: (attributes) => putLedger({ ...item, ...attributes }),
        report: async (report) => void (await put(place("transformReport", { batchId }), JSON.stringify(report))),
        move: async (name, to) => {
          const source = encodeURI(`${outputs.bucketName}/${folders.incoming}${name}`);
          await target.s3.send(new CopyObjectCommand({ Bucket: outputs.bucketName, Key: to, CopySource: source }));
          await target.s3.send(
            new DeleteObjectCommand({ Bucket: outputs.bucketName, Key: `${folders.incoming}${name}` }),
          );
        },
      };
    },
    close: () => rm(root, { recursive: true, force: true }),
  };
}

async function createResources(target: Target, role: string): Promise<void> {
  const { outputs } = target;
  await target.s3.send(new CreateBucketCommand({ Bucket: outputs.bucketName }));
  const keySchema = (hash: string, range: string) => [
    { AttributeName: hash, KeyType: "HASH" as const },
    { AttributeName: range, KeyType: "RANGE" as const },
  ];
  for (const TableName of [outputs.ledgerTableName, outputs.metricsTableName]) {
    const isMetrics = TableName === outputs.metricsTableName;
    const names = ["pk", "sk", ...(isMetrics ? ["listed_in"] : [])];
    await target.dynamodb.send(
      new CreateTableCommand({
        TableName,
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: names.map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
        KeySchema: keySchema("pk", "sk"),
        ...(isMetrics && {
          GlobalSecondaryIndexes: [
            { IndexName: "listed", KeySchema: keySchema("listed_in", "pk"), Projection: { ProjectionType: "ALL" } },
          ],
        }),
      }),
    );
  }
  // A sense that leaves a trace of each tick.
  const code = `${puttingCode(outputs.bucketName)}\nexports.handler = () => put("ticks/" + Date.now(), "x");`;
  await target.lambda.send(
    new CreateFunctionCommand({
      FunctionName: outputs.senseFunctionName,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Role: role,
      Code: { ZipFile: zipSync({ "index.js": strToU8(code) }) },
      Timeout: 10,
    }),
  );
}
