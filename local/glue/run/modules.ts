import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { LaunchError } from "../errors";
import type { LocalGlueOptions } from "../options";
import { installerEnvironment } from "./environment";
import { runCommand } from "./process";

/** Installs the Python modules of jobs: each set once, for all runs. */
export class Modules {
  private readonly installing = new Map<string, Promise<string>>();
  private pythonVersion: Promise<string> | undefined;

  constructor(private readonly options: LocalGlueOptions) {}

  /**
   * A folder with the given modules (names with versions, or files) and their dependencies. Each exact set has one
   * folder, kept for later runs. A folder appears complete or not at all.
   * @throws LaunchError with pip's message
   */
  async folder(wanted: readonly string[], installerOption: string | undefined, signal: AbortSignal): Promise<string> {
    const identity: string[] = [await this.version(), installerOption ?? ""];
    for (const each of wanted) identity.push(each.startsWith("/") ? `${basename(each)} ${await digestOf(each)}` : each);
    const hash = createHash("sha256").update(JSON.stringify(identity.sort())).digest("hex").slice(0, 32);
    const target = join(this.options.modulesDir ?? join(this.options.workDir, "modules"), hash);
    if (await exists(target)) return target;
    // A second run with the same set waits for the first one's installation, and installs if that was stopped.
    const first = this.installing.get(hash);
    if (first) {
      const done = await first.catch((error: unknown) => error);
      if (typeof done === "string") return done;
      if (signal.aborted) throw new LaunchError("Installation of Python modules was stopped");
    }
    const installation = this.install(wanted, installerOption, target, signal);
    this.installing.set(hash, installation);
    return installation.finally(() => this.installing.delete(hash));
  }

  private async install(wanted: readonly string[], option: string | undefined, target: string, signal: AbortSignal) {
    const draft = `${target}.${randomUUID()}.draft`;
    await mkdir(draft, { recursive: true });
    const output: string[] = [];
    const quiet = ["--disable-pip-version-check", "--no-input", "--no-warn-script-location", "--quiet"];
    const args = ["-m", "pip", "install", ...quiet, "--target", draft, ...words(option), ...wanted];
    try {
      const command = { file: this.options.python, args, env: installerEnvironment(), cwd: draft };
      const exit = await runCommand(command, signal, (_, line) => output.push(line));
      if (exit.code !== 0) {
        const errors = output.filter((line) => /^\s*ERROR:|No module named pip/.test(line));
        const reason = (errors.length > 0 ? errors : output.slice(-3)).join(" ").trim();
        throw new LaunchError(
          `LAUNCH ERROR | Failed to install Python modules ${wanted.map((each) => basename(each)).join(", ")}: ${reason}`,
        );
      }
      await rename(draft, target).catch(async (error: unknown) => {
        if (!(await exists(target))) throw error; // Another process installed the same set first.
      });
      return target;
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  private version(): Promise<string> {
    this.pythonVersion ??= (async () => {
      const lines: string[] = [];
      const args = ["-c", "import sys, sysconfig; print(sys.version, sysconfig.get_platform())"];
      const command = { file: this.options.python, args, env: installerEnvironment(), cwd: this.options.workDir };
      await runCommand(command, new AbortController().signal, (_, line) => lines.push(line));
      return lines.join(" ");
    })();
    return this.pythonVersion;
  }
}

const words = (option = "") => option.split(/\s+/).filter(Boolean);

async function digestOf(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
