import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
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

  describe("runs a program", () => {
    const name = `.local/program-${process.pid}.ts`;
    const program = path.join(root, name);
    const kept = path.join(root, ".local", "compiled", `${name}.js`);
    afterEach(() => [program, kept].forEach((file) => void rmSync(file, { force: true })));

    /** Runs this source, whose folder has no other file of the project. */
    function runOf(source: string) {
      writeFileSync(program, source);
      const bootstrap = path.join(root, "local", "toolchain", "bootstrap.mjs");
      return spawnSync(process.execPath, [bootstrap, name], { encoding: "utf8" });
    }

    it("as its source is now, and as it was kept, and compiles it again when what was kept is broken", () => {
      const said = (text: string) => `const said: string = "${text}";\nconsole.log(said);\n`;
      assert.equal(runOf(said("one")).stdout, "one\n");
      assert.equal(runOf(said("two")).stdout, "two\n");
      assert.ok(existsSync(kept));
      writeFileSync(kept, readFileSync(kept, "utf8").replace('"two"', '"kept"'));
      assert.equal(runOf(said("two")).stdout, "kept\n", "it runs what was kept");
      writeFileSync(kept, readFileSync(kept, "utf8").slice(0, 20));
      assert.equal(runOf(said("two")).stdout, "two\n");
    });

    it("with stack traces that name the line of the TypeScript", () => {
      const source = 'interface Gone {\n  a: string;\n}\nconst gone: Gone = { a: "x" };\nthrow new Error(gone.a);\n';
      for (const _ of ["compiled", "kept"]) assert.match(runOf(source).stderr, new RegExp(`${path.basename(name)}:5:`));
    });

    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 130],
      ["SIGKILL", 1],
    ] as const)
      it(`and ends with ${code} when ${signal} ends it`, () => {
        assert.equal(runOf(`process.kill(process.pid, "${signal}");\nsetTimeout(() => {}, 10_000);\n`).status, code);
      });
  });
});
