import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import {
  CreateJobCommand,
  type CreateJobCommandInput,
  GetJobRunCommand,
  GetWorkflowRunCommand,
  GlueClient,
  type JobRun,
  StartJobRunCommand,
  type StartJobRunCommandInput,
  type WorkflowRun,
} from "@aws-sdk/client-glue";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { startEmulator } from "../../local/emulator";
import { type LocalGlue, type LocalGlueOptions, startLocalGlue } from "../../local/glue/server";
import { WAIT_MS } from "./commands";
import { testCredentials } from "./credentials";
import { URL_NAME } from "./odd-files";
import { createRole } from "./roles";

const site = join(__dirname, "..", "..", ".local");
const python = join(site, "python", "bin", "python");
export const client = { region: "us-east-1", credentials: testCredentials };
export const BUCKET = "glue-tests";
/** Milliseconds in a minute of a job's timeout. */
const MINUTE_MS = 1500;

/** An emulator and a local Glue, with a bucket for scripts. */
export interface GlueCloud {
  readonly emulator: string;
  /** The local Glue's folder. */
  readonly workDir: string;
  readonly local: LocalGlue;
  readonly glue: GlueClient;
  readonly s3: S3Client;
  /** The log lines of the local Glue. */
  readonly lines: string[];
  /** The file to which the emulator writes the calls of roles. */
  readonly authorizations: string;
  /** Copies of the job runs that the listener got. */
  readonly seen: JobRun[];
  close(): Promise<void>;
}

let shared: Promise<GlueCloud> | undefined;

/**
 * The one cloud that all test files of a mocha process use, since its start takes seconds. So names of jobs, workflows
 * and roles must differ between files.
 */
export function sharedGlueCloud(): Promise<GlueCloud> {
  shared ??= startGlueCloud();
  return shared;
}

after(async () => (await shared)?.close());

async function startGlueCloud(): Promise<GlueCloud> {
  // With a space in the path, as in some home folders.
  const workDir = await mkdtemp(join(tmpdir(), URL_NAME));
  const authorizations = join(workDir, "authorizations.ndjson");
  const emulator = await startEmulator({
    workDir: join(workDir, "emulator"),
    python,
    port: 0,
    ...client,
    authorizationsFile: authorizations,
  });
  const s3 = new S3Client({ ...client, endpoint: emulator.endpoint, forcePathStyle: true });
  await createRole(emulator.endpoint, "role", { service: "glue.amazonaws.com", actions: ["s3:*", "logs:*", "glue:*"] });
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const started = await startGlue(emulator.endpoint, join(workDir, "glue"), {
    minuteMs: MINUTE_MS,
    env: { MARK: "from the options" },
    classArchiveDir: join(workDir, "classes"),
  });
  const close = async () => {
    await started.close();
    s3.destroy();
    await emulator.close();
    await rm(workDir, { recursive: true, force: true, maxRetries: 5 });
  };
  return { ...started, emulator: emulator.endpoint, authorizations, s3, close };
}

/** Starts another local Glue on a cloud's emulator. */
export async function startAnotherGlue(
  cloud: GlueCloud,
  name: string,
  options: Partial<LocalGlueOptions> = {},
): Promise<GlueCloud> {
  return { ...cloud, ...(await startGlue(cloud.emulator, join(cloud.workDir, "..", name), options)) };
}

async function startGlue(emulatorEndpoint: string, workDir: string, options: Partial<LocalGlueOptions>) {
  const lines: string[] = [];
  const seen: JobRun[] = [];
  const jars = join(site, "jars");
  const java = join(site, "java");
  const local = await startLocalGlue({
    emulatorEndpoint,
    ...client,
    accountId: "000000000000",
    workDir,
    python,
    sparkSubmit: join(site, "python", "bin", "spark-submit"),
    sparkJars: existsSync(jars) ? readdirSync(jars).map((jar) => join(jars, jar)) : [],
    ...(existsSync(java) ? { javaHome: java } : {}),
    driverMemory: "1g",
    log: (line) => lines.push(line),
    onJobRun: (run) => seen.push(run),
    ...options,
  });
  const glue = new GlueClient({ ...client, endpoint: local.endpoint, maxAttempts: 1 });
  const close = async () => {
    await local.close();
    glue.destroy();
  };
  return { workDir, local, glue, lines, seen, close };
}

