import { createHash, randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { asset } from "@pulumi/pulumi";
import type {
  CheckResult,
  CreateResult,
  DiffResult,
  InvokeResult,
  Provider,
  ReadResult,
  UpdateResult,
} from "@pulumi/pulumi/provider";
import { catalogKinds } from "./catalog";
import { type Cloud, closeClients, createClients, readAccount } from "./clients";
import { cloudwatchKinds } from "./cloudwatch";
import { dynamodbKinds } from "./dynamodb";
import { eventKinds } from "./events";
import { glueKinds } from "./glue";
import { iamKinds } from "./iam";
import { type Kind, type Properties, type Surroundings, unknownInputs } from "./kind";
import { lambdaKinds } from "./lambda";
import { logsKinds } from "./logs";
import { s3Kinds } from "./s3";
import { snsKinds } from "./sns";
import { sqsKinds } from "./sqs";
import { putTags, readTags } from "./tags";

const KINDS: Record<string, Kind> = {
  ...catalogKinds,
  ...cloudwatchKinds,
  ...dynamodbKinds,
  ...eventKinds,
  ...glueKinds,
  ...iamKinds,
  ...lambdaKinds,
  ...logsKinds,
  ...s3Kinds,
  ...snsKinds,
  ...sqsKinds,
};

export interface ProviderOptions extends Cloud {
  /** Where functions find a service, by the variable's name (`AWS_ENDPOINT_URL_S3`); Glue at `glueEndpoint` unless it says otherwise. */
  functionVariables?: Record<string, string>;
  /** The project's folder. */
  root: string;
  /** What tells two physical names of one resource apart. By default random, so that a replacement can stand beside what it replaces. */
  suffix?: (urn: string) => string;
}

/** A suffix that is the same each time, for a cloud whose resources are to be found again. */
export function stableSuffix(urn: string): string {
  return createHash("sha256").update(urn).digest("hex").slice(0, 7);
}

/**
 * Pulumi's AWS provider for the local cloud: each resource that the program registers becomes a real one on the emulator
 * or on the local Glue. A type, an input or a function that it doesn't know is an error that names it, never skipped.
 */
export class LocalProvider implements Provider {
  private constructor(
    private readonly here: Surroundings,
    private readonly suffix: (urn: string) => string,
  ) {}

  /** @throws Error when no emulator answers at the endpoint */
  static async connect(options: ProviderOptions): Promise<LocalProvider> {
    const { glueEndpoint, region, root } = options;
    const clients = createClients(options);
    const account = await readAccount(clients).catch((error: Error) => {
      closeClients(clients);
      throw new Error(`${options.endpoint} does not answer as the emulator: ${error.message}`);
    });
    const suffix = options.suffix ?? (() => randomBytes(4).toString("hex").slice(0, 7));
    const functionVariables = { AWS_ENDPOINT_URL_GLUE: glueEndpoint, ...options.functionVariables };
    return new LocalProvider({ clients, root, region, account, functionVariables }, suffix);
  }

  close(): void {
    closeClients(this.here.clients);
  }

  /** Fills in the physical name, and refuses what the local cloud can't carry out. */
  async check(urn: string, olds: Properties | undefined, news: Properties): Promise<CheckResult> {
    const { kind, type, name } = find(urn);
    const failures = unknownInputs(kind, news).map((property) => ({
      property,
      reason: `the local cloud has no ${property} for ${type}`,
    }));
    const inputs = { ...news };
    if (kind.name && inputs[kind.name] === undefined) {
      const before = olds?.[kind.name];
      inputs[kind.name] = isMadeUp(before, name) ? before : `${name}-${this.suffix(urn)}`.toLowerCase();
    }
    return { inputs, failures };
  }

  async diff(_id: string, urn: string, olds: Properties, news: Properties): Promise<DiffResult> {
    const { kind, name } = find(urn);
    const changed: string[] = [];
    for (const key of new Set([...Object.keys(news), ...Object.keys(olds)])) {
      const isInput = kind.inputs.some((one) => one === key || one.startsWith(`${key}.`));
      if (isInput && !(await isSame(olds[key], news[key]))) changed.push(key);
    }
    const replaces = changed.filter((key) => key === kind.name || kind.fixed?.includes(key as never));
    // A name that the program fixes can't be had twice at a time; any other is made up anew for the replacement.
    const fixed = kind.name !== undefined && news[kind.name] === olds[kind.name] && !isMadeUp(news[kind.name], name);
    return { changes: changed.length > 0, replaces, deleteBeforeReplace: replaces.length > 0 && fixed };
  }

  async create(urn: string, inputs: Properties): Promise<CreateResult> {
    return this.put(urn, inputs);
  }

  /** Says whether a resource exists, and which of its settings somebody changed; a kind's `actual` says which it knows of. */
  async read(id: string, urn: string, props: Properties = {}): Promise<ReadResult> {
    const { kind, type } = find(urn);
    try {
      await kind.exists(id, props as never, this.here);
      const actual: Properties = (await kind.actual?.(id, props as never, this.here)) ?? {};
      if (props.tags !== undefined) actual.tags = await readTags(type, id, props, this.here.clients);
      // What the program left open is whatever the cloud has.
      const set = Object.entries(actual).filter(([key]) => props[key] !== undefined);
      return { id, props: { ...props, ...Object.fromEntries(set) } };
    } catch (error) {
      if (isMissing(error)) return {};
      throw error;
    }
  }

  async update(_id: string, urn: string, _olds: Properties, news: Properties): Promise<UpdateResult> {
    return { outs: (await this.put(urn, news)).outs };
  }

  private async put(urn: string, inputs: Properties): Promise<{ id: string; outs: Properties }> {
    const { kind, type } = find(urn);
    const { id, outs: added } = await kind.put(inputs as never, this.here);
    const outs = { ...inputs, ...added };
    if (kind.inputs.includes("tags")) await putTags(type, id, outs, this.here.clients);
    return { id, outs };
  }

  async delete(id: string, urn: string, props: Properties): Promise<void> {
    try {
      await find(urn).kind.remove(id, props as never, this.here);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async invoke(token: string, _inputs: Properties): Promise<InvokeResult> {
    const { region, account } = this.here;
    switch (token) {
      case "aws:index/getCallerIdentity:getCallerIdentity":
        return { outputs: { id: account, accountId: account, arn: `arn:aws:iam::${account}:root`, userId: account } };
      case "aws:index/getPartition:getPartition":
        return {
          outputs: { id: "aws", partition: "aws", dnsSuffix: "amazonaws.com", reverseDnsPrefix: "com.amazonaws" },
        };
      case "aws:index/getRegion:getRegion":
        return { outputs: { id: region, region, name: region, description: region, endpoint: "" } };
      default:
        throw new Error(`the local cloud does not know the function ${token}`);
    }
  }
}

/** Whether a physical name is one that `check` made up for the resource `name`, and not the program's own. */
function isMadeUp(physical: unknown, name: string): boolean {
  const prefix = `${name}-`.toLowerCase();
  return (
    typeof physical === "string" && physical.startsWith(prefix) && /^[0-9a-z]{7}$/.test(physical.slice(prefix.length))
  );
}

/** The kind of a URN such as `urn:pulumi:local::music-streams::a:b:C$aws:s3/bucket:Bucket::name`. */
function find(urn: string): { kind: Kind; type: string; name: string } {
  const [, , types = "", ...name] = urn.split("::");
  const type = types.split("$").at(-1) ?? "";
  const kind = KINDS[type];
  if (!kind) throw new Error(`the local cloud does not know the resource type ${type}`);
  return { kind, type, name: name.join("::") };
}

/** Equality by content, assets and archives included. */
async function isSame(one: unknown, other: unknown): Promise<boolean> {
  return isDeepStrictEqual(await settled(one), await settled(other));
}

async function settled(value: unknown): Promise<unknown> {
  if (value instanceof asset.AssetArchive) {
    const entries = Object.entries(await value.assets).sort(([a], [b]) => (a < b ? -1 : 1));
    return Promise.all(entries.map(async ([path, inner]) => [path, await settled(inner)]));
  }
  if (value instanceof asset.StringAsset) return { text: await value.text };
  if (value instanceof asset.FileAsset || value instanceof asset.FileArchive) return { path: await value.path };
  return value;
}

function isMissing(error: unknown): boolean {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  return (
    $metadata?.httpStatusCode === 404 ||
    /^(NoSuch\w+|NotFound|EntityNotFoundException|ResourceNotFoundException|\w+NotFoundError|QueueDoesNotExist)$/.test(
      name ?? "",
    )
  );
}
