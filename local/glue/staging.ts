import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { installerEnvironment } from "./environment";
import type { LocalGlueOptions } from "./options";
import { runCommand } from "./process";

/** Why a run can't even be launched; its text becomes the run's ErrorMessage. */
export class LaunchError extends Error {}

/** Brings what a job names in S3, and the modules it wants installed, onto this machine. */
export class Staging {
  private readonly s3: S3Client;
  private readonly installing = new Map<string, Promise<string>>();
  private pythonVersion: Promise<string> | undefined;

  constructor(private readonly options: LocalGlueOptions) {
    this.s3 = new S3Client({
      endpoint: options.emulatorEndpoint,
      region: options.region,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
      forcePathStyle: true,
    });
  }

  /** Copies an object of S3 into a folder, under its own name. @throws LaunchError */
  async fetch(location: string, folder: string, signal: AbortSignal): Promise<string> {
    const [, bucket, key] = /^s3[an]?:\/\/([^/]+)\/(.+)$/s.exec(location.trim()) ?? [];
    if (!bucket || !key || key.endsWith("/"))
      throw new LaunchError(`LAUNCH ERROR | Not a path of an S3 object: ${location}`);
    try {
      const path = join(folder, basename(key));
      await mkdir(folder, { recursive: true });
      const object = await this.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
      // Read at once: a body that nobody reads yet, broken off by a stop, is an error that nobody catches.
      await writeFile(path, await object.Body!.transformToByteArray());
      return path;
    } catch (error) {
      const why = (error as Error).message || (error as Error).name;
      throw new LaunchError(`LAUNCH ERROR | Error downloading from S3 for bucket: ${bucket}, key: ${key}. ${why}`);
    }
  }

  /**
   * The folders and archives for the Python path that `--extra-py-files` asks for. Zips, eggs and single modules are put
   * on the path as they are; a wheel is installed, so that its data files are real files, as in the Python shell.
   */
  async pythonFiles(list: string | undefined, folder: string, signal: AbortSignal): Promise<string[]> {
    const paths: string[] = [];
    for (const [index, location] of split(list).entries()) {
      const path = await this.fetch(location, join(folder, `${index}`), signal);
      if (extname(path) === ".whl") paths.push(await this.modules(path, undefined, folder, signal));
      else paths.push(extname(path) === ".py" ? dirname(path) : path);
    }
    return paths;
  }

  /** Copies of the objects in a comma-separated list. */
  async files(list: string | undefined, folder: string, signal: AbortSignal): Promise<string[]> {
    const paths: string[] = [];
    for (const location of split(list)) paths.push(await this.fetch(location, folder, signal));
    return paths;
  }

  /**
   * A folder with the modules of `--additional-python-modules` (names with versions, or files in S3) and what they need.
   * One folder for each exact set, kept for later runs; it appears whole or not at all.
   * @throws LaunchError with pip's message
   */
  async modules(
    list: string | undefined,
    installerOption: string | undefined,
    folder: string,
    signal: AbortSignal,
  ): Promise<string> {
    const wanted: string[] = [];
    const identity: string[] = [await this.version(), installerOption ?? ""];
    for (const item of split(list)) {
      const local = /^s3[an]?:/.test(item) ? await this.fetch(item, join(folder, "wheels"), signal) : item;
      wanted.push(local);
      identity.push(local.startsWith("/") ? `${basename(local)} ${await digestOf(local)}` : local);
    }
    const hash = createHash("sha256").update(JSON.stringify(identity.sort())).digest("hex").slice(0, 32);
    const target = join(this.options.modulesDir ?? join(this.options.workDir, "modules"), hash);
    if (await exists(target)) return target;
    // A second run that wants the same set waits for the first one's installation. If that one was stopped, it installs.
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

  private async install(wanted: string[], option: string | undefined, target: string, signal: AbortSignal) {
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
        const said = (errors.length > 0 ? errors : output.slice(-3)).join(" ").trim();
        throw new LaunchError(
          `LAUNCH ERROR | Failed to install Python modules ${wanted.map((each) => basename(each)).join(", ")}: ${said}`,
        );
      }
      await rename(draft, target).catch(async (error: unknown) => {
        if (!(await exists(target))) throw error; // Another process was quicker with the same set.
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

const split = (list = "") =>
  list
    .split(",")
    .map((item) => item.trim())
    .filter(Boolean);

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
