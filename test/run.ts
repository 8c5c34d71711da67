import { mkdirSync } from "node:fs";
import path from "node:path";
import { Command } from "commander";
import { execa } from "execa";
import { installTestPython, installToolchain } from "../local/toolchain/install";
import { installPulumi, PULUMI_REMEDY } from "../local/toolchain/install-pulumi";
import { UserError } from "../terminal/errors";
import { runAsProgram } from "../terminal/terminal";

/** `npm test`: every check of the project, with their own output one after the other, and one line that adds them up. */
interface Check {
  name: string;
  about: string;
  command: (tools: Tools) => [string, ...string[]];
  /** The check during which it runs already, since each leaves much of a second core idle. Told of afterwards. */
  beside?: string;
  /** Runs only where there is a Pulumi CLI, or Go to build it with. */
  needsPulumi?: boolean;
  /** Reads how many tests ran from what a test runner prints; a check without it counts as one. */
  count?: (output: string) => Counts;
}

interface Counts {
  passed: number;
  failed: number;
}

interface Tools {
  root: string;
  testPython: string;
}

const mocha = (...files: string[]): [string, ...string[]] => ["mocha", "--config", "test/.mocharc.json", ...files];
const inTestPython = (tools: Tools, name: string) => path.join(path.dirname(tools.testPython), name);

