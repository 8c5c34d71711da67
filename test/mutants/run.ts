import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import pMap from "p-map";
import { installTestPython, installToolchain } from "../../local/toolchain/install.cjs";
import { UserError } from "../../terminal/errors";
import { duration, table } from "../../terminal/format";
import { wholeNumber } from "../../terminal/options";
import { commandLine, runAsProgram, type Terminal } from "../../terminal/terminal";
import { copyProject, environmentOf } from "../support/project-copy";
import { type Check, MUTANTS, type Mutant } from "./list";

/** What a test said about a tree. `broken`: it gave no verdict. */
type Verdict = "passes" | "fails" | "broken";

interface Result {
  mutant: Mutant;
  /** `caught`: the named test fails, or hangs. */
  outcome: "caught" | "SURVIVED" | "broken";
  tookMs: number;
}

const LONGEST_TEST_MS = 400_000;

/**
 * `npm run test:mutants`: plants each bug of the list, one at a time, and sees the test that is named beside it fail.
 */
async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = commandLine("npm run test:mutants --", terminal)
    .description(
      "Plants bugs in copies of the project, one at a time, and runs the test that must find each. Exit code 1 if one survives.",
    )
    .argument("[word...]", "only the bugs whose name or file holds one of these words")
    .option("--list", "only list the bugs, with the tests that find them")
    .option("--at-once", "don't run the tests without a bug first: they have just passed")
    .option("--jobs <n>", "how many at once", wholeNumber(1, 99), Math.min(4, availableParallelism()));
  await program.parseAsync(args, { from: "user" });
  const { list, atOnce, jobs } = program.opts<{ list?: boolean; atOnce?: boolean; jobs: number }>();
  const words = program.args.map((word) => word.toLowerCase());
  const isChosen = ({ name, file }: Mutant) =>
    words.length === 0 || words.some((word) => `${name} ${file}`.toLowerCase().includes(word));
  const chosen = MUTANTS.filter(isChosen);
  if (chosen.length === 0) throw new UserError("No bug of the list has these words. See them with --list.");
  if (list) {
    await terminal.out(`${chosen.map((one) => `${one.file}: ${one.name}\n    ${textOf(one.caughtBy)}`).join("\n")}\n`);
    return 0;
  }
  await installToolchain(terminal.root, terminal.note);
  await installTestPython(terminal.root, terminal.note);
  return hunt(chosen, jobs, atOnce ?? false, terminal);
}

async function hunt(mutants: Mutant[], jobs: number, atOnce: boolean, terminal: Terminal): Promise<number> {
  const folder = await mkdtemp(path.join(tmpdir(), "music-streams-mutants-"));
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());
  const trees = Array.from({ length: jobs }, (_, index) => path.join(folder, String(index)));
  const startedMs = Date.now();
  try {
    await Promise.all(trees.map((tree) => copyProject(terminal.root, tree)));
    const free = [...trees];
    const inTree = async <T>(work: (tree: string) => Promise<T>): Promise<T> => {
      const tree = free.pop()!;
      return work(tree).finally(() => free.push(tree));
    };
    // A test that fails without a bug finds nothing.
    const checks = atOnce ? [] : [...new Map(mutants.map(({ caughtBy }) => [textOf(caughtBy), caughtBy])).values()];
    if (checks.length > 0) terminal.note(`${checks.length} tests without a bug ...`);
    const unfit = await pMap(
      checks,
      (check) => inTree(async (tree) => ((await verdict(tree, check, interrupted.signal)) === "passes" ? [] : [check])),
      { concurrency: jobs },
    );
    if (unfit.flat().length > 0)
      throw new UserError(`These tests don't pass without a bug: ${unfit.flat().map(textOf).join("; ")}`);
    const results = await pMap(
      mutants,
      (mutant) =>
        inTree(async (tree) => {
          const result = await plant(tree, mutant, interrupted.signal);
          terminal.note(`${result.outcome.padEnd(8)} ${mutant.name} (${duration(result.tookMs)})`);
          return result;
        }),
      { concurrency: jobs },
    );
    return report(results, Date.now() - startedMs, terminal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function plant(tree: string, mutant: Mutant, stop: AbortSignal): Promise<Result> {
  const file = path.join(tree, mutant.file);
  const sound = await readFile(file, "utf8");
  const places = sound.split(mutant.find).length - 1;
  if (places !== 1)
    throw new UserError(
      `"${mutant.name}": its text stands ${places} times in ${mutant.file}, not once. Bring test/mutants/list.ts up to date.`,
    );
  const startedMs = Date.now();
  try {
    await writeFile(
      file,
      sound.replace(mutant.find, () => mutant.replace),
    );
    const found = await verdict(tree, mutant.caughtBy, stop);
    const outcome = ({ passes: "SURVIVED", fails: "caught", broken: "broken" } as const)[found];
    return { mutant, outcome, tookMs: Date.now() - startedMs };
  } finally {
    await writeFile(file, sound);
  }
}

/** Runs one test. It fails when its runner counts a failure; a tree that doesn't load is broken. */
async function verdict(tree: string, check: Check, stop: AbortSignal): Promise<Verdict> {
  const [command, ...args] = commandOf(tree, check);
  const run = await execa(command!, args, {
    cwd: tree,
    reject: false,
    all: true,
    stdin: "ignore",
    timeout: LONGEST_TEST_MS,
    cancelSignal: stop,
    env: {
      ...environmentOf(tree),
      HISTORIES: "4000",
      FAULTS_AT: "every",
      SEED: "1",
      SHRINK: "no",
    },
  });
  if (stop.aborted) throw new UserError("stopped");
  if (run.timedOut) return "fails";
  const counts = (word: string) => Number(new RegExp(`(\\d+) ${word}\\b`).exec(run.all ?? "")?.[1] ?? 0);
  const [passed, failed] = [counts("passing") + counts("passed"), counts("failing") + counts("failed")];
  if (run.exitCode === 0 && passed > 0) return "passes";
  // pytest ends with 1 also when a fixture fails, and with 2 when a file does not load.
  return failed > 0 || (check.file.endsWith(".py") && run.exitCode === 1) ? "fails" : "broken";
}

function commandOf(tree: string, { file, title }: Check): string[] {
  if (file.endsWith(".py")) {
    const python = path.join(tree, ".local", "python-test", "bin", "python");
    return [python, "-m", "pytest", `${file}::${title}`, "-p", "no:cacheprovider"];
  }
  const pattern = title.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return ["mocha", "--config", "test/.mocharc.json", "--bail", file, "--grep", `^${pattern}`];
}

function textOf({ file, title }: Check): string {
  return `${file}: ${title}`;
}

async function report(results: Result[], tookMs: number, terminal: Terminal): Promise<number> {
  const rows = results.map(({ mutant, outcome }) => [mutant.file, mutant.name, outcome, textOf(mutant.caughtBy)]);
  await terminal.out(`${table(["file", "bug", "outcome", "by"], rows)}\n`);
  const caught = results.filter(({ outcome }) => outcome === "caught").length;
  await terminal.out(`${caught} of ${results.length} bugs caught, in ${duration(tookMs)}\n`);
  return caught === results.length ? 0 : 1;
}

runAsProgram(main);
