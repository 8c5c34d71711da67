import { existsSync } from "node:fs";
import path from "node:path";
import { execa } from "execa";
import { generateSample } from "../local/sample/generator";
import { installTestPython, installToolchain } from "../local/toolchain/install.cjs";
import { wholeNumber } from "../terminal/options";
import { commandLine, runAsProgram, type Terminal } from "../terminal/terminal";
import { writeMonth } from "./month-page";

/** About as many songs and users as in the data that the project was made for. bench/listens.py makes the listens. */
const referenceSize = { seed: 1, tracks: 24_400, users: 50_000, listens: 1_000, days: 1 };

const cases: Record<string, string> = {
  transform: "transform next to three baselines: 1 M and 5 M listens, in one file and in 500",
  scaling: "transform with 1, 2 and 4 task slots, with a table of Spark's stages",
  memory: "transform of 5 M and 20 M listens with the same heap: peak memory, and what Spark spills",
  growth: "10,000 listens into days and lakes of growing size",
  "day-of-batches": "a small batch into a day of one batch, and of 288",
  days: "one batch over 4,500 days",
  publish: "publish by both engines, next to writing alone",
  "small-files": "thousands of files of 20 rows next to one file of the same rows",
  "local-loop": "npm start until it shows metrics, and drop --wait of a small file",
  "first-start": "npm start in a fresh clone with empty caches, until it shows metrics",
  lambdas: "the packages of the Lambdas, and how long their code takes to load",
};
/** Nothing is measured: a virtual clock gives the same figures everywhere. */
const month = "month";
const about = {
  ...cases,
  [month]: "a month of arrivals through the Lambdas' code, on a virtual clock, for docs/scale.md",
};

/** `npm run bench`: installs what the benchmarks need, and runs bench/bench.py. */
async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = commandLine("npm run bench --", terminal)
    .description(
      "Measures the jobs on this machine, writes the figures to bench/results/, and renders docs/performance.md. Nothing else should run meanwhile.",
    )
    .argument("[case...]", "only these")
    .option("--quick", "small sizes", false)
    .option("--rounds <n>", "how often each figure is measured; the median counts", wholeNumber(1, 99), 3)
    .option("--render", "only render docs/performance.md from the newest results", false)
    .addHelpText(
      "after",
      `\nCases:\n${Object.entries(about)
        .map(([name, text]) => `  ${name.padEnd(14)} ${text}`)
        .join("\n")}`,
    );
  const { quick, rounds, render } = program
    .parse(args, { from: "user" })
    .opts<{ quick: boolean; rounds: number; render: boolean }>();
  const unknown = program.args.find((name) => !(name in about));
  if (unknown !== undefined) program.error(`error: there is no case "${unknown}": ${Object.keys(about).join(", ")}`);
  if (!render && (program.args.length === 0 || program.args.includes(month))) await writeMonth(terminal.root);
  if (program.args.length > 0 && program.args.every((name) => name === month)) return 0;

  const { javaHome } = await installToolchain(terminal.root, terminal.note);
  const python = await installTestPython(terminal.root, terminal.note);
  const rooms = ["bench", "glue-scripts", "test", "test/glue-scripts"].map((room) => path.join(terminal.root, room));
  const inPython = async (...command: string[]) => {
    const env = {
      JAVA_HOME: javaHome,
      BENCH_NODE: process.execPath,
      TZ: "UTC",
      PYTHONUTF8: "1",
      PYTHONPATH: rooms.join(path.delimiter),
    };
    const { exitCode } = await execa(python, command, { cwd: terminal.root, stdio: "inherit", reject: false, env });
    return exitCode ?? 1;
  };
  if (render) return inPython("bench/page.py");
  const folder = path.join(terminal.root, ".local", "bench");
  if (!existsSync(path.join(folder, "sample", "reference", "songs.csv")))
    await generateSample(path.join(folder, "sample"), referenceSize);
  const chosen = program.args.length > 0 ? program.args.filter((name) => name !== month) : Object.keys(cases);
  const options = ["--folder", folder, "--rounds", String(rounds), ...(quick ? ["--quick"] : [])];
  const code = await inPython("bench/bench.py", ...options, ...chosen);
  return code || inPython("bench/page.py");
}

runAsProgram(main);
