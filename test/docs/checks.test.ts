import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { checks } from "../checks";
import { inSlots } from "../schedule";
import { root } from "../support/commands";

const names = checks.filter((check) => check.in !== "named").map(({ name }) => name);
const read = (file: string) => readFileSync(path.join(root, file), "utf8");

describe("the checks", () => {
  it("are all in the workflow's matrix, each once", () => {
    const { jobs } = parse(read(".github/workflows/test.yml"));
    const inMatrix = jobs.checks.strategy.matrix.include.flatMap((one: { checks: string }) => one.checks.split(" "));
    assert.deepEqual(inMatrix.sort(), names.sort());
  });

  it("find test files with each of their patterns", () => {
    for (const { name, command } of checks) {
      const [runner, ...args] = command({ testPython: "python" });
      if (runner !== "mocha") continue;
      const patterns = args.filter((arg) => arg.endsWith(".test.ts"));
      // Mocha takes braces without a star for a file's name, and passes over what it does not find.
      for (const pattern of patterns)
        assert.ok(
          globSync(pattern, { cwd: root }).length > 0 && !/^[^*]*\{[^*]*$/.test(pattern),
          `${name}: ${pattern}`,
        );
    }
  });

  it("let no file of code be longer than 300 lines without a reason at its top", () => {
    const rooms = "{bench,cli,console,glue-scripts,infra,local,policy,runtime,terminal,test}";
    const files = globSync([`${rooms}/**/*.{ts,mjs,cjs,py,js,css,sql}`, "*.ts", "*.cjs"], { cwd: root });
    const long = files.filter((file) => read(file).split("\n").length > 301);
    assert.ok(files.length > 300 && long.length > 0);
    const reason = /\b[Oo]ne (file|table|entry)\b|longer than 300 lines/;
    const without = long.filter((file) => !reason.test(read(file).split("\n").slice(0, 20).join("\n")));
    assert.deepEqual(without, []);
  });

  it("run at full count all test files that ask for it", () => {
    const files = globSync(["test/**/*.test.ts", "test/**/test_*.py"], { cwd: root });
    const helpers = globSync("test/glue-scripts/*.py", { cwd: root }).filter((file) => !files.includes(file));
    const grow = checks.flatMap(({ grows = [] }) => grows);
    const marked = grow.includes("grows") ? files.filter((file) => /pytest\.mark\.grows\b/.test(read(file))) : [];
    const asks = (file: string) => /\bFULL\b/.test(read(file)) && !file.startsWith("test/docs/");
    const askingHelpers = helpers.filter(asks).map((file) => path.parse(file).name);
    const asking = files.filter((file) => asks(file) || askingHelpers.some((name) => read(file).includes(name)));
    const listed = grow.filter((file) => file.endsWith(".ts"));
    assert.deepEqual([...listed, ...marked].sort(), asking.sort());
  });

  it("have no time limit that judges how fast the machine is", () => {
    const files = globSync("test/**/*.test.ts", { cwd: root });
    const limits = files.flatMap((file) =>
      [...read(file).matchAll(/\.timeout\((?!timeLimitMs\()[^)]*\)/g)].map(([limit]) => `${file}: ${limit}`),
    );
    assert.deepEqual(limits, [], "without a limit of its own, a test has that of test/.mocharc.json");
    const growing = checks.flatMap(({ grows = [] }) => grows).filter((file) => file.endsWith(".test.ts"));
    const withCount = growing.filter((file) => /FULL \? [\d_]+ : [\d_]+/.test(read(file)));
    assert.deepEqual(
      withCount.filter((file) => !read(file).includes("timeLimitMs(")),
      [],
      "a test whose count grows has a limit that grows with it",
    );
  });

  it("start one cloud at a time, and no core waits for it while another check could run", async () => {
    const running: string[] = [];
    const moments: string[] = [];
    const given = [
      { name: "first", startsCloud: true, turns: 6 },
      { name: "second", startsCloud: true, turns: 2 },
      { name: "lint", turns: 2 },
      { name: "unit", turns: 2 },
      { name: "third", startsCloud: true, turns: 2 },
    ];
    const results = await inSlots(given, 2, async ({ name, turns }) => {
      running.push(name);
      moments.push(running.join("+"));
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      running.splice(running.indexOf(name), 1);
      return name;
    });
    assert.deepEqual(results, ["first", "second", "lint", "unit", "third"]);
    assert.deepEqual(moments, ["first", "first+lint", "first+unit", "second", "third"]);
  });

  it("that the pages name exist", () => {
    for (const page of ["README.md", "CONTRIBUTING.md", "docs/reliability.md", "docs/architecture.md"])
      for (const [, list] of read(page).matchAll(/`npm (?:test|run test:all) -- ([a-z -]+)`/g))
        for (const name of list!.split(" ")) assert.ok([...names, "quick"].includes(name), `${page}: ${name}`);
  });
});
