import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import layout from "../../layout.json";
import { copyWithOtherLayout, runIn } from "../layout/copy";
import other from "../layout/other.json";
import { FULL } from "../support/full";
import { ROOT } from "../support/program-record";

/** Tests that depend on the layout and start no emulator. `npm run test:all` runs all tests with the other layout. */
const FILES = [
  ...["policy", "program", "catalog", "dashboard", "library", "settings"].map((name) => `infra/${name}`),
  ...["decide", "protocol", "model", "embedded-metrics"].map((name) => `runtime/${name}`),
].map((name) => `test/${name}.test.ts`);

describe("layout.json", () => {
  it("has another name in the other layout for each of its folders and files", () => {
    assert.deepEqual(Object.keys(other), Object.keys(layout));
    const names = (pattern: string) => pattern.split("/").filter((name) => !/^$|[{=]/.test(name));
    const known = new Set(Object.values(layout).flatMap(names));
    for (const pattern of Object.values(other))
      for (const name of names(pattern)) assert.ok(!known.has(name), `${name} of ${pattern} is in layout.json`);
  });

  // It runs ten test files again, so `npm test` leaves it to `npm run test:all`.
  if (FULL) {
    it("alone names the folders: with the other layout, program, policies and protocol pass their tests", async () => {
      const tree = await mkdtemp(path.join(tmpdir(), "music-streams-layout-"));
      try {
        await copyWithOtherLayout(ROOT, tree);
        const mocha = ["mocha", "--config", "test/.mocharc.json", ...FILES] as [string, ...string[]];
        const { passed, failed, output } = await runIn(tree, mocha, { FULL: "", HISTORIES: "200" });
        assert.equal(failed, 0, output);
        assert.ok(passed > 300, `only ${passed} tests ran`);
      } finally {
        await rm(tree, { recursive: true, force: true });
      }
    });
  }
});
