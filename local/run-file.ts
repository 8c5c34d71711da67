import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import path from "node:path";
import { HeadBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { NoCloudError } from "../terminal/errors";
import type { Credentials } from "./credentials";

/** `.local/run.json`: describes the local cloud while it runs (docs/architecture.md, "The local cloud"). */
export interface RunFile {
  pid: number;
  /** Ids of the processes that it started. */
  pids: number[];
  endpoint: string;
  region: string;
  /** The user's credentials on this cloud. */
  credentials: Credentials;
  startedAt: string;
  /** These two are missing while the cloud starts. The endpoint serves Glue too; scripts of 0.1.0 read this one. */
  glueEndpoint?: string;
  outputs?: Record<string, unknown>;
}

/** A local cloud that answers. */
export type RunningCloud = RunFile & { outputs: Record<string, unknown> };

const fileOf = (root: string) => path.join(root, ".local", "run.json");

/** Replaces the file in one step, because commands may read it at any moment. Only its owner may read it. */
export async function writeRunFile(root: string, run: RunFile): Promise<void> {
  const file = fileOf(root);
  // A file that is there keeps its mode.
  await rm(`${file}.new`, { force: true });
  await writeFile(`${file}.new`, JSON.stringify(run, null, 2), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

export async function removeRunFile(root: string): Promise<void> {
  await rm(fileOf(root), { force: true });
}

const howToStart = "Start it in another terminal with: npm start\n(For a deployed stack, add --stack NAME.)";

/**
 * The running local cloud of a project's folder.
 * @throws NoCloudError when it does not run (the message says how to start it), or is still starting
 */
export async function findRunningCloud(root: string): Promise<RunningCloud> {
  const notRunning = (why: string) => new NoCloudError(`The local cloud is not running (${why}). ${howToStart}`);
  const text = await readFile(fileOf(root), "utf8").catch(() => undefined);
  if (text === undefined) throw notRunning("there is no .local/run.json");
  const run = parse(text);
  if (!run) throw notRunning(".local/run.json can't be read");
  if (!isAlive(run.pid)) throw notRunning("the one in .local/run.json has ended");
  if (!(await answers(run.endpoint))) throw notRunning(`nothing answers at ${run.endpoint}`);
  const { outputs } = run;
  if (!outputs || Object.keys(outputs).length === 0)
    throw new NoCloudError("The local cloud is still starting. Try again when npm start reports that it is ready.");
  // Another program may have taken the process id and the port of a cloud that died.
  const bucket = outputs.bucketName;
  if (typeof bucket === "string" && !(await hasBucket(run, bucket)))
    throw notRunning(`what answers at ${run.endpoint} has no bucket ${bucket}`);
  return { ...run, outputs };
}

function parse(text: string): RunFile | undefined {
  try {
    const run = JSON.parse(text) as RunFile;
    const isWhole = Number.isSafeInteger(run.pid) && run.pid > 0 && typeof run.region === "string";
    const { accessKeyId, secretAccessKey } = run.credentials;
    if (typeof accessKeyId !== "string" || typeof secretAccessKey !== "string") return undefined;
    return isWhole && new URL(run.endpoint).protocol === "http:" ? run : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether an HTTP server answers. Uses node:http, because loopback must not go through a proxy of the environment. */
function answers(endpoint: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(endpoint, { timeout: 10_000, agent: false }, (response) => {
      response.destroy();
      resolve(true);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
    request.on("close", () => resolve(false));
  });
}

async function hasBucket({ endpoint, region, credentials }: RunFile, bucket: string): Promise<boolean> {
  const s3 = new S3Client({ endpoint, region, credentials, maxAttempts: 5, forcePathStyle: true });
  try {
    await s3.send(new HeadBucketCommand({ Bucket: bucket }));
    return true;
  } catch {
    return false;
  } finally {
    s3.destroy();
  }
}
