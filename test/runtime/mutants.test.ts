import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { MUTANTS } from "../mutants/list";
import { root } from "../support/commands";

describe("the list of planted bugs", () => {
  it("names texts that stand exactly once in their files, and tests that exist", () => {
    for (const { name, file, find, replace, caughtBy } of MUTANTS) {
      const copies = readFileSync(path.join(root, file), "utf8").split(find).length - 1;
      assert.equal(copies, 1, `"${name}": its text stands ${copies} times in ${file}`);
      assert.notEqual(find, replace, name);
      assert.ok(existsSync(path.join(root, caughtBy.file)), `"${name}": there is no ${caughtBy.file}`);
    }
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
  });
});
