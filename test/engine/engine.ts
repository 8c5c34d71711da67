import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { startEmulator } from "../../local/emulator";
import { startLocalGlue } from "../../local/glue/server";
import { type Clients, closeClients, createClients } from "../../local/provider/clients";
import { readConfig } from "../../local/provider/program";
import { LocalProvider } from "../../local/provider/provider";
import { serveProvider } from "../../local/provider/server";
import { testCredentials } from "../support/credentials";
import { ROOT } from "../support/program-record";
import { PYTHON } from "../support/provider-cloud";
import { DeployedStack } from "./deployed-stack";
import { Project } from "./project";

/** A real Pulumi engine, and a cloud on this machine to deploy to. All their files lie below one temporary folder. */
export interface Engine {
  clients: Clients;
  /** Another copy of the project. */
  copyProject(name: string, modified?: Date): Promise<Project>;
  /** A stack, deployed from one of the copies. All copies share the stacks' states. */
  openStack(name: string, project: Project, env?: Record<string, string>): Promise<DeployedStack>;
  close(): Promise<void>;
}

/** Starts the emulator, the local Glue and the local provider. The engine is the `pulumi` on PATH. */
export async function startEngine(): Promise<Engine> {
  const folder = await mkdtemp(path.join(tmpdir(), "music-streams-engine-"));
  const place = process.cwd();
  const closers: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true }), () => process.chdir(place)];
  const close = async () => {
    for (const step of closers.splice(0).reverse()) await step();
  };
  try {
    const region = readConfig(ROOT, "dev")["aws:region"]!;
    const emulator = await startEmulator({
      workDir: path.join(folder, "emulator"),
      python: PYTHON,
      port: 0,
      region,
      credentials: testCredentials,
    });
    closers.push(() => emulator.close());
    const glue = await startLocalGlue({
      emulatorEndpoint: emulator.endpoint,
      region,
      credentials: testCredentials,
      workDir: path.join(folder, "glue"),
      // No job runs here.
      python: PYTHON,
      sparkSubmit: "spark-submit",
      sparkJars: [],
    });
    closers.push(() => glue.close());
    const where = {
      endpoint: emulator.endpoint,
      glueEndpoint: glue.endpoint,
      region,
      credentials: testCredentials,
    };
    const provider = await LocalProvider.connect({ ...where, root: ROOT });
    closers.push(() => provider.close());
    const served = await serveProvider(provider);
    closers.push(() => served.close());
    const clients = createClients(where);
    closers.push(() => closeClients(clients));
    const state = path.join(folder, "state");
    await mkdir(state);
    const environment = {
      PATH: [await policyStarter(folder), process.env.PATH].join(path.delimiter),
      PULUMI_BACKEND_URL: `file://${state}`,
      PULUMI_CONFIG_PASSPHRASE: "of a test",
      PULUMI_DEBUG_PROVIDERS: `aws:${served.port}`,
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      PULUMI_SKIP_UPDATE_CHECK: "true",
    };
    return {
      clients,
      copyProject: (name, modified) => Project.copy(path.join(folder, name), modified),
      openStack: (name, project, env) =>
        DeployedStack.open(name, project, path.join(folder, "home"), { ...environment, ...env }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Writes the script that starts policy packs for Node, and returns its folder. Pulumi's releases have such a script; a
 * CLI built from its Go sources has not. Pulumi compiles a pack with ts-node, which checks all types of the AWS package
 * each time. Here it does so the first time; later the project's own compiler takes the files that ts-node ignores.
 */
async function policyStarter(folder: string): Promise<string> {
  const bin = path.join(folder, "bin");
  const modules = path.join(ROOT, "node_modules");
  const checked = path.join(folder, "policy-pack-is-checked");
  const compiler = path.join(ROOT, "local", "toolchain", "compile.cjs");
  const start = (options: string) =>
    `exec ${modules}/.bin/node ${options} ${modules}/@pulumi/pulumi/cmd/run-policy-pack "$@"`;
  const script = `#!/bin/sh
unset TS_NODE_PROJECT
if [ -e ${checked} ]; then
  export TS_NODE_IGNORE=.
  ${start(`--require ${compiler}`)}
fi
touch ${checked}
${start("")}
`;
  await mkdir(bin);
  await writeFile(path.join(bin, "pulumi-analyzer-policy-nodejs"), script, { mode: 0o755 });
  return bin;
}
