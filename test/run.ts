import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { execa } from "execa";
import { installTestPython, installToolchain } from "../local/toolchain/install.cjs";
import { installPulumi, PULUMI_REMEDY } from "../local/toolchain/install-pulumi";
import { UserError } from "../terminal/errors";
import { count, table } from "../terminal/format";
import { commandLine, runAsProgram, type Terminal } from "../terminal/terminal";
import { type Check, type Counts, checks } from "./checks";
import { inSlots } from "./schedule";

interface Options {
  full: boolean;
  beyond: boolean;
}

interface Result extends Counts {
  check: Check;
  verdict: "ok" | "FAILED" | "NOT RUN";
  seconds: number;
  output: string;
}

/** What checks wait for. */
interface Installed {
  python: Promise<string>;
  /** PATH with a `pulumi`; nothing where there is none to be had. */
  pulumi: Promise<string | undefined>;
}

/**
 * `npm test`: the project's checks, as many at once as there are cores. Each has its output in one piece; a table and
 * one line that adds them up follow. `npm run test:all` (--full) runs all of them at full count.
 */
async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = commandLine("npm test --", terminal)
    .description("Runs the project's checks, or those named, and installs what they need.")
    .argument("[check...]", `one of ${checks.map((check) => check.name).join(", ")}`)
    .option("--full", "every check, at full count (npm run test:all)", false)
    .option("--beyond", "with --full: only the files that npm test does not run, or runs in smaller number", false)
    .addHelpText(
      "after",
      `\nChecks:\n${checks.map((check) => `  ${check.name.padEnd(14)} ${check.about}`).join("\n")}`,
    );
  const options = program.parse(args, { from: "user" }).opts<Options>();
  const chosen = choose(program.args, options);
  process.chdir(terminal.root);
  mkdirSync(".local", { recursive: true });
  if (options.full) process.env.FULL = "1";
  const data = process.env.MUSIC_STREAMS_DATA;
  console.log(
    data ? `Real data: ${data}` : "Real data: none, its tests are skipped (MUSIC_STREAMS_DATA names a folder)",
  );
  const stop = new AbortController();
  try {
    return report(await runChecks(chosen, install(chosen, terminal.root, stop.signal), options.full && options.beyond));
  } finally {
    stop.abort();
  }
}

function choose(names: string[], { full, beyond }: Options): Check[] {
  const unknown = names.find((name) => !checks.some((check) => check.name === name));
  if (unknown)
    throw new UserError(
      `There is no check "${unknown}". The checks are: ${checks.map((check) => check.name).join(", ")}.`,
    );
  if (names.length > 0) return checks.filter(({ name }) => names.includes(name));
  if (!full) return checks.filter((check) => check.in === "test");
  return checks.filter((check) => check.in === "all" || (check.in === "test" && (!beyond || check.grows)));
}

/** Installs what the chosen checks need, while those that need nothing run already. */
function install(chosen: Check[], root: string, stop: AbortSignal): Installed {
  const say = (line: string) => console.log(line);
  const needs = (what: Check["needs"]) => chosen.some((check) => check.needs === what);
  const python = (async () => {
    if (!needs("python") && !needs("pulumi")) return "";
    await installToolchain(root, say);
    return installTestPython(root, say);
  })();
  // Its build takes minutes, in which the other checks don't need all of the machine.
  const pulumi = python.then(() =>
    needs("pulumi") ? installPulumi({ root, log: say, stop }, chosen.length > 1) : undefined,
  );
  for (const promise of [python, pulumi]) promise.catch(() => {});
  return { python, pulumi };
}

async function runChecks(chosen: Check[], installed: Installed, beyond: boolean): Promise<Result[]> {
  const output = new InOrder();
  return inSlots(chosen, availableParallelism(), (check) =>
    run(check, installed, output.next(), beyond ? check.grows : undefined),
  );
}

