import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, statSync } from "node:fs";
import path from "node:path";

const root = path.join(__dirname, "..", "..", "..");

describe("the bootstrap of npm scripts", () => {
  it("refuses Windows with one line that names WSL, and exit code 1", () => {
    const windows = 'data:text/javascript,Object.defineProperty(process,"platform",{value:"win32"})';
    const args = ["--import", windows, path.join(root, "local", "toolchain", "bootstrap.mjs"), "cli/start.ts"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.match(stderr, /^music-streams runs on Linux, macOS and, on Windows, in WSL 2: .+\n$/);
    assert.deepEqual([status, stdout], [1, ""]);
  });

  it("takes .local/ from all other users of the machine, also where an earlier version made it", () => {
    const folder = path.join(root, ".local");
    chmodSync(folder, 0o755);
    const bootstrap = path.join(root, "local", "toolchain", "bootstrap.mjs");
    spawnSync(process.execPath, [bootstrap, "cli/main.ts", "--version"], { encoding: "utf8" });
    assert.equal(statSync(folder).mode & 0o777, 0o700);
  });
});
