import { randomBytes } from "node:crypto";
import { open, rename, rm, stat } from "node:fs/promises";
import { UsageError } from "../terminal/errors";

/** Writes a file whole or not at all. Writes directly to what isn't a regular file (/dev/stdout, a pipe). */
export async function writeWhole<T>(
  file: string,
  fill: (write: (text: string | Uint8Array) => Promise<void>) => Promise<T>,
): Promise<T> {
  const present = await stat(file).catch(() => undefined);
  if (present?.isDirectory()) throw new UsageError(`${file} is a folder. Give a file's name.`);
  const written = !present || present.isFile() ? `${file}.${randomBytes(4).toString("hex")}.part` : file;
  const handle = await open(written, "w").catch((error: Error) => {
    throw new UsageError(`${file} can't be written: ${error.message}`, { cause: error });
  });
  try {
    const result = await fill((text) => handle.writeFile(text)).finally(() => handle.close());
    if (written !== file) await rename(written, file);
    return result;
  } catch (error) {
    if (written !== file) await rm(written, { force: true });
    throw error;
  }
}
