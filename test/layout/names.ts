import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import layout from "../../layout.json";

/** How the project's own folders begin, by this project's layout. */
const folders = [...new Set(Object.values(layout).map((folder) => folder.split("/")[0]))].filter((name) => name !== "");
const names = new RegExp(`(layout\\.json|support/folders|runtime/places)"|\\b(${folders.join("|")})/`);

/** Test files below `tree` that name a folder of the bucket, by what they import or by its name. */
export function thatNameAFolder(tree: string, patterns: string[]): string[] {
  const files = globSync(
    patterns.map((pattern) => `${pattern}.test.ts`),
    { cwd: tree },
  );
  const found = files.filter((file) => names.test(readFileSync(path.join(tree, file), "utf8"))).sort();
  if (found.length === 0) throw new Error(`no test of ${patterns.join(", ")} names a folder`);
  return found;
}
