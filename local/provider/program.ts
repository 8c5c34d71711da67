import { readFileSync } from "node:fs";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import type { Properties } from "./kind";

/** A stack's configuration by full key, as texts: what Pulumi passes to a program. */
export type Config = Record<string, string>;

interface ProjectFile {
  name: string;
  main?: string;
  config?: Record<string, { default?: unknown } | undefined>;
}

/** A resource that the program registers. Components are not included: they exist by name only. */
export interface Registration {
  urn: string;
  type: string;
  name: string;
  inputs: Properties;
}

/** Creates the resources of a program, and answers its function calls. */
export interface Backing {
  create(resource: Registration): Promise<{ id: string; outs: Properties }>;
  invoke(token: string, inputs: Properties): Promise<Properties>;
}

/**
 * Runs the Pulumi program of a project in this process, under Pulumi's own runtime and without its CLI.
 *
 * It uses the runtime's mocks: a monitor inside the process that asks `backing` for each resource. The runtime does
 * everything else as usual: it waits for inputs and `dependsOn`, serialises functions and packs archives. It runs one
 * program at a time, because Pulumi keeps its state in the process.
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
      // The runtime keeps waiting, so that nothing that depends on this resource is created. If it got the error, each
      // output of the resource would raise it again as an unhandled rejection.
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
  // Errors outside of resources, in a callback for instance, arrive here.
  process.on("unhandledRejection", fail);
  const restoreTraces = withoutMappedTraces();
  try {
    // Pulumi runs a program in its project's folder, and packs functions from the node_modules that it finds there.
    if (home !== root) process.chdir(root);
    pulumi.runtime.setAllConfig(config);
    await pulumi.runtime.setMocks(mocks, project.name, stack, false);
    const program = async () => {
      const outputs = await pulumi.runtime.runInPulumiStack(async () => load(root, project.main ?? "index.ts"));
      await pulumi.runtime.disconnect();
      // Node reports an unhandled rejection only after all waiting work.
      await setImmediate();
      if (pulumi.log.hasErrors()) throw new Error("the program reported errors; they are printed above");
      return outputs as Record<string, unknown>;
    };
    return await Promise.race([program(), failure]);
  } catch (error) {
    // All work must have ended before the caller cleans up.
    await Promise.all(started);
    // Forget the resources that were not created: Pulumi would list them when the process ends.
    pulumi.runtime.resetOptions("", "", -1, "", "", false, "");
    throw error;
  } finally {
    restoreTraces();
    process.off("unhandledRejection", fail);
    if (home !== root) process.chdir(home);
  }
}

/** A stack's configuration as the Pulumi CLI passes it to a program: the stack's values over the project's defaults. */
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

/**
 * Loads the program without the module cache: its modules create resources while they run, and cached ones don't run.
 */
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

/**
 * Gives errors a stack of their message alone. Pulumi reads the stack of an error for every promise, and mapping its
 * frames to TypeScript would take a quarter of a deployment's time. An error whose stack is read afterwards has frames.
 *
 * @returns a function that gives back the frames
 */
export function withoutMappedTraces(): () => void {
  const { prepareStackTrace } = Error;
  Error.prepareStackTrace = (error) => String(error);
  return () => {
    if (prepareStackTrace) Error.prepareStackTrace = prepareStackTrace;
    else Reflect.deleteProperty(Error, "prepareStackTrace");
  };
}
