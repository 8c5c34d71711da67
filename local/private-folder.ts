import { chmod, mkdir } from "node:fs/promises";

/** Makes a folder that other users of the machine can't enter, also where it is there already. */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
}
