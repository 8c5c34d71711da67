import type { Cloud } from "./provider/clients";
import type { Properties } from "./provider/kind";
import { type Config, type Registration, readConfig, runProgram } from "./provider/program";
import { LocalProvider, stableSuffix } from "./provider/provider";

export interface DeployOptions extends Omit<Cloud, "region"> {
  /** The project's folder, which holds Pulumi.yaml. */
  root: string;
  stack: "local";
  /** Endpoints for functions, by environment variable (`AWS_ENDPOINT_URL_S3`). Default: emulator and local Glue. */
  functionVariables?: Record<string, string>;
  /** Values over the stack's own, by full key. */
  changes?: Config;
  /** Called for each resource that exists now. */
  log?: (line: string) => void;
}

export interface Deployment {
  outputs: Record<string, unknown>;
  /** How many resources exist; components are not counted. */
  resources: number;
}

/**
 * Deploys the Pulumi program onto the local cloud. A second deployment updates the resources under the same names and
 * keeps their data.
 *
 * @throws Error of the first resource that can't be created, naming it, or of the program itself
 */
export async function deploy(options: DeployOptions): Promise<Deployment> {
  const { root, stack, functionVariables = {}, changes = {}, log = () => {}, ...cloud } = options;
  const config = { ...readConfig(root, stack), ...changes };
  const region = config["aws:region"];
  if (region === undefined) throw new Error(`Pulumi.${stack}.yaml must set aws:region`);
  const provider = await LocalProvider.connect({
    ...cloud,
    region,
    root,
    functionVariables,
    suffix: stableSuffix,
  });
  let resources = 0;
  const create = async ({ urn, type, inputs }: Registration) => {
    const checked = await provider.check(urn, undefined, inputs);
    const failures = checked.failures ?? [];
    if (failures.length > 0) throw new Error(failures.map(({ reason }) => reason).join("; "));
    const { id, outs } = await provider.create(urn, checked.inputs as Properties);
    resources += 1;
    log(`${type.split(":").at(-1)} ${id}`);
    return { id, outs: outs as Properties };
  };
  const invoke = async (token: string, inputs: Properties) =>
    (await provider.invoke(token, inputs)).outputs as Properties;
  try {
    const outputs = await runProgram(root, stack, config, { create, invoke });
    return { outputs, resources };
  } finally {
    provider.close();
  }
}
