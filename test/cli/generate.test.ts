import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { runCommandIn, verb } from "./pipeline";

const main = verb("generate");

describe("npm run generate", () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), "music-streams-generate-"));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it("writes a sample of the size asked for, and describes it", async () => {
    const { code, out } = await runCommandIn(root, main, ["data", "--listens", "1234", "--days", "2", "--seed", "5"]);
    assert.equal(code, 0);
    assert.match(out, /^data: 5 stream files, [\d,]+ rows, 2025-06-14 to 2025-06-15\n {2}1,234 distinct listens/);
    assert.deepEqual((await readdir(path.join(root, "data"))).sort(), ["reference", "streams"]);
  });

  it("prints the summary as JSON with --json", async () => {
    const { out } = await runCommandIn(root, main, ["data", "--listens", "500", "--json"]);
    assert.equal(JSON.parse(out).listens, 500);
  });

  for (const [args, message] of [
    [["data", "--listens", "many"], /must be a whole number/],
    [["data", "--last-day", "2999-01-01"], /^The last day must not be in the future/],
    [[], /missing required argument/],
  ] as const) {
    it(`refuses "${args.join(" ")}" with a message`, async () => {
      const { code, notes } = await runCommandIn(root, main, [...args]);
      assert.equal(code, 2);
      assert.match(notes.join("\n"), message);
      assert.doesNotMatch(notes.join("\n"), /\n\s+at /);
    });
  }
});
