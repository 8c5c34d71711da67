import { type Command, CommanderError } from "commander";
import { version } from "../package.json";
import { commandLine, type Main, runAsProgram, type Terminal } from "../terminal/terminal";

interface Verb {
  about: string;
  load(): { main: Main };
}

/** Every command. Each is loaded only when it is the one to run. */
const verbs: Record<string, Verb> = {
  start: { about: "runs the whole pipeline on this machine", load: () => require("./start") },
  drop: { about: "uploads CSVs into incoming/", load: () => require("./drop") },
  batches: { about: "lists the batches of the ledger", load: () => require("./batches") },
  metrics: { about: "shows or exports the metrics", load: () => require("./metrics") },
  replay: { about: "runs archived batches again", load: () => require("./replay") },
  retry: { about: "puts the files of FAILED batches back into incoming/", load: () => require("./retry") },
  abandon: { about: "gives up a batch that can't end by itself", load: () => require("./abandon") },
  pause: { about: "stops the pipeline from claiming files", load: () => require("./pause") },
  resume: { about: "ends the pause", load: () => require("./resume") },
  audit: { about: "checks that nothing is lost or counted twice", load: () => require("./audit") },
  env: { about: "prints what AWS clients need for the local cloud", load: () => require("./env") },
  generate: { about: "writes sample data of any size", load: () => require("./generate") },
};

const wrongUsage = 2;

/** `npx music-streams VERB`: finds the command and runs it. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  let chosen: { verb: Verb; rest: string[] } | undefined;
  const program = commandLine("music-streams", terminal)
    .usage("VERB [arguments]")
    .description(
      "Runs the pipeline on this machine, and works on a running one. `music-streams VERB --help` tells more.",
    )
    .version(version)
    .helpCommand(false)
    .enablePositionalOptions();
  for (const [name, verb] of Object.entries(verbs))
    program
      .command(name)
      .description(verb.about)
      // The command reads its own options, --help among them.
      .helpOption(false)
      .allowUnknownOption()
      .allowExcessArguments()
      .passThroughOptions()
      .action((_, { args: rest }: Command) => {
        chosen = { verb, rest };
      });
  try {
    program.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : wrongUsage;
  }
  if (!chosen) return wrongUsage;
  return chosen.verb.load().main(chosen.rest, terminal);
}

if (require.main === module) runAsProgram(main);
