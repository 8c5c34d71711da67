import { availableParallelism } from "node:os";
import path from "node:path";

/** One check of the project: a runner with what it is given. */
export interface Check {
  name: string;
  about: string;
  /** With `chosen`, only these of its tests. */
  command: (tools: Tools, chosen?: string[]) => [string, ...string[]];
  env?: Record<string, string>;
  /** It starts the project's local cloud. There can be one at a time. */
  startsCloud?: boolean;
  /** `test`: `npm test` runs it. `all`: `npm run test:all` alone does. `named`: nobody does who does not name it. */
  in: "test" | "all" | "named";
  /** What it waits for: Python and Spark, or a Pulumi CLI. Nothing: it runs while they are installed. */
  needs?: "python" | "pulumi";
  /** What its runner takes to run only tests that test more at full count than in `npm test`. */
  grows?: string[];
  /** Reads the number of tests from the runner's output. A check without it counts as one. */
  count?: (output: string) => Counts;
}

export interface Counts {
  passed: number;
  failed: number;
}

export interface Tools {
  testPython: string;
}

const mocha = (...files: string[]): [string, ...string[]] => ["mocha", "--config", "test/.mocharc.json", ...files];
const script = (file: string, ...args: string[]): [string, ...string[]] => [
  ...(["node", "--require", "./local/toolchain/compile.cjs", file] as const),
  ...args,
];
const inOtherLayout = (...suites: string[]) => script("test/layout/run.ts", ...suites);
const inTestPython = (tools: Tools, name: string) => path.join(path.dirname(tools.testPython), name);

/** Test files that start no process, the longest first. (Mocha takes braces without a star for a file's name.) */
const quick = [
  "test/infra/@(program|alarm-stories|alarms|catalog|dashboard|settings).test.ts",
  "test/runtime/@(model|permissions|dead-ends|decide|embedded-metrics|faults|mutants|protocol|waiting).test.ts",
  "test/{console,docs,terminal}/*.test.ts",
];

/**
 * In the order in which they begin, if they can. What takes longest comes first, so that all cores have work to the
 * end: the longest are those that start the cloud, one after the other.
 */
