import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

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

  describe("in a fresh clone", () => {
    let clone: string;
    beforeEach(() => {
      clone = mkdtempSync(path.join(tmpdir(), "music-streams-clone-"));
      for (const name of ["local/toolchain", "terminal", "package-lock.json"])
        cpSync(path.join(root, name), path.join(clone, name), { recursive: true });
    });
    afterEach(() => rmSync(clone, { recursive: true, force: true }));

    const MEETING = `
      const fs = require("node:fs");
      const until = Date.now() + 20_000;
      const met = (other) => { while (!fs.existsSync(other)) if (Date.now() > until) process.exit(1); };`;

    /** Starts the first command, with an npm and a Python of these sources. */
    function firstStart(args: string[], npm: string, python: string) {
      const [npmCli, pythonCli] = ["npm.js", "python.js"].map((name) => path.join(clone, name)) as [string, string];
      writeFileSync(npmCli, `${MEETING}${npm}`);
      const asked = 'if (process.argv[2] === "-c") { console.log("3 12"); process.exit(); }';
      writeFileSync(pythonCli, `#!${process.execPath}\n${MEETING}${asked}${python}`, { mode: 0o755 });
      const bootstrap = path.join(clone, "local", "toolchain", "bootstrap.mjs");
      return spawn(process.execPath, [bootstrap, ...args], {
        cwd: clone,
        env: { ...process.env, npm_execpath: npmCli, PYTHON: pythonCli },
      });
    }

    const NODE_OF_CLONE = `
      fs.mkdirSync("node_modules/node/bin", { recursive: true });
      fs.writeFileSync("node_modules/node/bin/node", "#!/bin/sh\\necho the program runs", { mode: 0o755 });`;

    it("installs packages and the tools of the local cloud side by side, and leaves what fails to the program", async () => {
      const npm = `fs.writeFileSync("npm", ""); met("python"); ${NODE_OF_CLONE}`;
      const python = 'met("npm"); fs.writeFileSync("python", ""); process.exit(1)';
      const child = firstStart(["cli/main.ts", "start"], npm, python);
      const [stdout] = await Promise.all([text(child.stdout), once(child, "close")]);
      assert.equal(stdout, "the program runs\n");
    });

    for (const args of [["start", "--help"], ["status"]])
      it(`installs no tools for ${args.join(" ")}`, async () => {
        const child = firstStart(["cli/main.ts", ...args], NODE_OF_CLONE, 'fs.writeFileSync("python", "")');
        assert.equal(await text(child.stdout), "the program runs\n");
        assert.ok(!existsSync(path.join(clone, "python")));
      });

    it("ends both by one signal, and the next start goes on", async () => {
      const python = 'fs.writeFileSync("python", String(process.pid)); setInterval(() => {}, 1000)';
      const child = firstStart(["cli/main.ts", "start"], `met("python"); ${NODE_OF_CLONE}`, python);
      const closed = once(child, "close");
      while (!existsSync(path.join(clone, "node_modules", ".installed-lock"))) await sleep(20);
      child.kill("SIGINT");
      assert.deepEqual(await closed, [130, null]);
      const pid = Number(readFileSync(path.join(clone, "python"), "utf8"));
      assert.throws(() => process.kill(pid, 0), /ESRCH/);
      const again = firstStart(["cli/main.ts", "start"], "process.exit(1)", "process.exit(1)");
      assert.equal(await text(again.stdout), "the program runs\n");
    });
  });
});
