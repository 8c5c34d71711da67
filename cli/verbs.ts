// One table of all commands, and so longer than other files.
import { type Command, Option } from "commander";
import layout from "../layout.json";
import { sampleDefaults } from "../local/sample/defaults";
import { folderOf } from "../runtime/places";
import { wholeNumber } from "../terminal/options";
import type { Terminal } from "../terminal/terminal";
import { checkNames, checks } from "./audit/findings";

/** A command's work: takes its arguments and options, prints the answer, returns the exit code. */
// biome-ignore lint/suspicious/noExplicitAny: each command has options of its own.
export type Run = (args: string[], options: any, terminal: Terminal) => Promise<number>;

/** Says which work belongs to a command line. The work is loaded only when it begins. */
type Does = (line: Command, load: () => Run) => void;

export interface Verb {
  /** One line for the list of commands. */
  about: string;
  /** Adds description, arguments and options. Nothing heavy may be loaded here: --help must be quick. */
  describe(line: Command, does: Does): void;
}

const stack = ["--stack <name>", "a deployed stack instead of the local cloud"] as const;
const out = ["--out <file>", "write to a file instead of the standard output"] as const;
const now = [
  "--now",
  "ask a deployed stack for a tick at once instead of waiting for its schedule (the local cloud is always asked)",
] as const;

