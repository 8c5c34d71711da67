import { type EngineEvent, LocalWorkspace, type Stack } from "@pulumi/pulumi/automation";
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
   * What happens to which resource, such as `update Function music-streams-sense`, sorted. What stays as it is does not
   * count.
   */
  changes: string[];
  /** What the engine printed. */
  output: string;
}

interface PolicyOptions {
  /** Folders. */
  policyPacks?: string[];
}

/** A stack whose operations are those of the real engine. */
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

  /** Without the preview by which `pulumi destroy` begins. `exclude`: patterns of URNs that stay. */
  destroy(options: { exclude?: string[] } = {}): Promise<Outcome> {
    return watched((watch) => this.stack.destroy({ ...watch, ...options }));
  }

  async outputs(): Promise<Record<string, unknown>> {
    const outputs = await this.stack.outputs();
    return Object.fromEntries(Object.entries(outputs).map(([key, { value }]) => [key, value]));
  }

  /** The resources that the stack has: components, providers and the stack itself left out. */
  async resources(): Promise<StateResource[]> {
    const { deployment } = await this.stack.exportStack();
    const all = deployment.resources as StateResource[];
    return all.filter(({ custom, type }) => custom && !type.startsWith("pulumi:"));
  }
}

/** `Function music-streams-sense`, of a URN. */
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
  await operate({
    onOutput: (text) => {
      output += text;
    },
    onEvent: ({ resourcePreEvent, resOutputsEvent }) => {
      // A refresh tells only at the end what it found.
      const { op, urn } = (resOutputsEvent ?? resourcePreEvent)?.metadata ?? {};
      if (urn === undefined || op === undefined || op === "same" || op === "refresh") return;
      // A replacement is told step by step.
      changes.add(`${/replace/.test(op) ? "replace" : op} ${labelOf(urn)}`);
    },
  });
  return { changes: [...changes].sort(), output };
}
