import { globSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import path from "node:path";
import layout from "../../layout.json";
import { installTestPython, installToolchain } from "../../local/toolchain/install.cjs";
import { runAsProgram, type Terminal } from "../../terminal/terminal";
import { copyWithOtherLayout, linkPackages, runIn } from "./copy";

/**
 * Suites that touch every folder. `unit` at full count runs infra/ and runtime/ (test/infra/layout.test.ts). The rooms
 * glue, sample and toolchain of local/ may not read the layout (.dependency-cruiser.cjs), so theirs would only repeat.
 * A test that names no folder repeats as well.
 */
const SUITES: Record<string, (tree: string) => [string, ...string[]]> = {
  local: (tree) => [...MOCHA, ...thatNameAFolder(tree, ["test/local/*", "test/local/provider/*", "test/cli/**/*"])],
  python: (tree) => [
    path.join(tree, ".local", "python-test", "bin", "python"),
    ...["-m", "pytest", "-p", "no:cacheprovider"],
    ...["exactly_once", "transform_files", "publish"].map((name) => `test/glue-scripts/test_${name}.py`),
  ],
  "end-to-end": () => [...MOCHA, "test/end-to-end/run.test.ts"],
};
const MOCHA: [string, ...string[]] = ["mocha", "--config", "test/.mocharc.json"];

/** Test files below `tree` that name a folder of the bucket, by what they import or by its usual name. */
function thatNameAFolder(tree: string, patterns: string[]): string[] {
  const usual = new Set(Object.values(layout).map((folder) => folder.split("/")[0]));
  const names = new RegExp(`(layout\\.json|support/folders|runtime/places)"|\\b(${[...usual].join("|")})/`);
  const files = globSync(
    patterns.map((pattern) => `${pattern}.test.ts`),
    { cwd: tree },
  );
  return files.filter((file) => names.test(readFileSync(path.join(tree, file), "utf8"))).sort();
}

/** The `layout` check of `npm run test:all`: the tests pass under another layout.json. Arguments name suites. */
async function main(args: string[], { root, note, out }: Terminal): Promise<number> {
  await installToolchain(root, note);
  await installTestPython(root, note);
  // Below the project, because hard links need one file system.
  const tree = await mkdtemp(path.join(root, ".local", "layout-"));
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      rmSync(tree, { recursive: true, force: true });
      process.exit(130);
    });
  const total = { passed: 0, failed: 0 };
  try {
    await copyWithOtherLayout(root, tree);
    await linkPackages(root, tree);
    for (const [name, command] of Object.entries(SUITES)) {
      if (args.length > 0 && !args.includes(name)) continue;
      const { passed, failed, output } = await runIn(tree, command(tree), { FULL: "" });
      await out(`${failed > 0 ? output : ""}\n${name} with another layout: ${passed} passing, ${failed} failing\n`);
      total.passed += passed;
      total.failed += failed;
    }
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
  await out(`${total.passed} passed, ${total.failed} failed\n`);
  return total.failed > 0 ? 1 : 0;
}

runAsProgram(main);
