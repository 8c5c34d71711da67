import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import pRetry from "p-retry";
import { UserError } from "../terminal/errors";
import type { Credentials } from "./credentials";
import type { Kept } from "./kept";
import { type ServiceProcess, startService } from "./processes";

export interface EmulatorOptions {
  /** Scratch folder for its state and log. */
  workDir: string;
  /** Python that has MiniStack. */
  python: string;
  /** 0 takes any free port. */
  port: number;
  region: string;
  /** The user's credentials. They may do everything on this emulator. */
  credentials: Credentials;
  /** For tests: a file to which it appends each call of the program's roles, and whether it was allowed. */
  authorizationsFile?: string;
  /** Folders that keep its data. Without them, a new emulator is an empty cloud. */
  keep?: Pick<Kept, "stateDir" | "objectsDir">;
  /** Called with the emulator's process group as soon as there is one. */
  onGroup?: (group: number) => void;
}

export interface Emulator {
  endpoint: string;
  process: ServiceProcess;
  /** Lets the emulator's endpoint serve Glue too, by the local Glue at this endpoint. */
  useGlue(endpoint: string): Promise<void>;
  close(): Promise<void>;
}

/** MiniStack, with the changes that the local cloud needs. */
const entry = path.join(__dirname, "python", "emulator.py");
const startTimeoutMs = 60_000;
/** Time for the emulator to write the data that it keeps. */
export const saveMs = 60_000;

/** Starts MiniStack on loopback and waits until it answers. Its data is in memory only, unless `keep` is given. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  if (options.port !== 0) return startAt(await claimPort(options.port), options);
  // Another program may take a free port before the emulator does.
  const isTaken = ({ error }: { error: Error }) => /already in use/.test(error.message);
  return pRetry(async () => startAt(await claimPort(0), options), { retries: 3, minTimeout: 0, shouldRetry: isTaken });
}

async function startAt(port: number, options: EmulatorOptions): Promise<Emulator> {
  const temporary = path.join(options.workDir, "tmp");
  const glueFile = path.join(options.workDir, "glue-endpoint");
  await mkdir(temporary, { recursive: true });
  await rm(glueFile, { force: true });
  const service = await startService({
    name: "the emulator (MiniStack)",
    python: options.python,
    args: [entry],
    logFile: path.join(options.workDir, "emulator.log"),
    ...(options.keep && { graceMs: saveMs }),
    env: {
      // By default, MiniStack listens on every address.
      BIND_HOST: "127.0.0.1",
      GATEWAY_PORT: String(port),
      EDGE_PORT: String(port),
      MINISTACK_REGION: options.region,
      // Roles may do what their policies allow, as on AWS. The user's credentials may do everything.
      AUTH: "true",
      LOCAL_GLUE_FILE: glueFile,
      ...(options.authorizationsFile && { AUTHORIZATIONS_FILE: options.authorizationsFile }),
      // Lambdas run in the project's own Node, which is first on PATH, even if the machine has Docker.
      LAMBDA_EXECUTOR: "local",
      STATE_DIR: options.keep?.stateDir ?? path.join(options.workDir, "state"),
      ...(options.keep && { PERSIST_STATE: "1", S3_PERSIST: "1", S3_DATA_DIR: options.keep.objectsDir }),
      TMPDIR: temporary,
      AWS_ACCESS_KEY_ID: options.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: options.credentials.secretAccessKey,
      AWS_DEFAULT_REGION: options.region,
    },
  });
  options.onGroup?.(service.pid);
  const endpoint = `http://127.0.0.1:${port}`;
  await untilHealthy(endpoint, service, options);
  const useGlue = async (glue: string) => {
    await writeFile(`${glueFile}.new`, glue);
    await rename(`${glueFile}.new`, glueFile);
  };
  return { endpoint, process: service, useGlue, close: () => service.stop() };
}

/** Returns the port if it is free. @throws UserError that names the port and what to do */
export async function claimPort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "is in use by another program" : `can't be used (${error.code})`;
      reject(
        new UserError(
          `Port ${port} ${why}. Stop that program (perhaps another npm start), or choose another port: npm start -- --port N`,
        ),
      );
    });
    probe.listen(port, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : port));
    });
  });
}

/** Waits until the emulator answers to its credentials: another program on the port would not. */
async function untilHealthy(
  endpoint: string,
  service: ServiceProcess,
  { region, credentials }: EmulatorOptions,
): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  const sts = new STSClient({ endpoint, region, credentials, maxAttempts: 1 });
  try {
    while (Date.now() < deadline && !service.hasExited()) {
      const ask = sts.send(new GetCallerIdentityCommand({}), { abortSignal: AbortSignal.timeout(2000) });
      if (await ask.catch(() => undefined)) return;
      await sleep(100);
    }
  } finally {
    sts.destroy();
  }
  const log = await service.logTail();
  await service.stop();
  throw new UserError(
    `The emulator did not start:\n${log}\nIts log is ${service.logFile}. To reinstall it, remove .local/ and start again.`,
  );
}
