import { runtime, type Unwrap } from "@pulumi/pulumi";
import type { Clients } from "./clients";

/** A resource's properties, as Pulumi names them. */
export type Properties = Record<string, unknown>;

/** Stands for a value that is unknown in a preview. */
export const UNKNOWN = runtime.unknownValue;

/** What every kind needs to work. */
export interface Context {
  clients: Clients;
  /** Folder that relative asset paths start from. */
  root: string;
  region: string;
  account: string;
  /** Environment variables added to every function of the stack, such as Glue's endpoint. */
  functionVariables: Record<string, string>;
}

/** How one type of resource exists on the local cloud. */
export interface Kind<Args = Properties> {
  /** Supported inputs. `a.b` names a property of the object, or of the list's objects, in `a`. `a` means all of it. */
  inputs: readonly string[];
  /** Inputs that have no effect on a laptop: accepted and ignored. */
  unused?: readonly string[];
  /** The input with the physical name, which is generated if the program sets none. */
  name?: keyof Args & string;
  /** Inputs that can't change in place, besides the name. */
  fixed?: readonly (keyof Args & string)[];
  /** Inputs whose last value stays when the program no longer sets them: "optional and computed" in AWS's provider. */
  sticky?: readonly (keyof Args & string)[];
  /**
   * Creates the resource, or updates the existing one. Returns its id and the properties that AWS adds to the inputs.
   */
  put(args: Unwrap<Args>, context: Context): Promise<{ id: string; outs?: Properties }>;
  /** Throws AWS's error if the resource does not exist. */
  exists(id: string, args: Unwrap<Args>, context: Context): Promise<unknown>;
  /** The current values of inputs that somebody may have changed by hand, as far as the cloud returns them. */
  actual?(id: string, args: Unwrap<Args>, context: Context): Promise<Partial<Unwrap<Args>>>;
  remove(id: string, args: Unwrap<Args>, context: Context): Promise<unknown>;
}

/** Declares a kind by the arguments of the real resource's class. */
export function kind<Args>(it: Kind<Args>): Kind {
  return it as unknown as Kind;
}

/** The paths of a resource's inputs that its kind does not support. */
export function unsupportedInputs(it: Kind, value: unknown, prefix = ""): string[] {
  const supported = [...it.inputs, ...(it.unused ?? [])];
  if (value === UNKNOWN) return [];
  if (Array.isArray(value)) return value.flatMap((item) => unsupportedInputs(it, item, prefix));
  return Object.entries(value as Properties).flatMap(([key, item]) => {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    if (item === undefined || item === null || supported.includes(path)) return [];
    const isPartial = supported.some((one) => one.startsWith(`${path}.`));
    if (isPartial && item === UNKNOWN) return [];
    return isPartial && typeof item === "object" ? unsupportedInputs(it, item, path) : [path];
  });
}

/** Runs `make`. If AWS answers with an error in `names` (the resource exists already), runs `otherwise`. */
export async function unless<A, B>(
  names: string[],
  make: () => Promise<A>,
  otherwise: () => Promise<B>,
): Promise<A | B> {
  try {
    return await make();
  } catch (error) {
    if (names.includes((error as Error).name)) return otherwise();
    throw error;
  }
}

/** Tags as most services write them. */
export function tagList(tags: Record<string, string> | undefined): { Key: string; Value: string }[] {
  return Object.entries(tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
}

/** The error for something missing in a list, named as AWS names it where one operation reads one thing. */
export function notFound(message: string): Error {
  return Object.assign(new Error(message), { name: "ResourceNotFoundException" });
}
