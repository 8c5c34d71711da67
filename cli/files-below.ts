import { readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { printable } from "../terminal/format";

/** What lies below a folder: its files, and what can't be one of them, each with the reason. */
export interface Below {
  files: string[];
  leftOut: string[];
}

/** Every regular file below a folder, through links, each folder once. Whatever else is there is left out by name. */
export async function filesBelow(folder: string, entered = new Set<string>()): Promise<Below> {
  entered.add(await realpath(folder));
  const below: Below = { files: [], leftOut: [] };
  const leave = (file: string, why: string) => void below.leftOut.push(`${printable(file)} ${why}`);
  const names = await readdir(folder, { encoding: "buffer" }).catch(() => undefined);
  if (!names) leave(folder, "can't be read");
  for (const bytes of (names ?? []).sort(Buffer.compare)) {
    const name = bytes.toString("utf8");
    const file = path.join(folder, name);
    if (!Buffer.from(name).equals(bytes)) {
      leave(path.join(folder, bytes.toString("latin1")), "has a name that is not UTF-8");
      continue;
    }
    const found = await stat(file).catch((error: NodeJS.ErrnoException) => error);
    if (found instanceof Error) leave(file, found.code === "ENOENT" ? "is a link to nothing" : "can't be read");
    else if (found.isFile()) below.files.push(file);
    else if (!found.isDirectory()) leave(file, "is no regular file");
    else if (entered.has(await realpath(file))) leave(file, "is a link to a folder that is taken already");
    else {
      const inner = await filesBelow(file, entered);
      below.files.push(...inner.files);
      below.leftOut.push(...inner.leftOut);
    }
  }
  return below;
}

/** The first of the things that are left out, a line each. */
export function leftOutText(leftOut: string[]): string {
  const shown = leftOut.slice(0, 20).map((one) => `  ${one}`);
  if (leftOut.length > shown.length) shown.push(`  ... and ${leftOut.length - shown.length} more`);
  return `Left out: ${leftOut.length} below the folder\n${shown.join("\n")}`;
}
