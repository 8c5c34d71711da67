import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";

const root = path.join(__dirname, "..", "..", "..");

describe("the bootstrap of npm scripts", () => {
  it("says in one line that Windows needs WSL, and exits with 1", () => {
    const windows = 'data:text/javascript,Object.defineProperty(process,"platform",{value:"win32"})';
    const args = ["--import", windows, path.join(root, "local", "toolchain", "bootstrap.mjs"), "cli/start.ts"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.match(stderr, /^music-streams runs on Linux, macOS and, on Windows, in WSL 2: .+\n$/);
    assert.deepEqual([status, stdout], [1, ""]);
  });
});
