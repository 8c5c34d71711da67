import { type EngineEvent, LocalWorkspace, type Stack } from "@pulumi/pulumi/automation";
import { withoutMappedTraces } from "../../local/provider/program";
import type { Project } from "./project";

/** A resource as the stack's state has it. */
interface StateResource {
  urn: string;
  type: string;
  id?: string;
  custom: boolean;
  protect?: boolean;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
}

interface Outcome {
  /**
   * The changes, such as `update Function music-streams-sense`, sorted. Resources that stay as they are don't count.
   */
  changes: string[];
  /** What the engine printed. */
  output: string;
}

interface PolicyOptions {
  /** Folders of policy packs. */
  policyPacks?: string[];
}

/** A stack that the real engine works on. */
export class DeployedStack {
  private constructor(private readonly stack: Stack) {}

  /** Opens or creates a stack. `env` says where the engine finds its plugins and keeps its state. */
  static async open(name: string, project: Project, pulumiHome: string, env: Record<string, string>) {
    const stack = await LocalWorkspace.createOrSelectStack(
      { stackName: name, projectName: "music-streams", program: async () => project.run() },
      // Paths in archives start from the project's folder.
      { workDir: project.root, pulumiHome, envVars: env },
    );
    return new DeployedStack(stack);
  }

  preview(options: PolicyOptions = {}): Promise<Outcome> {
    return watched((watch) => this.stack.preview({ ...watch, ...options }));
  }

  up(options: PolicyOptions = {}): Promise<Outcome> {
    return watched((watch) => this.stack.up({ ...watch, ...options }));
  }

  refresh(): Promise<Outcome> {
    return watched((watch) => this.stack.refresh(watch));
  }

  previewDestroy(): Promise<Outcome> {
    return watched((watch) => this.stack.previewDestroy(watch));
  }

  /** Destroys without the preview of `pulumi destroy`. `exclude`: patterns of URNs that stay. */
  destroy(options: { exclude?: string[] } = {}): Promise<Outcome> {
    return watched((watch) => this.stack.destroy({ ...watch, ...options }));
  }

  async outputs(): Promise<Record<string, unknown>> {
    const outputs = await this.stack.outputs();
    return Object.fromEntries(Object.entries(outputs).map(([key, { value }]) => [key, value]));
  }

  /** The stack's resources, without components, providers and the stack itself. */
  async resources(): Promise<StateResource[]> {
    const { deployment } = await this.stack.exportStack();
    const all = deployment.resources as StateResource[];
    return all.filter(({ custom, type }) => custom && !type.startsWith("pulumi:"));
  }
}

/** The label of a URN, such as `Function music-streams-sense`. */
export function labelOf(urn: string): string {
  const [, , types = "", name] = urn.split("::");
  return `${types.split(":").at(-1)} ${name}`;
}

interface Watch {
  onOutput: (text: string) => void;
  onEvent: (event: EngineEvent) => void;
}

async function watched(operate: (watch: Watch) => Promise<unknown>): Promise<Outcome> {
  const changes = new Set<string>();
  let output = "";
  const restoreTraces = withoutMappedTraces();
  try {
    await operate({
      onOutput: (text) => {
        output += text;
      },
      onEvent: ({ resourcePreEvent, resOutputsEvent }) => {
        // A refresh reports only at the end what it found.
        const { op, urn } = (resOutputsEvent ?? resourcePreEvent)?.metadata ?? {};
        if (urn === undefined || op === undefined || op === "same" || op === "refresh") return;
        // A replacement is reported in steps.
        changes.add(`${/replace/.test(op) ? "replace" : op} ${labelOf(urn)}`);
      },
    });
  } finally {
    restoreTraces();
  }
  return { changes: [...changes].sort(), output };
}