/** Puts an object into the test's bucket. @returns its s3:// path */
export async function put(cloud: GlueCloud, key: string, body: string | Uint8Array): Promise<string> {
  await cloud.s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }));
  return `s3://${BUCKET}/${key}`;
}

/** Creates a job with the given script: a Python shell job, unless `more` sets another command. */
export async function createJob(
  cloud: GlueCloud,
  name: string,
  script: string,
  more: Partial<CreateJobCommandInput> = {},
) {
  const ScriptLocation = await put(cloud, `scripts/${name}.py`, script);
  const Command = { Name: "pythonshell", PythonVersion: "3.9", ...more.Command, ScriptLocation };
  const GlueVersion = Command.Name === "pythonshell" ? "3.0" : "6.0";
  await cloud.glue.send(new CreateJobCommand({ Name: name, Role: "role", GlueVersion, ...more, Command }));
}

/** Starts a job. @returns the id of its run */
export async function startJob({ glue }: GlueCloud, JobName: string): Promise<string> {
  return (await glue.send(new StartJobRunCommand({ JobName }))).JobRunId!;
}

/** The output of a job run so far. */
export function outputOf(cloud: GlueCloud, runId: string): string {
  const file = cloud.local.logFile(runId);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** Waits for a line `PID n` in the output of a job run. @returns n */
export function pidIn(cloud: GlueCloud, runId: string): Promise<number> {
  return until(() => {
    const [, pid] = /^PID (\d+)$/m.exec(outputOf(cloud, runId)) ?? [];
    return pid === undefined ? undefined : Number(pid);
  }, `the process id in the output of ${runId}`);
}

/** Starts a job, and waits for the end of its run. */
export async function runJob(
  cloud: GlueCloud,
  name: string,
  more: Partial<StartJobRunCommandInput> = {},
): Promise<JobRun> {
  const { JobRunId } = await cloud.glue.send(new StartJobRunCommand({ JobName: name, ...more }));
  return ended(cloud, name, JobRunId!);
}

const ENDED = /SUCCEEDED|FAILED|STOPPED|TIMEOUT|ERROR/;

export function ended(cloud: GlueCloud, name: string, runId: string): Promise<JobRun> {
  return reached(cloud, name, runId, (run) => ENDED.test(run.JobRunState!));
}

export function running(cloud: GlueCloud, name: string, runId: string): Promise<JobRun> {
  return reached(cloud, name, runId, (run) => run.JobRunState === "RUNNING");
}

async function reached(cloud: GlueCloud, JobName: string, RunId: string, done: (run: JobRun) => boolean) {
  return until(async () => {
    const { JobRun } = await cloud.glue.send(new GetJobRunCommand({ JobName, RunId, PredecessorsIncluded: true }));
    return done(JobRun!) ? JobRun! : undefined;
  }, `run ${RunId} of ${JobName}`);
}

export function workflowEnded(cloud: GlueCloud, Name: string, RunId: string): Promise<WorkflowRun> {
  return until(async () => {
    const { Run } = await cloud.glue.send(new GetWorkflowRunCommand({ Name, RunId, IncludeGraph: true }));
    return Run!.Status !== "RUNNING" && Run!.Status !== "STOPPING" ? Run! : undefined;
  }, `workflow run ${RunId} of ${Name}`);
}

/** Waits until `look` returns a value, and returns it. Calls `look` every 30 ms. */
export async function until<T>(look: () => Promise<T | undefined> | T | undefined, what: string): Promise<T> {
  const limit = Date.now() + WAIT_MS;
  while (Date.now() < limit) {
    const found = await look();
    if (found !== undefined) return found;
    await pause(30);
  }
  throw new Error(`timed out waiting for ${what}`);
}

/** Whether a process runs. One that ended and waits for its parent does not. */
export function isRunning(pid: number): boolean {
  try {
    const state = execFileSync("ps", ["-o", "stat=", "-p", `${pid}`], { encoding: "utf8" });
    return !state.trim().startsWith("Z");
  } catch {
    return false;
  }
}
