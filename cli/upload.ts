import { createReadStream, type Stats } from "node:fs";
import { access, constants, readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { Upload } from "@aws-sdk/lib-storage";
import pMap from "p-map";
import layout from "../layout.json";
import { UserError } from "./errors";
import { printable } from "./format";
import type { Target } from "./target";

/** A file to upload. */
export interface Source {
  /** Where it lies on disk. */
  file: string;
  /** Where it will lie below incoming/: what the pipeline calls its name. */
  name: string;
  bytes: number;
}

/** A file that is in the bucket. */
export interface Uploaded extends Source {
  /** As S3 gives it, quotes included: with the name, it tells this version from others. */
  etag: string;
}

export interface UploadPlan {
  sources: Source[];
  /** Files found in folders that the pipeline would not read. */
  leftAlone: string[];
}

const csvName = /\.csv(\.gz)?$/i;
const keyLimitBytes = 1024;

/**
 * What the arguments name. A file's key is `incoming/<prefix>/<its base name>`; a folder stands for the CSVs below it, whose keys keep their
 * paths below that folder. Looks at everything before anything is uploaded: throws one UserError with every reason why it can't be.
 */
export async function planUpload(args: string[], prefix: string, cwd: string): Promise<UploadPlan> {
  const below = prefixParts(prefix);
  const plan: UploadPlan = { sources: [], leftAlone: [] };
  const problems: string[] = [];
  for (const arg of args) {
    const file = path.resolve(cwd, arg);
    const found = await stat(file).catch(() => undefined);
    if (!found) problems.push(`${printable(arg)}: there is no such file.`);
    else if (found.isDirectory()) await planFolder(file, arg, below, plan, problems);
    else await planFile(file, arg, found, below, plan, problems);
  }
  problems.push(...clashes(plan.sources));
  if (problems.length > 0)
    throw new UserError(`Nothing was uploaded:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
  return plan;
}

function prefixParts(prefix: string): string[] {
  const parts = prefix.split("/").filter((part) => part !== "");
  // HTTP clients resolve such segments on the way, so that the object would lie elsewhere.
  if (parts.some((part) => part === "." || part === ".."))
    throw new UserError(`--prefix ${printable(prefix)}: "." and ".." can't be part of it.`);
  return parts;
}

async function planFolder(
  folder: string,
  arg: string,
  below: string[],
  plan: UploadPlan,
  problems: string[],
): Promise<void> {
  const before = plan.sources.length;
  for (const file of await filesBelow(folder, new Set())) {
    if (!csvName.test(file)) {
      plan.leftAlone.push(file);
      continue;
    }
    const parts = path.relative(folder, file).split(path.sep);
    await planFile(file, file, await stat(file), [...below, ...parts.slice(0, -1)], plan, problems);
  }
  if (plan.sources.length === before)
    problems.push(`${printable(arg)}: there is no .csv or .csv.gz file below this folder.`);
}

/** Every regular file below a folder, through links, each folder once. */
async function filesBelow(folder: string, entered: Set<string>): Promise<string[]> {
  const real = await realpath(folder);
  if (entered.has(real)) return [];
  entered.add(real);
  const files: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const file = path.join(folder, name);
    const found = await stat(file).catch(() => undefined);
    if (found?.isDirectory()) files.push(...(await filesBelow(file, entered)));
    else if (found?.isFile()) files.push(file);
  }
  return files;
}

async function planFile(
  file: string,
  shown: string,
  found: Stats,
  below: string[],
  plan: UploadPlan,
  problems: string[],
): Promise<void> {
  const name = [...below, path.basename(file)].join("/");
  const problem = await problemOf(file, found, name);
  if (problem) problems.push(`${printable(shown)}: ${problem}`);
  else plan.sources.push({ file, name, bytes: found.size });
}

async function problemOf(file: string, found: Stats, name: string): Promise<string | undefined> {
  if (!found.isFile()) return "is not a regular file.";
  if (!csvName.test(file))
    return "its name must end with .csv or .csv.gz; the pipeline leaves everything else in incoming/ alone.";
  const isReadable = await access(file, constants.R_OK).then(
    () => true,
    () => false,
  );
  if (!isReadable) return "it can't be read: permission denied.";
  const keyBytes = Buffer.byteLength(layout.incoming + name);
  return keyBytes > keyLimitBytes
    ? `its key would have ${keyBytes} bytes; S3 takes at most ${keyLimitBytes}.`
    : undefined;
}

/** Two files under one key: the second would overwrite the first. The same file named twice is uploaded once. */
function clashes(sources: Source[]): string[] {
  const byName = new Map<string, Source>();
  const problems: string[] = [];
  for (const source of [...sources]) {
    const other = byName.get(source.name);
    if (!other) byName.set(source.name, source);
    else if (other.file === source.file) sources.splice(sources.lastIndexOf(source), 1);
    else
      problems.push(
        `${printable(source.file)} and ${printable(other.file)} would both become ${printable(layout.incoming + source.name)}.`,
      );
  }
  return problems;
}

const uploadsAtOnce = 8;
const smallestPartBytes = 8 * 1024 * 1024;
/** S3 takes at most 10,000 parts of one object. */
const mostParts = 9_000;

export interface UploadEvents {
  onBytes?: (bytes: number) => void;
  onDone?: (source: Source) => void;
}

/** Uploads, several at once, large files in parts. Ends at the first error with a UserError that says what is in already. */
export async function upload(target: Target, sources: Source[], events: UploadEvents = {}): Promise<Uploaded[]> {
  let done = 0;
  return pMap(
    sources,
    async (source) => {
      try {
        const etag = await uploadOne(target, source, events.onBytes);
        done += 1;
        events.onDone?.(source);
        return { ...source, etag };
      } catch (error) {
        const cause = error instanceof Error ? error.message || error.name : String(error);
        throw new UserError(
          `${printable(source.file)} could not be uploaded to ${target.name}: ${cause}\n${done} of ${sources.length} files are in; running the command again is safe.`,
          { cause: error },
        );
      }
    },
    { concurrency: uploadsAtOnce },
  );
}

async function uploadOne(target: Target, source: Source, onBytes?: (bytes: number) => void): Promise<string> {
  let reported = 0;
  const report = (loaded: number) => {
    onBytes?.(loaded - reported);
    reported = loaded;
  };
  const transfer = new Upload({
    client: target.s3,
    params: {
      Bucket: target.outputs.bucketName,
      Key: layout.incoming + source.name,
      Body: createReadStream(source.file),
      ContentType: /\.gz$/i.test(source.name) ? "application/gzip" : "text/csv",
    },
    partSize: Math.max(smallestPartBytes, Math.ceil(source.bytes / mostParts)),
    queueSize: 2,
  });
  transfer.on("httpUploadProgress", ({ loaded }) => report(loaded ?? 0));
  const { ETag } = await transfer.done();
  report(source.bytes);
  if (!ETag) throw new Error("S3 gave no ETag for it");
  return ETag;
}
