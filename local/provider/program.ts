import { readFileSync } from "node:fs";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import type { Properties } from "./kind";

/** The values of a stack's settings, by full key, as texts: what Pulumi hands to a program. */
export type Config = Record<string, string>;

interface ProjectFile {
  name: string;
  main?: string;
  config?: Record<string, { default?: unknown } | undefined>;
}

/** A resource that the program registers: not a component, which is nothing but a name. */
export interface Registration {
  urn: string;
  type: string;
  name: string;
  inputs: Properties;
}

/** What stands behind a program: it makes each resource exist, and answers each function. */
export interface Backing {
  create(resource: Registration): Promise<{ id: string; outs: Properties }>;
  invoke(token: string, inputs: Properties): Promise<Properties>;
}

/**
 * Runs the Pulumi program of a project in this process, under Pulumi's own runtime and without its CLI.
 *
 * It uses the runtime's mocks: a monitor inside the process that asks `backing` for each resource. The runtime does
 * everything else as ever: waits for inputs and `dependsOn`, serialises functions, packs archives. One program at a time: Pulumi
 * keeps its state in the process.
 *
 * @returns the stack's outputs, when every resource exists
 * @throws Error of the first resource that can't be created, naming it, or of the program itself
 */
export async function runProgram(
  root: string,
  stack: string,
  config: Config,
  backing: Backing,
): Promise<Record<string, unknown>> {
  const project = readProject(root);
  const started: Promise<unknown>[] = [];
  let fail: (error: unknown) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const guard = <T>(problem: string, work: Promise<T>): Promise<T> => {
    started.push(work.catch(() => {}));
    return work.catch((error: unknown) => {
      fail(new Error(`${problem}: ${messageOf(error)}`, { cause: error }));
      // The runtime is left waiting: what depends on this resource must not come to be, and an error handed to the runtime
      // would come back from each of the resource's outputs as an unhandled rejection.
      return new Promise<never>(() => {});
    });
  };
  const mocks: pulumi.runtime.Mocks = {
    newResource: ({ custom, type, name, inputs }) => {
      if (!custom) return { id: undefined, state: inputs };
      const urn = `urn:pulumi:${stack}::${project.name}::${type}::${name}`;
      const created = backing.create({ urn, type, name, inputs }).then(({ id, outs }) => ({ id, state: outs }));
      return guard(`${type} "${name}" could not be created`, created);
    },
    call: ({ token, inputs }) => guard(`${token} gave no answer`, backing.invoke(token, inputs)),
  };

  const home = process.cwd();
  // What the program raises outside of its resources, in a callback for instance, arrives here.
  process.on("unhandledRejection", fail);
  try {
    // Pulumi runs a program in its project's folder, and packs functions from the node_modules that it finds there.
    if (home !== root) process.chdir(root);
    pulumi.runtime.setAllConfig(config);
    await pulumi.runtime.setMocks(mocks, project.name, stack, false);
    const program = async () => {
      const outputs = await pulumi.runtime.runInPulumiStack(async () => load(root, project.main ?? "index.ts"));
      await pulumi.runtime.disconnect();
      // Node reports a rejection that nobody handled only when it is done with all that waits.
      await setImmediate();
      if (pulumi.log.hasErrors()) throw new Error("the program reported errors; they are printed above");
      return outputs as Record<string, unknown>;
    };
    return await Promise.race([program(), failure]);
  } catch (error) {
    // Nothing may still be at work when the caller begins to tidy up.
    await Promise.all(started);
    // Forget what never came to be; Pulumi would list it all when the process ends.
    pulumi.runtime.resetOptions("", "", -1, "", "", false, "");
    throw error;
  } finally {
    process.off("unhandledRejection", fail);
    if (home !== root) process.chdir(home);
  }
}

/** A stack's configuration as the Pulumi CLI hands it to a program: the project's defaults below the stack's own values. */
export function readConfig(root: string, stack: string): Config {
  const project = readProject(root);
  const file = path.join(root, `Pulumi.${stack}.yaml`);
  const own = (parse(readFileSync(file, "utf8")) as { config?: Record<string, unknown> } | null)?.config ?? {};
  const config: Config = {};
  const set = (key: string, value: unknown) => {
    const full = key.includes(":") ? key : `${project.name}:${key}`;
    config[full] = typeof value === "string" ? value : JSON.stringify(value);
  };
  for (const [key, declared] of Object.entries(project.config ?? {})) {
    if (declared?.default !== undefined) set(key, declared.default);
  }
  for (const [key, value] of Object.entries(own)) set(key, value);
  return config;
}

function readProject(root: string): ProjectFile {
  return parse(readFileSync(path.join(root, "Pulumi.yaml"), "utf8")) as ProjectFile;
}

/** Loads the program afresh: its resources come to be while its modules run, and a cached module runs no more. */
function load(root: string, main: string): unknown {
  const entry = path.join(root, main);
  for (const file of Object.keys(require.cache)) {
    if (file === entry || file.startsWith(path.join(root, "infra") + path.sep)) delete require.cache[file];
  }
  return { ...require(entry) };
}

function messageOf(error: unknown): string {
  const { name, message } = error as Error;
  return name && name !== "Error" && !message.startsWith(name) ? `${name}: ${message}` : message;
}