const checks: Check[] = [
  { name: "lint", about: "Biome: format and lint of TypeScript", command: () => ["biome", "ci", "."] },
  { name: "types", about: "tsc: types", command: () => ["tsc", "-p", "."] },
  {
    name: "imports",
    about: "dependency-cruiser: which folder may import which (.dependency-cruiser.cjs)",
    command: () => [
      ...(["depcruise", "--output-type", "err-long", "index.ts"] as const),
      ...["infra", "runtime", "policy", "terminal", "local", "cli"],
    ],
  },
  { name: "unused", about: "knip: unused files, exports and packages", command: () => ["knip"] },
  {
    name: "python-lint",
    about: "ruff: lint of Python",
    command: (tools) => [inTestPython(tools, "ruff"), "check", "."],
  },
  {
    name: "python-format",
    about: "ruff: format of Python",
    command: (tools) => [inTestPython(tools, "ruff"), "format", "--check", "."],
  },
  { name: "python-types", about: "mypy: types of Python", command: (tools) => [tools.testPython, "-m", "mypy"] },
  {
    name: "python-3.9",
    about: "vermin: what the Glue Python shell runs needs no more than Python 3.9",
    command: (tools) => [
      inTestPython(tools, "vermin"),
      "--no-tips",
      "--violations",
      "-t=3.9-",
      "--eval-annotations",
      "glue-scripts",
    ],
  },
  {
    name: "unit",
    about: "mocha: program, runtime, local cloud, commands",
    command: () => mocha("test/{infra,runtime,terminal,local,cli,docs}/**/*.test.ts"),
    count: mochaCounts,
  },
  {
    name: "python",
    about: "pytest: jobs and oracle",
    beside: "unit",
    command: (tools) => [tools.testPython, "-m", "pytest"],
    count: pytestCounts,
  },
  {
    name: "end-to-end",
    about: "mocha: the whole program on the local cloud",
    command: () => mocha("test/end-to-end/**/*.test.ts"),
    count: mochaCounts,
  },
  {
    name: "faults",
    about: "what goes wrong on the local cloud: the quick ones of npm run test:faults",
    command: () => ["node", "--require", "ts-node/register/transpile-only", "test/faults/run.ts", "--quick"],
    count: pytestCounts,
  },
  {
    name: "engine",
    about: "mocha: the whole program under a real Pulumi engine",
    command: () => mocha("test/engine/**/*.test.ts"),
    needsPulumi: true,
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

/** The last "12 passing" in an output, colours or not. */
function numberBefore(word: string, output: string): number {
  const all = [...output.matchAll(new RegExp(`(\\d+) ${word}\\b`, "g"))];
  return Number(all.at(-1)?.[1] ?? 0);
}

async function main(args: string[]): Promise<number> {
  const names = program.parse(args, { from: "user" }).args;
  const unknown = names.find((name) => !checks.some((check) => check.name === name));
  if (unknown)
    throw new UserError(
      `There is no check "${unknown}". The checks are: ${checks.map((check) => check.name).join(", ")}.`,
    );
  const root = process.env.MUSIC_STREAMS_ROOT ?? process.cwd();
  process.chdir(root);
  mkdirSync(".local", { recursive: true });
  const say = (line: string) => console.log(line);
  await installToolchain(root, say);
  const tools = { root, testPython: await installTestPython(root, say) };

  const chosen = checks.filter(({ name }) => names.length === 0 || names.includes(name));
  const stop = new AbortController();
  // Its build takes minutes, in which the other checks don't need all of the machine.
  const pulumi = chosen.some(({ needsPulumi }) => needsPulumi)
    ? installPulumi({ root, log: say, stop: stop.signal }, chosen.length > 1)
    : undefined;
  pulumi?.catch(() => {});
  try {
    return await runChecks(chosen, tools, pulumi);
  } finally {
    stop.abort();
  }
}

/** @param pulumi what PATH must be for `pulumi` to be found; nothing where it can't be had */
async function runChecks(
  chosen: Check[],
  tools: Tools,
  pulumi: Promise<string | undefined> | undefined,
): Promise<number> {
  const total: Counts = { passed: 0, failed: 0 };
  const failures: string[] = [];
  const notRun: string[] = [];
  const running = new Map<string, Running>();
  for (const check of chosen) {
    console.log(`\n== ${check.name} (${check.about})`);
    let PATH: string | undefined;
    if (check.needsPulumi) {
      try {
        PATH = await pulumi;
      } catch (error) {
        console.log(`${(error as Error).message}\n== ${check.name}: FAILED`);
        failures.push(check.name);
        total.failed += 1;
        continue;
      }
      if (PATH === undefined) {
        console.log(`== ${check.name}: NOT RUN, there is no Pulumi CLI here that the tests can use. ${PULUMI_REMEDY}`);
        notRun.push(check.name);
        continue;
      }
    }
    const env = PATH === undefined ? {} : { PATH };
    const begun = running.get(check.name) ?? begin(check, tools, env);
    for (const other of chosen) if (other.beside === check.name) running.set(other.name, begin(other, tools, {}));
    const counts = await watch(check, begun);
    total.passed += counts.passed;
    total.failed += counts.failed;
    if (counts.failed > 0) failures.push(check.name);
  }
  if (notRun.length) console.log(`\nNOT RUN, for want of the Pulumi CLI: ${notRun.join(", ")}. ${PULUMI_REMEDY}`);
  if (failures.length) console.log(`\nFailed: ${failures.join(", ")}. One check alone: npm test -- ${failures[0]}`);
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  return failures.length ? 1 : 0;
}

/** A check at work; what it says is held back until somebody wants to see it. */
interface Running {
  done: Promise<{ output: string; exitCode?: number; shortMessage?: string; seconds: number }>;
  show(): void;
}

function begin(check: Check, tools: Tools, env: Record<string, string>): Running {
  const [command, ...args] = check.command(tools);
  const started = Date.now();
  const child = execa(command, args, { reject: false, all: true, stdin: "ignore", buffer: true, env });
  let held: unknown[] | undefined = [];
  child.all.on("data", (chunk) => {
    if (held) held.push(chunk);
    else process.stdout.write(chunk);
  });
  return {
    done: child.then(({ all = "", exitCode, shortMessage }) => ({
      output: all,
      seconds: Math.round((Date.now() - started) / 1000),
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(shortMessage === undefined ? {} : { shortMessage }),
    })),
    show() {
      for (const chunk of held ?? []) process.stdout.write(chunk as Buffer);
      held = undefined;
    },
  };
}

async function watch(check: Check, running: Running): Promise<Counts> {
  running.show();
  const { output, exitCode, shortMessage, seconds } = await running.done;
  const counted = check.count?.(output) ?? { passed: 1, failed: 0 };
  // A runner that broke off, or found no test, has not passed, whatever it counted.
  const broke = exitCode !== 0 && counted.failed === 0;
  const counts =
    broke || counted.passed + counted.failed === 0 ? { passed: check.count ? counted.passed : 0, failed: 1 } : counted;
  const verdict = counts.failed ? `FAILED${exitCode === undefined ? ` (${shortMessage})` : ""}` : "ok";
  console.log(`== ${check.name}: ${verdict}, ${seconds} s`);
  return counts;
}

const program = new Command("npm test --")
  .description("Runs every check of the project, or those named, installing what they need.")
  .argument("[check...]", `one of ${checks.map((check) => check.name).join(", ")}`)
  .exitOverride()
  .addHelpText("after", `\nChecks:\n${checks.map((check) => `  ${check.name.padEnd(14)} ${check.about}`).join("\n")}`);

runAsProgram(main);
