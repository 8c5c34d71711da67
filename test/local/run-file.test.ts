import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { openKept } from "../../local/kept";
import { writeRunFile } from "../../local/run-file";
import { testCredentials } from "../support/credentials";

describe("files of a local cloud that others on the machine must not read", () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), "music-streams-modes-"));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));
  const modeOf = async (...names: string[]) => (await stat(path.join(root, ...names))).mode & 0o777;

  it("the run file, which holds credentials, is for its owner alone, whatever lay there before", async () => {
    const folder = path.join(root, ".local");
    await mkdir(folder);
    for (const name of ["run.json", "run.json.new"]) {
      await writeFile(path.join(folder, name), "{}");
      await chmod(path.join(folder, name), 0o644);
    }
    const run = { pid: 1, pids: [], endpoint: "http://127.0.0.1:1", region: "us-east-1", startedAt: "now" };
    await writeRunFile(root, { ...run, credentials: testCredentials });
    assert.equal(await modeOf(".local", "run.json"), 0o600);
    assert.deepEqual(await readdir(folder), ["run.json"]);
  });

  it("a folder of kept data is for its owner alone, also one that was there before", async () => {
    await mkdir(path.join(root, "old"));
    await chmod(path.join(root, "old"), 0o755);
    for (const name of ["old", "new"]) {
      await openKept(path.join(root, name));
      assert.equal(await modeOf(name), 0o700);
    }
  });
});
