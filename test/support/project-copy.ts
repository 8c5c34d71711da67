import { cp, mkdir, symlink } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";

/** Copies what git tracks or would track to `tree`, and links the installed packages of the original. */
export async function copyProject(root: string, tree: string): Promise<void> {
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await execa("git", list, { cwd: root });
  await mkdir(tree, { recursive: true });
  for (const file of stdout.split("\0").filter(Boolean)) {
    const source = path.join(root, file);
    await cp(source, path.join(tree, file)).catch((error: NodeJS.ErrnoException) => {
      // Deleted, and git doesn't know it yet.
      if (error.code !== "ENOENT") throw error;
    });
  }
  for (const shared of ["node_modules", ".local"]) await symlink(path.join(root, shared), path.join(tree, shared));
}

/** The environment of a test runner that works in a copy of the project. */
export function environmentOf(tree: string): Record<string, string> {
  return { MUSIC_STREAMS_ROOT: tree, TS_NODE_PROJECT: path.join(tree, "tsconfig.json") };
}
