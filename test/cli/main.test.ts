import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { execa } from "execa";
import { main } from "../../cli/main";
import { root } from "../support/commands";
import { runCommandIn } from "./pipeline";

const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const verbs = [
  "start",
  "drop",
  "batches",
  "status",
  "logs",
  "quarantine",
  "report",
  "console",
  "days",
  "genres",
  "metrics",
  "replay",
  "forget",
  "retry",
  "abandon",
  "pause",
  "resume",
  "audit",
  "env",
  "generate",
  "cost",
];

describe("music-streams", () => {
  it("lists every command with --help", async () => {
    const { code, out, notes } = await runCommandIn(root, main, ["--help"]);
    assert.deepEqual([code, notes], [0, []]);
    for (const verb of verbs) assert.match(out, new RegExp(`^  ${verb} +\\w`, "m"));
  });

  for (const verb of verbs)
    it(`runs ${verb}, which has an npm script as its alias`, async () => {
      const { code, out, notes } = await runCommandIn(root, main, [verb, "--help"]);
      assert.deepEqual([code, notes], [0, []]);
      assert.match(out, new RegExp(`^Usage: music-streams ${verb} `));
      assert.equal(manifest.scripts[verb], `exec node ${manifest.bin["music-streams"]} ${verb}`);
    });

  it("hands a command all of its arguments", async () => {
    const { out } = await runCommandIn(root, main, ["metrics", "export", "--help"]);
    assert.match(out, /^Usage: music-streams metrics export /);
  });

  it("prints the version of package.json", async () => {
    assert.equal((await runCommandIn(root, main, ["--version"])).out, `${manifest.version}\n`);
  });

  it("ends with 2 for an unknown command, and names the nearest one", async () => {
    const { code, out, notes } = await runCommandIn(root, main, ["drp"]);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(notes.join("\n"), /unknown command 'drp'\n\(Did you mean drop\?\)/);
  });

  it("ends with 2 and its help without a command", async () => {
    const { code, out, notes } = await runCommandIn(root, main, []);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(notes.join("\n"), /^Usage: music-streams VERB/);
  });

  it("loads no SDK, no Pulumi and no compiler for --help, which must be quick", async () => {
    const script = `
      const { main } = require("./cli/main");
      const terminal = { out() {}, note() {}, interactive: false, env: {}, root: ".", cwd: "." };
      const lines = ${JSON.stringify([...verbs.map((verb) => [verb]), ["metrics", "export"]])};
      Promise.all(lines.map((line) => main([...line, "--help"], terminal).catch(() => {}))).then(() => {
        const packages = Object.keys(require.cache).flatMap((file) => /.*node_modules.((?:@[^/]+.)?[^/]+)/.exec(file)?.[1] ?? []);
        console.log(JSON.stringify([...new Set(packages)]));
      });`;
    // The first time compiles and keeps; then not even the compiler is loaded.
    const compile = path.join(root, "local", "toolchain", "compile.cjs");
    const run = () => execa(process.execPath, ["--require", compile, "--eval", script], { cwd: root });
    await run();
    const light = ["commander", "cli-table3", "string-width", "emoji-regex", "is-fullwidth-code-point", "picocolors"];
    const others = JSON.parse((await run()).stdout).filter((name: string) => !light.includes(name));
    assert.deepEqual(others, ["strip-ansi", "ansi-regex"]);
  });

  it("prints nothing but the answer on stdout when it is run as a program, in a folder of the project", async () => {
    const program = path.join(root, manifest.bin["music-streams"]);
    const done = await execa(process.execPath, [program, "--version"], { cwd: path.join(root, "docs") });
    assert.deepEqual([done.stdout, done.stderr], [manifest.version, ""]);
  });
});