export const checks: Check[] = [
  { name: "lint", in: "test", about: "Biome: format and lint of TypeScript", command: () => ["biome", "ci", "."] },
  { name: "types", in: "test", about: "tsc: types", command: () => ["tsc", "-p", "."] },
  {
    name: "imports",
    in: "test",
    about: "dependency-cruiser: which folder may import which (.dependency-cruiser.cjs)",
    command: () => [
      ...(["depcruise", "--output-type", "err-long", "index.ts"] as const),
      ...["infra", "runtime", "policy", "terminal", "local", "cli", "console", "bench"],
    ],
  },
  { name: "unused", in: "test", about: "knip: unused files, exports and packages", command: () => ["knip"] },
  {
    name: "words",
    in: "test",
    about: "mocha: words, links and commands of the docs, width of comments, and this list of checks",
    command: () => mocha("test/docs/*.test.ts"),
    count: mochaCounts,
  },
  {
    name: "end-to-end",
    in: "test",
    about: "mocha: one run of the whole program on the local cloud, from CSVs to metrics",
    needs: "python",
    startsCloud: true,
    command: () => mocha("test/end-to-end/run.test.ts"),
    count: mochaCounts,
  },
  {
    name: "stories",
    in: "all",
    about: "mocha: all other runs of the whole program on the local cloud",
    needs: "python",
    startsCloud: true,
    command: () => mocha("test/end-to-end/**/*.test.ts", "--ignore", "test/end-to-end/run.test.ts"),
    count: mochaCounts,
  },
  {
    name: "faults",
    in: "all",
    about: "the quick scenarios of npm run test:faults",
    needs: "python",
    startsCloud: true,
    command: () => script("test/faults/run.ts", "--quick"),
    count: pytestCounts,
  },
  {
    name: "layout-run",
    in: "all",
    about: "the end-to-end run in such a copy as that of layout",
    needs: "python",
    startsCloud: true,
    command: () => inOtherLayout("end-to-end"),
    count: pytestCounts,
  },
  {
    name: "python",
    in: "test",
    about: "pytest: jobs, oracle and audit",
    needs: "python",
    grows: ["-m", "grows"],
    command: (tools, chosen = []) => [tools.testPython, "-m", "pytest", ...chosen],
    count: pytestCounts,
  },
  {
    name: "local",
    in: "test",
    about: "mocha: the local cloud, and the commands on it",
    needs: "python",
    grows: [
      "test/cli/audit.test.ts",
      ...["glue/run/inputs", "glue/run/standby", "sample/generator"].map((name) => `test/local/${name}.test.ts`),
    ],
    command: (_, chosen = ["test/{local,cli}/**/*.test.ts"]) => mocha(...chosen),
    count: mochaCounts,
  },
  {
    name: "unit",
    in: "test",
    about: "mocha: the program, its Lambdas, and the console",
    needs: "python",
    grows: [
      ...["layout", "policy"].map((name) => `test/infra/${name}.test.ts`),
      "test/bench/month.test.ts",
      ...["emulated", "faults", "model", "waiting"].map((name) => `test/runtime/${name}.test.ts`),
    ],
    command: (_, chosen = ["test/{bench,console,infra,runtime,terminal}/**/*.test.ts"]) => mocha(...chosen),
    count: mochaCounts,
  },
  {
    name: "python-lint",
    in: "test",
    about: "ruff: lint of Python",
    needs: "python",
    command: (tools) => [inTestPython(tools, "ruff"), "check", "."],
  },
  {
    name: "python-format",
    in: "test",
    about: "ruff: format of Python",
    needs: "python",
    command: (tools) => [inTestPython(tools, "ruff"), "format", "--check", "."],
  },
  {
    name: "python-types",
    in: "test",
    about: "mypy: types of Python",
    needs: "python",
    command: (tools) => [tools.testPython, "-m", "mypy"],
  },
  {
    name: "python-3.9",
    in: "test",
    about: "vermin: what the Glue Python shell runs needs no more than Python 3.9",
    needs: "python",
    // Its script names Python by a path that its first line can't quote, and it is no module that runs.
    command: (tools) => [
      ...([tools.testPython, "-c", "from vermin import main; main()", "--no-tips", "--violations"] as const),
      ...["-t=3.9-", "--eval-annotations", "glue-scripts"],
    ],
  },
  {
    name: "layout",
    in: "all",
    about:
      "the suites of jobs, local and cli that may know a folder, in a copy whose layout.json names each one differently",
    needs: "python",
    command: () => inOtherLayout("local", "python"),
    count: pytestCounts,
  },
  {
    name: "engine",
    in: "all",
    about: "mocha: the whole program under a real Pulumi engine",
    needs: "pulumi",
    command: () => mocha("test/engine/**/*.test.ts"),
    count: mochaCounts,
  },
  {
    name: "quick",
    in: "named",
    about: "mocha: whatever starts no process, in seconds",
    command: () => mocha("--parallel", "--jobs", String(availableParallelism()), ...quick),
    env: { HISTORIES: "200", PAIRS: "100" },
    count: mochaCounts,
  },
];

function mochaCounts(output: string): Counts {
  return { passed: numberBefore("passing", output), failed: numberBefore("failing", output) };
}

function pytestCounts(output: string): Counts {
  return {
    passed: numberBefore("passed", output),
    failed: numberBefore("failed", output) + numberBefore("errors?", output),
  };
}

/** The last "12 passing" of an output, with or without colours. */
function numberBefore(word: string, output: string): number {
  const all = [...output.matchAll(new RegExp(`(\\d+) ${word}\\b`, "g"))];
  return Number(all.at(-1)?.[1] ?? 0);
}
