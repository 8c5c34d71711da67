import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { startEmulator } from "../../local/emulator";
import { closeClients, createClients } from "../../local/provider/clients";
import { LocalProvider } from "../../local/provider/provider";
import { place } from "../../runtime/places";
import { testCredentials } from "./credentials";
import { folders } from "./folders";
import { ROOT } from "./program-record";
import { signedFetch } from "./signed";

export const REGION = "us-east-1";

/** The Python of the local cloud, which `npm test` installs. */
export const PYTHON = process.env.MUSIC_STREAMS_PYTHON ?? path.join(ROOT, ".local", "python", "bin", "python");

/** Starts an emulator for one test file, in a folder outside of the project. */
export async function startCloud() {
  const folder = await mkdtemp(path.join(tmpdir(), "music-streams-provider-"));
  const emulator = await startEmulator({
    workDir: folder,
    python: PYTHON,
    port: 0,
    region: REGION,
    credentials: testCredentials,
  });
  return {
    folder,
    endpoint: emulator.endpoint,
    async close() {
      await emulator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What tests of the local provider share: a cloud with a scripted Glue, clients, and a provider. */
export type ProviderCloud = Awaited<ReturnType<typeof startProviderCloud>>;

let shared: Promise<ProviderCloud> | undefined;

/** The one cloud that all test files of the local provider in a mocha process use, since its start takes seconds. */
export function sharedCloud(): Promise<ProviderCloud> {
  shared ??= startProviderCloud();
  return shared;
}

after(async () => (await shared)?.close());

async function startProviderCloud() {
  const cloud = await startCloud();
  const glue = await startScriptedGlue(cloud.endpoint);
  const where = { endpoint: cloud.endpoint, glueEndpoint: glue.endpoint, credentials: testCredentials };
  const clients = createClients({ ...where, region: REGION });
  const provider = await LocalProvider.connect({ ...where, region: REGION, root: ROOT });
  const close = async () => {
    provider.close();
    closeClients(clients);
    await glue.close();
    await cloud.close();
  };
  return { cloud, glue, where, clients, provider, close };
}

/** Writes both jobs' reports of the first run, for a batch of one file with one row. */
export async function reportOneRow(clients: { s3: S3Client }, Bucket: string, batchId: string, key: string) {
  const common = {
    batchId,
    workflowRunId: "wr_1",
    startedAt: "2026-01-01T00:00:00Z",
    finishedAt: "2026-01-01T00:01:00Z",
  };
  const rows = { rowsRead: 1, rowsKept: 1, rowsDuplicate: 0, rowsQuarantined: {} };
  const transform = {
    ...common,
    ...rows,
    filesQuarantined: [],
    filesChanged: [],
    unknownTracks: 0,
    unknownUsers: 0,
    referenceRowsSkipped: { users: 0, songs: 0 },
    days: ["2024-06-25"],
    files: [{ name: key.slice(folders.incoming.length), ...rows }],
  };
  const publish = { ...common, engine: "duckdb", days: ["2024-06-25"], groupsComputed: 1, itemsWritten: 1 };
  for (const [name, content] of [["transformReport", transform] as const, ["publishReport", publish] as const]) {
    const Key = place(name, { batchId });
    await clients.s3.send(new PutObjectCommand({ Bucket, Key, Body: JSON.stringify(content) }));
  }
}

/** A run of the workflow, as GetWorkflowRun returns it. */
type Run = Record<string, unknown> & { WorkflowRunId: string; Status: string };

/**
 * A Glue whose workflow runs end when and how the test chooses. It handles workflow runs only, and forwards all other
 * calls (jobs, triggers, the workflow itself) to the emulator.
 */
export async function startScriptedGlue(emulator: string) {
  const runs: Run[] = [];
  const operations: Record<string, (input: Record<string, unknown>) => unknown> = {
    StartWorkflowRun(input) {
      const run = { ...input, WorkflowRunId: `wr_${runs.length + 1}`, Status: "RUNNING", StartedOn: Date.now() / 1000 };
      runs.unshift({ ...run, WorkflowRunProperties: input.RunProperties });
      return { RunId: run.WorkflowRunId };
    },
    GetWorkflowRuns: () => ({ Runs: runs }),
    GetWorkflowRun: ({ RunId }) => ({ Run: runs.find((run) => run.WorkflowRunId === RunId) }),
  };
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await new Response(request as unknown as ReadableStream).text();
    const operation = operations[String(request.headers["x-amz-target"]).replace("AWSGlue.", "")];
    if (operation) {
      response.setHeader("content-type", "application/x-amz-json-1.1");
      response.end(JSON.stringify(operation(JSON.parse(body))));
      return;
    }
    const asked = request.headers as Record<string, string>;
    const headers = { "content-type": asked["content-type"]!, "x-amz-target": asked["x-amz-target"]! };
    const passed = await signedFetch("glue", emulator, { method: "POST", headers, body });
    response.writeHead(passed.status, { "content-type": "application/x-amz-json-1.1" }).end(await passed.text());
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    runs,
    /** Ends the newest run with the given states of both jobs. */
    finish(transform: [name: string, state: string], publish: [name: string, state: string]) {
      const states = [transform[1], publish[1]];
      Object.assign(runs[0]!, {
        Status: "COMPLETED",
        Statistics: {
          TotalActions: 2,
          SucceededActions: states.filter((state) => state === "SUCCEEDED").length,
          FailedActions: states.filter((state) => state === "FAILED").length,
        },
        Graph: {
          Nodes: [transform, publish].map(([Name, JobRunState], at) => ({
            Type: "JOB",
            Name,
            UniqueId: `node-${at}`,
            JobDetails: { JobRuns: [{ Id: `jr_${at}`, JobName: Name, JobRunState }] },
          })),
        },
      });
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
