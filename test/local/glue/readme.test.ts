import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { operationsByResource } from "../../../local/glue/api/operations";

const README = path.join(__dirname, "..", "..", "..", "local", "glue", "README.md");

describe("the README of the local Glue", () => {
  it("lists the operations that it answers, by resource", () => {
    const none = {} as never;
    const model = { jobs: none, runs: none, triggers: none, workflows: none, tags: none };
    const answered = Object.entries(operationsByResource(model)).map(([resource, operations]) => [
      resource,
      Object.keys(operations).sort(),
    ]);
    const listed: Record<string, string[]> = {};
    for (const [, resource = "", names = ""] of readFileSync(README, "utf8").matchAll(
      /^\| (\w+)(?: \([\w ]+\))? \| ([A-Z]\w+(?:, [A-Z]\w+)*) \|$/gm,
    ))
      listed[resource] = [...(listed[resource] ?? []), ...names.split(", ")].sort();
    assert.deepEqual(listed, Object.fromEntries(answered));
  });
});
