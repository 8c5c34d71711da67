import path from "node:path";
import { UserError } from "../terminal/errors";
import { saveMs } from "./emulator";
import { makePrivateFolder } from "./private-folder";
import { endGroup } from "./processes";
import { type Holder, type Lock, takeLock } from "./toolchain/lock.cjs";

/**
 * Holds a folder for one local cloud, and ends what a cloud that died there has left running. Call it before anything
 * reads or changes the folder.
 * @throws UserError when another cloud holds it, in the words of `refuse`
 */
export async function lockFolder(
  folder: string,
  name: string,
  root: string,
  refuse: (holder: string) => string,
  log: (line: string) => void,
): Promise<Lock> {
  await makePrivateFolder(folder);
  const taken = takeLock(path.join(folder, name), root);
  if (!("release" in taken)) throw new UserError(refuse(nameOf(taken)));
  if (taken.leftovers.length > 0) log("Ending the emulator that an earlier start left behind ...");
  await Promise.all(taken.leftovers.map((group) => endGroup(group, saveMs)));
  return taken;
}

const nameOf = ({ pid, since, root }: Holder) => `process ${pid} in ${root}, since ${since}`;
