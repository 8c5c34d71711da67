import { randomBytes } from "node:crypto";
import type { GlueClient } from "@aws-sdk/client-glue";
import type { S3Client } from "@aws-sdk/client-s3";
import type { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import type { Limits } from "./batch";
import { withMetrics } from "./embedded-metrics";

export interface Clients {
  s3: Pick<S3Client, "send">;
  glue: Pick<GlueClient, "send">;
  documents: Pick<DynamoDBDocumentClient, "send">;
}

export interface Clock {
  now(): number;
  sleep(ms: number): Promise<void>;
}

/** The environment variables of the pipeline's Lambdas. `LIMITS` is the JSON of `Limits`. */
export interface LambdaSettings {
  BUCKET: string;
  LEDGER_TABLE: string;
  WORKFLOW: string;
  TRANSFORM_JOB: string;
  PUBLISH_JOB: string;
  LIMITS: string;
  /** CloudWatch's namespace of the embedded metrics; without it, lines carry no metrics. */
  METRICS_NAMESPACE?: string;
}

export interface Settings {
  bucket: string;
  ledgerTable: string;
  workflow: string;
  transformJob: string;
  publishJob: string;
  limits: Limits;
  /** Larger objects must be copied in parts (CopyObject: 5 GB at most). */
  singleCopyBytes: number;
  /** Size of such a part; larger where 10,000 parts would not be enough. */
  copyPartBytes: number;
}

/** Bucket and ledger: all that a command needs. */
export interface Store {
  clients: Omit<Clients, "glue">;
  clock: Clock;
  log(line: Record<string, unknown>): void;
  settings: Pick<Settings, "bucket" | "ledgerTable">;
}

/** Everything outside the protocol's own code. Tests pass simulated clients and a virtual clock. */
export interface World extends Store {
  clients: Clients;
  /** A name that no other Lambda at work has. */
  holder: string;
  random(bytes: number): Uint8Array;
  settings: Settings;
}

type Environment = { [name: string]: string | undefined };

/** The world of a Lambda. Throws an error that names an environment variable that is missing or wrong. */
export function connect(clients: Clients, env: LambdaSettings | Environment): World {
  const variables = env as Environment;
  const namespace = variables.METRICS_NAMESPACE;
  return {
    clients,
    holder: randomBytes(8).toString("hex"),
    clock: {
      now: () => Date.now(),
      sleep: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)),
    },
    random: (bytes: number) => randomBytes(bytes),
    log: (line: Record<string, unknown>) => {
      const nowMs = Date.now();
      const full = { timestamp: new Date(nowMs).toISOString(), level: "INFO", ...line };
      // Not by console.log: with JSON logs, Lambda wraps its text, and CloudWatch finds no metrics in it.
      process.stdout.write(`${JSON.stringify(namespace ? withMetrics(full, namespace, nowMs) : full)}\n`);
    },
    settings: {
      bucket: variable(variables, "BUCKET"),
      ledgerTable: variable(variables, "LEDGER_TABLE"),
      workflow: variable(variables, "WORKFLOW"),
      transformJob: variable(variables, "TRANSFORM_JOB"),
      publishJob: variable(variables, "PUBLISH_JOB"),
      limits: parseLimits(variable(variables, "LIMITS")),
      singleCopyBytes: 5 * 1024 ** 3,
      copyPartBytes: 1024 ** 3,
    },
  };
}

function variable(env: Environment, name: string): string {
  const value = env[name];
  if (value) return value;
  throw new Error(`environment variable ${name} must be set`);
}

function parseLimits(text: string): Limits {
  let given: Record<string, unknown>;
  try {
    given = JSON.parse(text);
  } catch {
    throw new Error(`environment variable LIMITS must be a JSON object, not ${JSON.stringify(text)}`);
  }
  const whole = (key: keyof Limits, least: number): number => {
    const value = given?.[key];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
    throw new Error(
      `LIMITS.${key} must be a whole number of at least ${least}, not ${JSON.stringify(value) ?? "nothing"}`,
    );
  };
  return {
    maxBatchFiles: whole("maxBatchFiles", 1),
    maxBatchBytes: whole("maxBatchBytes", 1),
    maxAttempts: whole("maxAttempts", 1),
    retryPauseSeconds: whole("retryPauseSeconds", 0),
    maxRetryPauseSeconds: whole("maxRetryPauseSeconds", 0),
  };
}

/** Whether an AWS error has one of the names or HTTP status codes. */
export function isError(error: unknown, ...namesOrStatus: (string | number)[]): boolean {
  const { name, $metadata } = (error ?? {}) as { name?: string; $metadata?: { httpStatusCode?: number } };
  return namesOrStatus.some((one) => one === name || one === $metadata?.httpStatusCode);
}

/** An error's name and message as one text, short enough for the ledger. */
export function describe(error: unknown): string {
  const { name, message } = (error ?? {}) as { name?: string; message?: string };
  const text = message ? `${name && name !== "Error" ? `${name}: ` : ""}${message}` : String(error);
  return text.slice(0, 2000);
}
