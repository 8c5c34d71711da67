import { cp, mkdir, readdir, symlink } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";

/**
 * Copies what git tracks or would track to `tree`, and links the installed packages of the original. Its `.local/` is
 * its own but for them, so that nothing that runs in the copy touches the original's cloud.
 */
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
  await mkdir(path.join(tree, ".local"));
  const markers = (await readdir(path.join(root, ".local"))).filter((name) => name.endsWith(".installed"));
  const installed = markers.flatMap((marker) => [marker, path.parse(marker).name]);
  for (const shared of ["node_modules", ...installed.map((name) => path.join(".local", name))])
    await symlink(path.join(root, shared), path.join(tree, shared));
}

/** The environment of a test runner that works in a copy of the project. */
export function environmentOf(tree: string): Record<string, string> {
  return { MUSIC_STREAMS_ROOT: tree, TS_NODE_PROJECT: path.join(tree, "tsconfig.json") };
}
