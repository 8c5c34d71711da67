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
import { type Context, type Kind, type Properties, unsupportedInputs } from "./kind";
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
  /** Endpoints for functions, by environment variable (`AWS_ENDPOINT_URL_S3`). Glue's default is `glueEndpoint`. */
  functionVariables?: Record<string, string>;
  /** The project's folder. */
  root: string;
  /** The suffix of a generated name. Default: random, so that a resource and its replacement can exist side by side. */
  suffix?: (urn: string) => string;
}

/** The same suffix at every deployment, so that a second one finds the resources of the first. */
export function stableSuffix(urn: string): string {
  return createHash("sha256").update(urn).digest("hex").slice(0, 7);
}

/**
 * Pulumi's AWS provider for the local cloud: it creates each resource of the program on the emulator or on the local
 * Glue. An unsupported type, input or function is an error that names it. Nothing is skipped.
 */
export class LocalProvider implements Provider {
  private constructor(
    private readonly context: Context,
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
    closeClients(this.context.clients);
  }

  /** Sets the physical name, and refuses inputs that the local cloud does not support. */
  async check(urn: string, olds: Properties | undefined, news: Properties): Promise<CheckResult> {
    const { kind, type, name } = find(urn);
    const failures = unsupportedInputs(kind, news).map((property) => ({
      property,
      reason: `the local cloud has no ${property} for ${type}`,
    }));
    const inputs = { ...news };
    if (kind.name && inputs[kind.name] === undefined) {
      const before = olds?.[kind.name];
      inputs[kind.name] = isGenerated(before, name) ? before : `${name}-${this.suffix(urn)}`.toLowerCase();
    }
    return { inputs, failures };
  }

  /** `paths`: the changed inputs, down to members such as `command.name`. */
  async diff(_id: string, urn: string, olds: Properties, news: Properties): Promise<DiffResult & { paths: string[] }> {
    const { kind, name } = find(urn);
    const changed: string[] = [];
    for (const key of new Set([...Object.keys(news), ...Object.keys(olds)])) {
      const isInput = kind.inputs.some((one) => one === key || one.startsWith(`${key}.`));
      if (news[key] === undefined && kind.sticky?.includes(key as never)) continue;
      if (isInput && !(await isSame(olds[key], news[key]))) changed.push(key);
    }
    const replaces = changed.filter((key) => key === kind.name || kind.fixed?.includes(key as never));
    // A name that the program sets can't exist twice at a time. Otherwise the replacement gets a new generated name.
    const fixed = kind.name !== undefined && news[kind.name] === olds[kind.name] && !isGenerated(news[kind.name], name);
    const paths = changed.flatMap((key) => changedPaths(key, olds[key], news[key]));
    return { changes: changed.length > 0, replaces, deleteBeforeReplace: replaces.length > 0 && fixed, paths };
  }

  async create(urn: string, inputs: Properties): Promise<CreateResult> {
    return this.put(urn, inputs);
  }

  /**
   * A resource's properties with changes made by hand, as far as its kind's `actual` reads them; nothing if it is gone.
   */
  async read(id: string, urn: string, props: Properties = {}): Promise<ReadResult> {
    const { kind, type } = find(urn);
    try {
      await kind.exists(id, props as never, this.context);
      const actual: Properties = (await kind.actual?.(id, props as never, this.context)) ?? {};
      if (props.tags !== undefined) actual.tags = await readTags(type, id, props, this.context.clients);
      // Ignore inputs that the program did not set: any value of the cloud is right.
      const set = Object.entries(actual).filter(([key]) => props[key] !== undefined);
      return { id, props: { ...props, ...Object.fromEntries(set) } };
    } catch (error) {
      if (isMissing(error)) return {};
      throw error;
    }
  }

  async update(_id: string, urn: string, olds: Properties, news: Properties): Promise<UpdateResult> {
    const sticky = (find(urn).kind.sticky ?? []).filter((key) => news[key] === undefined && olds[key] !== undefined);
    const kept = Object.fromEntries(sticky.map((key) => [key, olds[key]]));
    return { outs: (await this.put(urn, { ...kept, ...news })).outs };
  }

  private async put(urn: string, inputs: Properties): Promise<{ id: string; outs: Properties }> {
    const { kind, type } = find(urn);
    const { id, outs: added } = await kind.put(inputs as never, this.context);
    const outs = { ...inputs, ...added };
    if (kind.inputs.includes("tags")) await putTags(type, id, outs, this.context.clients);
    return { id, outs };
  }

  async delete(id: string, urn: string, props: Properties): Promise<void> {
    try {
      await find(urn).kind.remove(id, props as never, this.context);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async invoke(token: string, _inputs: Properties): Promise<InvokeResult> {
    const { region, account } = this.context;
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
        throw new Error(`the local cloud does not support the function ${token}`);
    }
  }
}

/** Whether `check` generated a physical name for the resource `name`. If not, the program set it. */
function isGenerated(physical: unknown, name: string): boolean {
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
  if (!kind) throw new Error(`the local cloud does not support the resource type ${type}`);
  return { kind, type, name: name.join("::") };
}

/** The paths of the changed members of an input; the input's own path if it has no members, before or after. */
function changedPaths(key: string, before: unknown, after: unknown): string[] {
  if (!isRecord(before) || !isRecord(after)) return [key];
  const members = Object.keys({ ...before, ...after });
  const changed = members.filter((one) => !isDeepStrictEqual(before[one], after[one]));
  return changed.map((one) => (/^\w+$/.test(one) ? `${key}.${one}` : `${key}["${one}"]`));
}

/** Assets and archives are no records: each is one value. */
function isRecord(value: unknown): value is Properties {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
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
