import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { root } from "../support/commands";

const read = (...parts: string[]) => readFileSync(path.join(root, ...parts), "utf8");
const { scripts }: { scripts: Record<string, string> } = JSON.parse(read("package.json"));
const pages = [
  "README.md",
  "Pulumi.README.md",
  ...readdirSync(path.join(root, "docs")).map((name) => `docs/${name}`),
].filter((name) => name.endsWith(".md"));

describe("the manual", () => {
  it("names commands that exist, with options that they have", () => {
    let checked = 0;
    for (const page of pages)
      for (const [command, name, rest] of read(page).matchAll(
        /(?:npm run|npx music-streams) ([a-z][\w:]*)(?: (?:-- )?([^\n`#|]*))?/g,
      )) {
        assert.ok(scripts[name!], `${page}: ${command}`);
        for (const [option] of (rest ?? "").matchAll(/--[a-z][a-z-]*/g)) {
          assert.ok(
            ["cli/verbs.ts", "test/faults/run.ts"].some((file) => new RegExp(`"${option}\\b`).test(read(file))),
            `${page}: ${command}`,
          );
          checked++;
        }
      }
    assert.ok(checked > 20, String(checked));
  });
});
