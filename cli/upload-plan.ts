import type { Stats } from "node:fs";
import { access, constants, stat } from "node:fs/promises";
import path from "node:path";
import layout from "../layout.json";
import { UsageError } from "../terminal/errors";
import { printable } from "../terminal/format";
import { filesBelow } from "./files-below";
import type { Source } from "./upload";

export interface UploadPlan {
  sources: Source[];
  /** Files in the folders that are no CSVs. */
  leftAlone: string[];
  /** What lies in the folders and can't be uploaded, each with the reason. */
  leftOut: string[];
}

export const csvName = /\.csv(\.gz)?$/i;
const keyLimitBytes = 1024;

/**
 * Which files the arguments name, and their keys. A file's key is `incoming/<prefix>/<its base name>`. A folder stands
 * for the CSVs below it, whose keys keep their paths below that folder. Checks everything before the first upload, and
 * throws one UsageError with every problem.
 */
export async function planUpload(args: string[], prefix: string, cwd: string): Promise<UploadPlan> {
  const below = prefixParts(prefix);
  const plan: UploadPlan = { sources: [], leftAlone: [], leftOut: [] };
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
    throw new UsageError(`Nothing was uploaded:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
  return plan;
}

function prefixParts(prefix: string): string[] {
  const parts = prefix.split("/").filter((part) => part !== "");
  // HTTP clients resolve such segments, so the object would get another key.
  if (parts.some((part) => part === "." || part === ".."))
    throw new UsageError(`--prefix ${printable(prefix)}: "." and ".." can't be part of it.`);
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
  const { files, leftOut } = await filesBelow(folder);
  plan.leftOut.push(...leftOut);
  for (const file of files) {
    if (!csvName.test(file)) {
      plan.leftAlone.push(file);
      continue;
    }
    const parts = path.relative(folder, file).split(path.sep);
    await planFile(file, file, await stat(file), [...below, ...parts.slice(0, -1)], plan, problems);
  }
  if (plan.sources.length === before)
    problems.push(`${printable(arg)}: there is no .csv or .csv.gz file below this folder.`, ...leftOut);
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
  if (!csvName.test(file)) return "its name must end with .csv or .csv.gz; the pipeline ignores everything else.";
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
