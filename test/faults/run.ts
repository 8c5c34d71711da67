import { installTestPython } from "../../local/toolchain/install.cjs";
import { UserError } from "../../terminal/errors";
import { commandLine, runAsProgram, type Terminal } from "../../terminal/terminal";
import { callScenarios } from "./calls";
import { fileScenarios } from "./files";
import { jobScenarios } from "./jobs";
import { lambdaScenarios } from "./lambdas";
import { poisonScenarios } from "./poison";
import { restartScenarios } from "./restarts";
import type { Scenario } from "./scenario";
import { type Outcome, Stage } from "./stage";
import { playStarts, type StartScenario, startScenarios } from "./starts";

type AnyScenario = Scenario | StartScenario;

const scenarios: AnyScenario[] = [
  ...jobScenarios,
  ...lambdaScenarios,
  ...callScenarios,
  ...fileScenarios,
  ...poisonScenarios,
  ...restartScenarios,
  ...startScenarios,
];

interface Result {
  scenario: AnyScenario;
  /** Scenarios of `npm start` itself count no batches, runs and ticks. */
  outcome?: Pick<Outcome, "seconds" | "faults"> & Partial<Outcome>;
  error?: unknown;
}

/** Plays scenarios on the local cloud, one after the other. After a failed scenario the next one gets a new cloud. */
async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = commandLine("npm run test:faults --", terminal)
    .description(
      "Makes the pipeline fail in many ways on the local cloud, and checks that nothing is lost or counted twice.",
    )
    .argument("[scenario...]", "the scenarios to play; all of them if none is named")
    .option("--quick", "only those that are part of npm run test:all", false)
    .addHelpText(
      "after",
      `\nScenarios:\n${scenarios.map((each) => `  ${each.name.padEnd(24)} ${each.about}${isQuick(each) ? " (quick)" : ""}`).join("\n")}`,
    )
    .parse(args, { from: "user" });
  const chosen = choose(program.args, program.opts<{ quick: boolean }>().quick);
  await installTestPython(terminal.root, terminal.note);
  const results: Result[] = [];
  let stage: Stage | undefined;
  try {
    for (const scenario of chosen) {
      const wanted = "ends" in scenario ? undefined : scenario.keeps === true;
      if (stage && stage.keeps !== wanted) {
        await stage.close();
        stage = undefined;
      }
      if (wanted !== undefined) stage ??= await Stage.open({ keep: wanted, log: terminal.note });
      const result = await play(scenario, stage);
      results.push(result);
      terminal.note(line(result));
      if (result.error === undefined) continue;
      await stage?.close();
      stage = undefined;
    }
  } finally {
    await stage?.close();
  }
  await terminal.out(`${table(results)}\n`);
  const failed = results.filter(({ error }) => error !== undefined);
  await terminal.out(`\n${results.length - failed.length} passed, ${failed.length} failed\n`);
  return failed.length ? 1 : 0;
}

function choose(names: string[], quick: boolean): AnyScenario[] {
  const unknown = names.find((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown)
    throw new UserError(
      `There is no scenario "${unknown}". The scenarios are: ${scenarios.map(({ name }) => name).join(", ")}.`,
    );
  return scenarios.filter((each) => (names.length ? names.includes(each.name) : !quick || isQuick(each)));
}

const isQuick = (scenario: AnyScenario) => "quick" in scenario && scenario.quick === true;

async function play(scenario: AnyScenario, stage: Stage | undefined): Promise<Result> {
  try {
    if ("ends" in scenario) return { scenario, outcome: await playStarts(scenario) };
    if (!stage) throw new Error(`${scenario.name} has no stage`);
    await stage.begin(scenario.name);
    await scenario.play(stage);
    await stage.settle();
    return { scenario, outcome: await stage.check() };
  } catch (error) {
    return { scenario, error };
  }
}

function line({ scenario, outcome, error }: Result): string {
  if (!outcome) return `FAILED  ${scenario.name}: ${(error as Error).stack ?? error}`;
  const { seconds, files, batches, runs, ticks, after } = outcome;
  const faults = Object.entries(outcome.faults).map(([name, times]) => `${name} ${times}`);
  const counts = after
    ? `files ${files}, batches ${batches}, runs ${runs}, ticks ${ticks}; after the last fault ticks ${after.ticks}, runs ${after.runs}; `
    : "";
  return `ok      ${scenario.name.padEnd(24)} ${seconds.toFixed(0).padStart(4)} s  ${counts}faults: ${faults.join(", ")}`;
}

/** The results as Markdown. */
function table(results: Result[]): string {
  const head = [
    "scenario",
    "what goes wrong",
    "faults",
    "files",
    "batches",
    "runs",
    "ticks and runs after the last fault",
    "time",
  ];
  const rows = results.map(({ scenario, outcome }) => {
    if (!outcome) return [scenario.name, scenario.about, "FAILED", "", "", "", "", ""];
    const faults = Object.entries(outcome.faults).map(([name, times]) => `${times} ${name}`);
    const { files = "", batches = "", runs = "", after, seconds } = outcome;
    return [
      scenario.name,
      scenario.about,
      faults.join(", "),
      files,
      batches,
      runs,
      after ? `${after.ticks}, ${after.runs}` : "",
      `${seconds.toFixed(0)} s`,
    ];
  });
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

runAsProgram(main);
