import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { S3Client } from "@aws-sdk/client-s3";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import type { Credentials } from "../local/credentials";
import { findRunningCloud } from "../local/run-file";
import type { Store } from "../runtime/world";
import { NoCloudError } from "../terminal/errors";

const outputNames = [
  "bucketName",
  "referenceLocation",
  "ledgerTableName",
  "metricsTableName",
  "workflowName",
  "transformJobName",
  "publishJobName",
  "senseFunctionName",
  "archiveFunctionName",
] as const;

/** The outputs of a stack (docs/architecture.md, "Outputs of a stack"). */
export type StackOutputs = Record<(typeof outputNames)[number], string>;

/** A pipeline to work on: the local cloud's or a deployed stack's. */
export interface Target {
  isLocal: boolean;
  /** For messages: "the local cloud", "the stack dev". */
  name: string;
  outputs: StackOutputs;
  /** The workflow's page in the AWS console; not on the local cloud. */
  workflowPage?: string;
  /** Settings of AWS clients that a command makes itself. */
  access: { endpoint?: string; region?: string; credentials?: Credentials; maxAttempts: number };
  s3: S3Client;
  dynamodb: DynamoDBClient;
  documents: DynamoDBDocumentClient;
  lambda: LambdaClient;
}

export interface TargetOptions {
  /** A deployed stack's name; the local cloud, if not given. */
  stack?: string | undefined;
  /** The project's root: where .local/ and Pulumi.yaml lie. */
  root: string;
  env: NodeJS.ProcessEnv;
}

/**
 * Opens the pipeline that a command works on. Throws a NoCloudError when the local cloud isn't running, when there is
 * no Pulumi CLI, when there is no such stack, or when the stack isn't deployed.
 */
export async function openTarget(options: TargetOptions): Promise<Target> {
  return options.stack === undefined
    ? localTarget(await findRunningCloud(options.root))
    : openStack(options.stack, options);
}

/** The target of a local cloud whose addresses are known. */
export function localTarget(cloud: {
  endpoint: string;
  region: string;
  credentials: Credentials;
  outputs: Record<string, unknown>;
}): Target {
  const { endpoint, region, credentials } = cloud;
  return connect(true, "the local cloud", cloud.outputs, { endpoint, region, credentials });
}

function connect(
  isLocal: boolean,
  name: string,
  found: Record<string, unknown>,
  access: { endpoint?: string; region?: string; credentials?: Credentials },
): Target {
  const missing = outputNames.filter((output) => typeof found[output] !== "string" || found[output] === "");
  if (missing.length > 0) {
    throw new NoCloudError(
      `${name} has no output ${missing.join(", ")}: it isn't deployed, or another version of this program deployed it.`,
    );
  }
  const settings = { ...access, maxAttempts: 5 };
  const dynamodb = new DynamoDBClient(settings);
  const { workflow } = (found.consoleLinks ?? {}) as { workflow?: unknown };
  return {
    ...(!isLocal && typeof workflow === "string" && { workflowPage: workflow }),
    isLocal,
    name,
    outputs: Object.fromEntries(outputNames.map((output) => [output, found[output]])) as StackOutputs,
    access: settings,
    s3: new S3Client({ ...settings, forcePathStyle: isLocal }),
    dynamodb,
    documents: DynamoDBDocumentClient.from(dynamodb),
    lambda: new LambdaClient(settings),
  };
}

/** A target's bucket and ledger, as the functions of runtime/ take them. */
export function storeOf(target: Target, log: Store["log"] = () => {}): Store {
  return {
    clients: { s3: target.s3, documents: target.documents },
    clock: { now: () => Date.now(), sleep },
    log,
    settings: { bucket: target.outputs.bucketName, ledgerTable: target.outputs.ledgerTableName },
  };
}

async function openStack(stack: string, { root, env }: TargetOptions): Promise<Target> {
  const name = `the stack ${stack}`;
  const answer = await pulumi(["stack", "output", "--json", "--stack", stack], root, env);
  let outputs: Record<string, unknown>;
  try {
    outputs = JSON.parse(answer || "{}") as Record<string, unknown>;
  } catch {
    throw new NoCloudError(
      `pulumi stack output --json --stack ${stack} did not answer with JSON:\n${answer.slice(0, 500)}`,
    );
  }
  if (Object.keys(outputs).length === 0)
    throw new NoCloudError(`${name} has no outputs: deploy it first, with pulumi up --stack ${stack}`);
  const region = (await configuredRegion(stack, root, env)) || env.AWS_REGION || env.AWS_DEFAULT_REGION;
  return connect(false, name, outputs, region ? { region } : {});
}

/** The region of the stack's configuration; empty when it sets none, and the environment or the AWS profile decides. */
async function configuredRegion(stack: string, root: string, env: NodeJS.ProcessEnv): Promise<string> {
  return pulumi(["config", "get", "aws:region", "--stack", stack], root, env).catch(() => "");
}

async function pulumi(args: string[], root: string, env: NodeJS.ProcessEnv): Promise<string> {
  try {
    const limits = { timeout: 120_000, maxBuffer: 64 * 1024 * 1024 };
    const quiet = { PULUMI_SKIP_UPDATE_CHECK: "true" };
    const { stdout } = await promisify(execFile)("pulumi", [...args, "--non-interactive"], {
      cwd: root,
      env: { ...quiet, ...env },
      ...limits,
    });
    return stdout.trim();
  } catch (error) {
    const failure = error as NodeJS.ErrnoException & { stderr?: string; killed?: boolean };
    if (failure.code === "ENOENT") {
      throw new NoCloudError(
        "--stack needs the Pulumi CLI, and there is no pulumi on the PATH. Install it (https://www.pulumi.com/docs/install/) " +
          "and log in (pulumi login). For the local cloud, leave --stack out.",
      );
    }
    const why = failure.killed ? "no answer within two minutes" : failure.stderr?.trim() || failure.message;
    throw new NoCloudError(`pulumi ${args.join(" ")} failed:\n${why}`);
  }
}
