import { readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";

/** Every regular file below a folder, through links, each folder once. */
export async function filesBelow(folder: string, entered = new Set<string>()): Promise<string[]> {
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
