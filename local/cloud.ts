import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { diskFullAdvice } from "../terminal/disk-full.cjs";
import { isUnreachable, UserError } from "../terminal/errors";
import { counted, printable } from "../terminal/format";
import { type Credentials, newCredentials } from "./credentials";
import { deploy } from "./deploy";
import { claimPort, type Emulator, startEmulator } from "./emulator";
import { lockFolder } from "./folder-lock";
import { type LocalGlue, startLocalGlue } from "./glue/server";
import { type Kept, openKept, putBack } from "./kept";
import { readConfig } from "./provider/program";
import { removeRunFile, writeRunFile } from "./run-file";
import { installToolchain } from "./toolchain/install.cjs";
import type { Lock } from "./toolchain/lock.cjs";

export interface CloudOptions {
  root: string;
  /** The emulator's port; 0 takes any free one. */
  port: number;
  log: (line: string) => void;
  /** A folder that keeps the cloud's data. Without it, every start is an empty cloud. */
  keepIn?: string;
  /** Keeps a Spark process ready for the first run of a job, or for every one. Default: none. */
  standby?: "first" | "always" | undefined;
  /** Aborts the start, and stops what was started. */
  stop?: AbortSignal;
  /**
   * For tests: puts a proxy between the pipeline (Lambdas, jobs) and a service. Gets the service's endpoint and returns
   * the proxy's. Without it, the pipeline calls the service directly.
   */
  between?: (service: "emulator" | "glue", endpoint: string) => Promise<string>;
  /** For tests: a file to which the emulator writes the calls of the program's roles. */
  authorizationsFile?: string;
  /** For tests: milliseconds in a minute of the local Glue's timeouts. */
  minuteMs?: number;
}

/** The program, deployed on this machine. */
export interface LocalCloud {
  /** The one endpoint for every service, Glue included. */
  endpoint: string;
  region: string;
  /** They may do everything on this cloud, and end with it. */
  credentials: Credentials;
  outputs: Record<string, string>;
  glue: LocalGlue;
  /** Its kept data, if it keeps any. */
  kept: Kept | undefined;
  /** An error of a call to the cloud, or what it came from: the emulator has died. */
  explain(error: unknown): Promise<unknown>;
  /** Ends every process that it started. Safe to call twice. */
  close(): Promise<void>;
}

/** Starts the emulator and the local Glue, and deploys index.ts onto them. On an error it stops what it started. */
export async function startCloud(options: CloudOptions): Promise<LocalCloud> {
  const { root, port, log, stop, between = async (_, endpoint) => endpoint } = options;
  const closers: (() => Promise<unknown>)[] = [];
  let explain = async (error: unknown) => error;
  const close = async () => {
    for (const step of closers.splice(0).reverse()) await step();
  };
  try {
    const locks = await lockFolders(options, closers);
    const toolchain = await installToolchain(root, log, stop);
    const region = regionOf(root);
    const credentials = newCredentials();
    // Nothing is removed before it is sure that this cloud can start.
    await claimPort(port);
    const workDir = path.join(root, ".local", "cloud");
    await rm(workDir, { recursive: true, force: true });
    await mkdir(workDir, { recursive: true });
    const kept = options.keepIn === undefined ? undefined : await openKept(options.keepIn);
    log("Starting the emulator and the local Glue ...");
    const emulator = await startEmulator({
      workDir: path.join(workDir, "emulator"),
      python: toolchain.python,
      port,
      region,
      credentials,
      onGroup: (group) => {
        for (const lock of locks) lock.add(group);
      },
      ...(kept && { keep: kept }),
      ...(options.authorizationsFile !== undefined && { authorizationsFile: options.authorizationsFile }),
    });
    closers.push(() => emulator.close());
    explain = (error) => deathOf(emulator, error, options.keepIn, kept);
    if (kept?.isUnclean) {
      const files = await putBack({ endpoint: emulator.endpoint, region, credentials });
      await kept.repaired();
      if (files > 0)
        log(
          `The cloud did not shut down cleanly: its ledger and metrics are lost. Its ${counted(files, "file")} will be processed again.`,
        );
    }
    const run = {
      pid: process.pid,
      pids: [emulator.process.pid],
      endpoint: emulator.endpoint,
      region,
      // Clients add members of their own to the object.
      credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey },
      startedAt: new Date().toISOString(),
    };
    closers.push(() => removeRunFile(root));
    await writeRunFile(root, run);
    const aws = await between("emulator", emulator.endpoint);
    const glue = await startLocalGlue({
      emulatorEndpoint: emulator.endpoint,
      jobEndpoint: aws,
      region,
      credentials,
      workDir: path.join(workDir, "glue"),
      // Kept from one start to the next: what a job asks for is installed once.
      modulesDir: path.join(root, ".local", "modules"),
      classArchiveDir: path.join(root, ".local", "classes"),
      standby: options.standby,
      ...(kept && { runsFile: kept.runsFile }),
      ...(options.minuteMs === undefined ? {} : { minuteMs: options.minuteMs }),
      ...toolchain,
    });
    closers.push(() => glue.close());
    await emulator.useGlue(glue.endpoint);
    stop?.throwIfAborted();
    log("Deploying index.ts ...");
    const { outputs, resources } = await deploy({
      root,
      stack: "local",
      endpoint: emulator.endpoint,
      glueEndpoint: emulator.endpoint,
      credentials,
      functionVariables: {
        AWS_ENDPOINT_URL_S3: aws,
        AWS_ENDPOINT_URL_DYNAMODB: aws,
        AWS_ENDPOINT_URL_GLUE: await between("glue", emulator.endpoint),
      },
    });
    log(`Deployed ${resources} resources.`);
    stop?.throwIfAborted();
    const cloud = {
      endpoint: emulator.endpoint,
      region,
      credentials,
      outputs: outputs as Record<string, string>,
      glue,
      kept,
      explain,
    };
    await writeRunFile(root, { ...run, glueEndpoint: emulator.endpoint, outputs });
    return { ...cloud, close };
  } catch (error) {
    const cause = stop?.aborted ? error : await explain(error);
    await close();
    throw cause;
  }
}

