import path from "node:path";
import type { Command } from "commander";
import { version } from "../package.json";
import { UsageError } from "../terminal/errors";
import { wrongUsage } from "../terminal/exit-codes.cjs";
import { printable } from "../terminal/format";
import { commandLine, runAsProgram, type Terminal } from "../terminal/terminal";
import { type Run, verbs } from "./verbs";
import { writeWhole } from "./whole-file";

/** `npx music-streams VERB`: finds the command and runs it. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  let chosen: { line: Command; load: () => Run } | undefined;
  const program = commandLine("music-streams", terminal)
    .usage("VERB [arguments]")
    .description(
      "Runs the pipeline on this machine, and works on a running one. `music-streams VERB --help` tells more.",
    )
    .version(version)
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true });
  const wanted = args.find((arg) => !arg.startsWith("-"));
  for (const [name, { about, describe }] of Object.entries(verbs)) {
    const line = program.command(name).summary(about).helpCommand(false).allowExcessArguments(false);
    if (name !== wanted) continue;
    describe(line, (one, load) => {
      one.allowExcessArguments(false).action(() => {
        chosen = { line: one, load };
      });
    });
    refuseLostOptions(line, args, terminal.env);
  }
  program.parse(args, { from: "user" });
  if (!chosen) return wrongUsage;
  const { line, load } = chosen;
  const { out, ...options } = line.optsWithGlobals();
  if (out === undefined) return load()(line.args, options, terminal);
  const code = await writeWhole(path.resolve(terminal.cwd, out), (write) =>
    load()(line.args, options, { ...terminal, out: write }),
  );
  terminal.note(`Written to ${printable(out)}.`);
  return code;
}

/**
 * `npm run drop --wait f`: without `--` before it, npm takes an option for its own. The script gets it only as a
 * variable `npm_config_wait`. Running without it would do something else than the user asked for.
 */
function refuseLostOptions(line: Command, args: string[], env: NodeJS.ProcessEnv): void {
  const script = line.name();
  if (env.npm_lifecycle_event !== script) return;
  const options = [line, ...line.commands].flatMap((one) => one.options);
  const lost = options.filter(({ long }) => {
    const name = long?.slice(2) ?? "";
    const value = env[`npm_config_${name.replaceAll("-", "_")}`];
    // npm always sets its own prefix, and an empty value stands for false.
    return name !== "prefix" && value && value !== "false" && !args.some((arg) => arg.split("=")[0] === long);
  });
  if (lost.length === 0) return;
  const names = [...new Set(lost.map(({ long }) => long))].join(" and ");
  const npm = script === "start" ? "npm start" : `npm run ${script}`;
  throw new UsageError(
    `${script}: npm took ${names} for an option of its own, so nothing was done. ` +
      `Put -- before the options (${npm} -- ${names} ...), or use: npx music-streams ${script} ${names} ...`,
  );
}

if (require.main === module) runAsProgram(main);
