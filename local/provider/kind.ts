import { runtime, type Unwrap } from "@pulumi/pulumi";
import type { Clients } from "./clients";

/** A resource's properties, as Pulumi names them. */
export type Properties = Record<string, unknown>;

/** Stands for a value that a preview can't know yet. */
export const UNKNOWN = runtime.unknownValue;

/** What a kind works with. */
export interface Surroundings {
  clients: Clients;
  /** Folder that relative asset paths start from. */
  root: string;
  region: string;
  account: string;
  /** Variables that every function of the stack gets besides its own: where it finds Glue, above all. */
  functionVariables: Record<string, string>;
}

/** How one type of resource exists on the local cloud. */
export interface Kind<Args = Properties> {
  /** Inputs that are carried out. `a.b` names a property of the object, or of the list's objects, in `a`; `a` is all of it. */
  inputs: readonly string[];
  /** Inputs that mean nothing on a laptop: accepted, and not carried out. */
  unused?: readonly string[];
  /** The input that holds the physical name, made up where the program leaves it open. */
  name?: keyof Args & string;
  /** Inputs that can't change in place. The name is one of them. */
  fixed?: readonly (keyof Args & string)[];
  /** Creates the resource, or brings the one that exists to these inputs. Gives its id and what AWS adds to the inputs. */
  put(args: Unwrap<Args>, here: Surroundings): Promise<{ id: string; outs?: Properties }>;
  exists(id: string, args: Unwrap<Args>, here: Surroundings): Promise<unknown>;
  /** The inputs as they are now, those that the cloud tells of and that somebody may have changed by hand. */
  actual?(id: string, args: Unwrap<Args>, here: Surroundings): Promise<Partial<Unwrap<Args>>>;
  remove(id: string, args: Unwrap<Args>, here: Surroundings): Promise<unknown>;
}

/** Declares a kind by the arguments of the real resource's class. */
export function kind<Args>(it: Kind<Args>): Kind {
  return it as unknown as Kind;
}

/** The paths of a resource's inputs that its kind does not know. */
export function unknownInputs(it: Kind, value: unknown, prefix = ""): string[] {
  const known = [...it.inputs, ...(it.unused ?? [])];
  if (value === UNKNOWN) return [];
  if (Array.isArray(value)) return value.flatMap((item) => unknownInputs(it, item, prefix));
  return Object.entries(value as Properties).flatMap(([key, item]) => {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    if (item === undefined || item === null || known.includes(path)) return [];
    const holdsKnown = known.some((one) => one.startsWith(`${path}.`));
    if (holdsKnown && item === UNKNOWN) return [];
    return holdsKnown && typeof item === "object" ? unknownInputs(it, item, path) : [path];
  });
}

/** Runs `make`; where AWS answers with one of `names` (it exists already), runs `otherwise`. */
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

/** The error for what a list did not hold, named as AWS names it where there is an operation for the one thing. */
export function notFound(message: string): Error {
  return Object.assign(new Error(message), { name: "ResourceNotFoundException" });
}