/** The time in which the system tells us that a process whose connections broke has ended. */
const deathKnownMs = 2_000;

/** The error, or if the emulator has died, one that says how, where its log is, what is left and what to do. */
async function deathOf(
  { process: service }: Emulator,
  error: unknown,
  keepIn: string | undefined,
  kept: Kept | undefined,
): Promise<unknown> {
  if (!isUnreachable(error) && !service.hasExited()) return error;
  const end = await service.end(deathKnownMs);
  if (end === undefined) return error;
  const log = await service.logTail();
  const memory = end.includes("SIGKILL") ? " Somebody killed it, or the machine ran out of memory." : "";
  const left =
    keepIn === undefined
      ? "Nothing is kept: this cloud ran without --keep. Start again with: npm start"
      : kept?.isSaved()
        ? `Everything is kept in ${keepIn}. Start again with the same --keep.`
        : `All files are kept in ${keepIn}, but not the ledger and the metrics. Start again with the same --keep: the pipeline then processes the files from scratch.`;
  const advice = diskFullAdvice(log);
  return new UserError(
    `The emulator (MiniStack) has died (${end}).${memory}\n${advice ? `${advice}\n` : ""}The end of its log, ${service.logFile}:\n${indented(log)}\n${left}`,
    { cause: error },
  );
}

/** A part of a log for a terminal: a log may hold whatever a name or a row holds. */
const indented = (text: string) => text.replace(/^.*$/gm, (line) => `    ${printable(line)}`);

/** The region that the stack file sets. */
function regionOf(root: string): string {
  const region = readConfig(root, "local")["aws:region"];
  if (!region) throw new UserError("Pulumi.local.yaml must set aws:region.");
  return region;
}

/** Holds the folders that this cloud writes to, until it has closed. */
async function lockFolders(
  { root, keepIn, log }: CloudOptions,
  closers: (() => Promise<unknown>)[],
): Promise<Pick<Lock, "add">[]> {
  const locks: Lock[] = [];
  closers.push(async () => {
    for (const lock of locks) lock.release();
  });
  const hold = async (folder: string, name: string, refuse: (holder: string) => string) =>
    locks.push(await lockFolder(folder, name, root, refuse, log));
  await hold(
    path.join(root, ".local"),
    "cloud.lock",
    (holder) =>
      `A local cloud of this folder is starting or running already (${holder}). Drop files into it with: npm run drop -- FILE. Or stop it first (Ctrl-C there).`,
  );
  if (keepIn !== undefined)
    await hold(
      keepIn,
      "lock",
      (holder) =>
        `Another local cloud uses the data in ${keepIn} (${holder}). Stop it first (Ctrl-C there), or give another folder: npm start -- --keep DIR`,
    );
  return locks;
}