/** Every command, in the order of the list that --help prints. */
export const verbs: Record<string, Verb> = {
  start: {
    about: "runs the whole pipeline on this machine",
    describe: (line, does) =>
      does(
        line
          .description(
            "Runs the whole pipeline on this machine: emulator, local Glue, the deployed program, and sample data or your own.",
          )
          .option(
            "--once",
            "end when no file waits and no batch is in flight; exit code 0 if every batch is archived",
            false,
          )
          .option("--export <file>", "write the metrics there as NDJSON when the first batches are settled")
          .option(
            "--data <dir>",
            "your files instead of the sample: DIR/reference/users*.csv, DIR/reference/songs*.csv, DIR/streams/**",
          )
          .option(
            "--keep [dir]",
            "keep the cloud's data in DIR (default: .local/kept/) and start with it the next time; sample data or --data is loaded only the first time",
          )
          .option("--port <n>", "the emulator's port on 127.0.0.1; 0 = any free one", wholeNumber(0, 65535), 4566)
          .option("--no-standby", "keep no Spark process ready between runs: saves memory, and each run starts slower"),
        () => require("./start").run,
      ),
  },
  drop: {
    about: `uploads CSVs into ${layout.incoming}`,
    describe: (line, does) =>
      does(
        line
          .description(`Uploads CSVs into ${layout.incoming}, where the pipeline claims them.`)
          .argument(
            "<file...>",
            "CSVs (.csv, .csv.gz), or folders; a folder stands for every CSV below it, and the CSVs keep their paths",
          )
          .option("--prefix <p>", `a path below ${layout.incoming} for the files`, "")
          .option(
            "--wait",
            "return when the batches of the files are settled; exit code 0 if every file is archived and had a row that could be used",
          )
          .option("--timeout <seconds>", "longest time to wait", wholeNumber(1), 3600)
          .option(...now)
          .option(...stack),
        () => require("./drop").run,
      ),
  },
  batches: {
    about: "lists the batches of the ledger",
    describe: (line, does) =>
      does(
        line
          .description("Lists the batches, newest first: files, state, and what became of the rows.")
          .option("--json", "an array of objects, with all that the ledger knows about each batch")
          .option("--limit <n>", "only the newest n", wholeNumber())
          .option(...out)
          .option(...stack),
        () => require("./batches").run,
      ),
  },
  status: {
    about: "says whether all is well, and what to do if not",
    describe: (line, does) =>
      does(
        line
          .description(
            "One screen: what is in flight, what waits, how fresh the metrics are, what failed, what to do. It only reads. Exit code 0: healthy; 1: something needs a person.",
          )
          .option("--json", "one object, with every problem")
          .option(...out)
          .option(...stack),
        () => require("./status").run,
      ),
  },
  logs: {
    about: "shows what Lambdas and jobs logged about a batch",
    describe: (line, does) =>
      does(
        line
          .description(
            "Shows what sense, transform, publish and archive logged about a batch, in the order of time; ✖ marks errors.",
          )
          .argument("<batch-id>", "a batch, as npm run batches shows it")
          .addOption(new Option("--job <name>", "only this one").choices(["sense", "transform", "publish", "archive"]))
          .option("--attempt <n>", "only lines of this attempt", wholeNumber(1))
          .option("--follow", "go on until the batch is settled")
          .option("--json", "an object a line: time, source, attempt, level, text")
          .option(...out)
          .option(...stack),
        () => require("./logs").run,
      ),
  },
  quarantine: {
    about: "shows quarantined rows and files, with their reasons",
    describe: (line, does) =>
      does(
        line
          .description(
            "Shows the reasons of quarantined rows over all batches; with a batch, also its quarantined files and the first rows of each reason.",
          )
          .argument("[batch-id]", "a batch, as npm run batches shows it")
          .option("--json", "one object")
          .option(...out)
          .option(...stack),
        () => require("./quarantine").run,
      ),
  },
  report: {
    about: "writes a batch as one HTML file",
    describe: (line, does) =>
      does(
        line
          .description("Writes a batch as one HTML file that needs no server: times, rows, log, quarantine and files.")
          .argument("<batch-id>", "a batch, as npm run batches shows it")
          .option(...out)
          .option(...stack),
        () => require("./report").run,
      ),
  },
  console: {
    about: "serves pages about the pipeline for a browser",
    describe: (line, does) =>
      does(
        line
          .description(
            "Serves the console: batches, logs, quarantine, days and freshness as pages for a browser. It only reads, and only this machine reaches it. npm start serves it too.",
          )
          .option("--port <n>", "its port on 127.0.0.1, if it is free; 0 = any free one", wholeNumber(0, 65535), 4567)
          .option(...stack),
        () => require("./console").run,
      ),
  },
  days: {
    about: "lists the days that have metrics",
    describe: (line, does) =>
      does(
        line
          .description("Lists the days that have metrics, newest first, with their totals.")
          .option("--json", "an array of items, as metrics export has them")
          .option(...out)
          .option(...stack),
        () => require("./days").run,
      ),
  },
  genres: {
    about: "lists the genres of a day",
    describe: (line, does) =>
      does(
        line
          .description("Lists all genres of a day, the most heard first.")
          .option("--date <date>", "YYYY-MM-DD, in UTC (default: the latest day)")
          .option("--json", "an array of items, as metrics export has them")
          .option(...out)
          .option(...stack),
        () => require("./genres").run,
      ),
  },
  metrics: {
    about: "shows or exports the metrics",
    describe: (line, does) => {
      line.description("Shows the published metrics.").option(...stack);
      does(
        line
          .command("day")
          .description("a day's totals, its top genres and tracks, its hours and countries")
          .argument("<date>", "YYYY-MM-DD, in UTC")
          .option("--json", "an array of the day's own items, as metrics export has them")
          .option(...out),
        () => require("./metrics").day,
      );
      does(
        line
          .command("genre")
          .description("a genre's days, and its top tracks of a day")
          .argument("<name>", "as in the reference data")
          .option("--date <date>", "the day whose top tracks are shown (default: the latest)")
          .option(...out),
        () => require("./metrics").genre,
      );
      does(
        line
          .command("artist")
          .description("an artist's tracks in the reference data, with their ids")
          .argument("<name>", "the name or a part of it, in any case")
          .option(...out),
        () => require("./metrics").artist,
      );
      does(
        line
          .command("track")
          .description("a track's days")
          .argument("<id>", "the track's id")
          .option(...out),
        () => require("./metrics").track,
      );
      does(
        line
          .command("export")
          .description("every item, sorted by pk, then sk; the whole table is read, also for some days")
          .option("--from <date>", "only this day (YYYY-MM-DD, UTC) and later ones")
          .option("--to <date>", "only this day and earlier ones")
          .addOption(
            new Option(
              "--format <name>",
              "ndjson: an item a line; csv and parquet: an item, or an entry of a list, a row",
            )
              .choices(["ndjson", "csv", "parquet"])
              .default("ndjson"),
          )
          .option(
            "--all",
            "with batch_id and published_at: which run wrote an item; and listed_in: where the index has it",
          )
          .option(...out),
        () => require("./metrics").exportItems,
      );
    },
  },
  replay: {
    about: "runs archived batches again",
    describe: (line, does) =>
      does(
        line
          .description(
            `Runs archived batches again from ${folderOf("archived")}, with today's reference data and rules. Each replaces what it wrote before. They run one after the other, oldest first, before the files in ${layout.incoming}.`,
          )
          .argument("[batch-id...]", "batches, as npm run batches shows them")
          .option("--from <date>", "archived batches claimed on this day (YYYY-MM-DD, UTC) or later")
          .option("--to <date>", "archived batches claimed on this day or before")
          .option("--dry-run", "only list what would run again")
          .option("--wait", "return when all of them have ended; exit code 0 if all are archived again")
          .option(...now)
          .option(...stack),
        () => require("./replay").run,
      ),
  },
  forget: {
    about: "removes a listener from the listens and the metrics",
    describe: (line, does) =>
      does(
        line
          .description(
            `Forgets a listener. From now on no run counts their rows, and every batch that has some runs again from ${folderOf("archived")} without them. It says what stays, and until when. Repeating it does no harm.`,
          )
          .argument("<user-id>", "the listener's id, as in the streams")
          .option("--dry-run", "only say which batches would run again, and what stays")
          .option(
            "--wait",
            "return when no batch has rows of the listener; exit code 0 if nothing is left. Ctrl-C is harmless: repeat it",
          )
          .option(...now)
          .option(...stack),
        () => require("./forget").run,
      ),
  },
  retry: {
    about: `puts the files of FAILED batches back into ${layout.incoming}`,
    describe: (line, does) =>
      does(
        line
          .description(
            `Puts the files of a FAILED batch back into ${layout.incoming}, where a new batch claims them, and releases held files. Mend the cause first: npm run batches shows it.`,
          )
          .argument("[batch-id...]", "FAILED batches, or batches with held files")
          .option(
            "--all",
            `every FAILED batch whose files still lie in ${folderOf("failed")}, and every one with held files`,
          )
          .option(...now)
          .option(...stack),
        () => require("./retry").run,
      ),
  },
  abandon: {
    about: "gives up a batch that can't end by itself",
    describe: (line, does) =>
      does(
        line
          .description(
            `Gives up a batch that can't end by itself. Its run is stopped, none of its rows count, and its files go to ${folderOf("failed")}; npm run retry puts them back. A replay ends instead, and its batch stays archived. Files that S3 does not move stay where they are, held. Without --yes it only says what would happen.`,
          )
          .argument("<batch-id>", "a batch that is not settled, as npm run batches shows it")
          .option("--yes", "do it")
          .option(...now)
          .option(...stack),
        () => require("./abandon").run,
      ),
  },
  pause: {
    about: "stops the pipeline from claiming files",
    describe: (line, does) =>
      does(
        line
          .description(
            "Pauses the pipeline: it claims no files and starts no replay. The batch in flight is still settled.",
          )
          .option(...stack),
        () => require("./pause").run,
      ),
  },
  resume: {
    about: "ends the pause",
    describe: (line, does) =>
      does(
        line
          .description("Ends the pause: the next tick claims the waiting files.")
          .option(...now)
          .option(...stack),
        () => require("./resume").run,
      ),
  },
  audit: {
    about: "checks that nothing is lost or counted twice",
    describe: (line, does) =>
      does(
        line
          .description(
            "Checks the bucket, the ledger and the metrics, and lists every breach of an invariant. It only reads. Exit code 0: no breach; 1: breaches.",
          )
          .option("--deep", "also read every archived CSV again, and compare curated with it")
          .option("--json", "one object: checks, breaches, information")
          .option(...out)
          .option(...stack)
          .addHelpText(
            "after",
            `\nChecks:\n${checkNames.map((name) => `  ${name.padEnd(8)} ${checks[name]}`).join("\n")}`,
          ),
        () => require("./audit").run,
      ),
  },
  env: {
    about: "prints what AWS clients need for the local cloud",
    describe: (line, does) =>
      does(
        line.description(
          'Prints the variables that AWS clients need for the running local cloud: eval "$(npx music-streams env)"',
        ),
        () => require("./env").run,
      ),
  },
  generate: {
    about: "writes sample data of any size",
    describe: (line, does) =>
      does(
        line
          .description(
            "Writes generated sample data: DIR/reference/users.csv, DIR/reference/songs.csv and DIR/streams/. The same options give the same bytes.",
          )
          .argument("<dir>", "a folder, empty or not there yet")
          .option("--seed <n>", "seed of the random data", wholeNumber(), sampleDefaults.seed)
          .option("--listens <n>", "distinct valid listens", wholeNumber(), sampleDefaults.listens)
          .option("--tracks <n>", "tracks with listens", wholeNumber(), sampleDefaults.tracks)
          .option("--users <n>", "users with listens", wholeNumber(), sampleDefaults.users)
          .option("--days <n>", "days", wholeNumber(), sampleDefaults.days)
          .option("--last-day <date>", "last day, YYYY-MM-DD", sampleDefaults.lastDay)
          .option("--json", "the summary as JSON"),
        () => require("./generate").run,
      ),
  },
  cost: {
    about: "estimates what a month costs on AWS",
    describe: (line, does) =>
      does(
        line
          .description(
            "Estimates what a month of a deployed stack costs, next to managed Airflow and to DuckDB on Fargate. It asks no service: prices and measured times are in cli/cost/.",
          )
          .requiredOption("--listens-per-day <n>", "rows that arrive", wholeNumber(1, 100_000_000_000))
          .option("--batches-per-day <n>", "batches that the schedule allows", wholeNumber(1, 1440), 288)
          .option("--files-per-day <n>", "CSVs that arrive (default: one for each batch)", wholeNumber(1))
          .option("--tracks <n>", "tracks that are played", wholeNumber(2), 90_000)
          .option("--genres <n>", "genres of the reference data", wholeNumber(1), 114)
          .option("--workers <n>", "G.1X workers of transform (default: as few as keep up)", wholeNumber(2, 299))
          .option("--json", "one object")
          .option(...out),
        () => require("./cost").run,
      ),
  },
};
