import { cp, rm } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { copyProject, environmentOf } from "../support/project-copy";

/** What a test runner counted in a copy of the project, and what it printed. */
export interface Outcome {
  passed: number;
  failed: number;
  output: string;
}

/** Copies the project to `tree` and gives the copy another layout, in which every folder and file has another name. */
export async function copyWithOtherLayout(root: string, tree: string): Promise<void> {
  await copyProject(root, tree);
  await cp(path.join(root, "test", "layout", "other.json"), path.join(tree, "layout.json"));
}

/** Gives the copy installed packages of its own, by hard links: a Lambda's package must lie below the project. */
export async function linkPackages(root: string, tree: string): Promise<void> {
  await rm(path.join(tree, "node_modules"));
  await execa("cp", ["-al", path.join(root, "node_modules"), path.join(tree, "node_modules")]);
}

/** Runs a test runner in the copy. A runner that ends badly without a failure counts as one. */
export async function runIn(
  tree: string,
  [command, ...args]: [string, ...string[]],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const run = await execa(command, args, {
    cwd: tree,
    reject: false,
    all: true,
    stdin: "ignore",
    env: { ...environmentOf(tree), ...env },
  });
  const output = run.all ?? "";
  const count = (words: string) =>
    Number([...output.matchAll(new RegExp(`(\\d+) (?:${words})\\b`, "g"))].at(-1)?.[1] ?? 0);
  const [passed, failed] = [count("passing|passed"), count("failing|failed")];
  return { passed, failed: run.exitCode === 0 && passed > 0 ? failed : Math.max(1, failed), output };
}
