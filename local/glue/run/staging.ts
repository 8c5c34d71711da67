import { mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { LaunchError } from "../errors";
import type { LocalGlueOptions } from "../options";
import type { Session } from "./credentials";
import type { Modules } from "./modules";

/** Downloads a job's files from S3 and installs its modules, with the permissions of the job's role. */
export class Staging {
  private readonly s3: S3Client;

  constructor(
    { emulatorEndpoint: endpoint, region }: Pick<LocalGlueOptions, "emulatorEndpoint" | "region">,
    credentials: Session,
    private readonly installed: Modules,
  ) {
    this.s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  }

  /** Downloads an S3 object into a folder, under its own name. @throws LaunchError */
  async fetch(location: string, folder: string, signal: AbortSignal): Promise<string> {
    const [, bucket, key] = /^s3[an]?:\/\/([^/]+)\/(.+)$/s.exec(location.trim()) ?? [];
    if (!bucket || !key || key.endsWith("/"))
      throw new LaunchError(`LAUNCH ERROR | Not a path of an S3 object: ${location}`);
    try {
      const path = join(folder, basename(key));
      await mkdir(folder, { recursive: true });
      const object = await this.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
      // Read at once: if a stop aborts a body before anything reads it, nothing catches the error.
      await writeFile(path, await object.Body!.transformToByteArray());
      return path;
    } catch (error) {
      const why = (error as Error).message || (error as Error).name;
      throw new LaunchError(`LAUNCH ERROR | Error downloading from S3 for bucket: ${bucket}, key: ${key}. ${why}`);
    }
  }

  /**
   * The folders and archives of `--extra-py-files` for the Python path. Zips, eggs and single modules are used as they
   * are. A wheel is installed, so that its data files are real files, as in the Python shell.
   */
  async pythonFiles(list: string | undefined, folder: string, signal: AbortSignal): Promise<string[]> {
    const paths: string[] = [];
    for (const [index, location] of split(list).entries()) {
      const path = await this.fetch(location, join(folder, `${index}`), signal);
      if (extname(path) === ".whl") paths.push(await this.installed.folder([path], undefined, signal));
      else paths.push(extname(path) === ".py" ? dirname(path) : path);
    }
    return paths;
  }

  /** Downloads the objects of a comma-separated list. */
  async files(list: string | undefined, folder: string, signal: AbortSignal): Promise<string[]> {
    const paths: string[] = [];
    for (const location of split(list)) paths.push(await this.fetch(location, folder, signal));
    return paths;
  }

  /**
   * A folder with the modules of `--additional-python-modules`: names with versions, or files in S3. @throws
   * LaunchError
   */
  async modules(
    list: string | undefined,
    installerOption: string | undefined,
    folder: string,
    signal: AbortSignal,
  ): Promise<string> {
    const wanted: string[] = [];
    for (const item of split(list))
      wanted.push(/^s3[an]?:/.test(item) ? await this.fetch(item, join(folder, "wheels"), signal) : item);
    return this.installed.folder(wanted, installerOption, signal);
  }

  close(): void {
    this.s3.destroy();
  }
}

const split = (list = "") =>
  list
    .split(",")
    .map((item) => item.trim())
    .filter(Boolean);