async function run(check: Check, installed: Installed, output: Output, files?: string[]): Promise<Result> {
  const done = (verdict: Result["verdict"], seconds: number, counts: Counts, why = "", all = ""): Result => {
    output.write(`${why}\n== ${check.name}: ${verdict}${seconds ? `, ${seconds} s` : ""}\n`);
    output.end();
    return { check, verdict, seconds, output: all + why, ...counts };
  };
  output.write(`\n== ${check.name} (${check.about})\n`);
  let { env = {} } = check;
  let testPython = "";
  try {
    if (check.needs) testPython = await installed.python;
    if (check.needs === "pulumi") {
      const PATH = await installed.pulumi;
      if (PATH === undefined)
        return done("NOT RUN", 0, none, `There is no Pulumi CLI that the tests can use. ${PULUMI_REMEDY}`);
      env = { ...env, PATH };
    }
  } catch (error) {
    return done("FAILED", 0, { passed: 0, failed: 1 }, (error as Error).message);
  }
  const startedMs = Date.now();
  const [command, ...args] = check.command({ testPython }, files);
  const child = execa(command, args, { reject: false, all: true, stdin: "ignore", buffer: true, env });
  child.all.on("data", (chunk: Buffer) => output.write(chunk));
  const { all = "", exitCode, shortMessage } = await child;
  const counts = countsOf(check, all, exitCode);
  const why = counts.failed > 0 && exitCode === undefined ? (shortMessage ?? "") : "";
  return done(counts.failed ? "FAILED" : "ok", Math.round((Date.now() - startedMs) / 1000), counts, why, all);
}

const none: Counts = { passed: 0, failed: 0 };

/** A runner that broke off, or that found no test, has not passed, whatever it counted. */
function countsOf(check: Check, output: string, exitCode: number | undefined): Counts {
  const counted = check.count?.(output) ?? { passed: 1, failed: 0 };
  const broke = exitCode !== 0 && counted.failed === 0;
  if (!broke && counted.passed + counted.failed > 0) return counted;
  return { passed: check.count ? counted.passed : 0, failed: 1 };
}

function report(results: Result[]): number {
  const numbers = ["passed", "failed", "seconds"];
  const rows = results.map(({ check, verdict, passed, failed, seconds }) => [
    ...[check.name, verdict],
    ...[count(passed), count(failed), count(seconds)],
  ]);
  // Whoever reads only the end of a log, as of CI, must see what failed.
  for (const { check, verdict, output } of results)
    if (verdict === "FAILED") console.log(`\n== the end of ${check.name}\n${lastLines(output.trimEnd(), 60)}`);
  console.log(`\n${table(["check", "verdict", ...numbers], rows, numbers)}`);
  const named = (verdict: Result["verdict"]) => results.filter((one) => one.verdict === verdict).map(nameOf);
  const [failures, notRun] = [named("FAILED"), named("NOT RUN")];
  if (notRun.length) console.log(`\nNOT RUN, for want of the Pulumi CLI: ${notRun.join(", ")}. ${PULUMI_REMEDY}`);
  if (failures.length) console.log(`\nFailed: ${failures.join(", ")}. One check alone: npm test -- ${failures[0]}`);
  const sum = (what: keyof Counts) => results.reduce((total, one) => total + one[what], 0);
  console.log(`\n${sum("passed")} passed, ${sum("failed")} failed`);
  return failures.length ? 1 : 0;
}

const lastLines = (text: string, number: number) => text.split("\n").slice(-number).join("\n");
const nameOf = ({ check }: Result) => check.name;

interface Output {
  write(chunk: string | Buffer): void;
  end(): void;
}

/** Several outputs on one: the first one that has not ended is written as it comes, the others wait for their turn. */
class InOrder {
  private readonly queue: { held: (string | Buffer)[]; ended: boolean }[] = [];

  next(): Output {
    const own = { held: [] as (string | Buffer)[], ended: false };
    this.queue.push(own);
    return {
      write: (chunk) => {
        own.held.push(chunk);
        this.flush();
      },
      end: () => {
        own.ended = true;
        this.flush();
      },
    };
  }

  private flush(): void {
    for (let first = this.queue[0]; first; first = this.queue[0]) {
      for (const chunk of first.held.splice(0)) process.stdout.write(chunk);
      if (!first.ended) return;
      this.queue.shift();
    }
  }
}

runAsProgram(main);
