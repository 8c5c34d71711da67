import path from "node:path";
import { generateSample, sampleDefaults } from "../local/sample/generator";
import { UserError } from "../terminal/errors";
import { count, printable } from "../terminal/format";
import { wholeNumber } from "../terminal/options";
import { commandLine, type Terminal } from "../terminal/terminal";

/** `npm run generate`: sample data of any size, for `npm start -- --data DIR` or for drop. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = commandLine("music-streams generate", terminal)
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
    .option("--json", "the summary as JSON");
  await program.parseAsync(args, { from: "user" });
  const { json, ...options } = program.opts<{ json?: boolean; lastDay: string }>();
  const dir = program.args[0] as string;
  const summary = await generateSample(path.resolve(terminal.cwd, dir), options).catch((error) => {
    throw error instanceof RangeError ? new UserError(error.message, { cause: error }) : error;
  });
  if (json) {
    await terminal.out(`${JSON.stringify(summary, null, 2)}\n`);
    return 0;
  }
  const quarantined = Object.values(summary.badRows).reduce((sum, rows) => sum + rows, 0);
  await terminal.out(
    [
      `${printable(dir)}: ${count(summary.files.length)} stream files, ${count(summary.rows)} rows, ${summary.days[0]} to ${summary.days.at(-1)}`,
      `  ${count(summary.listens)} distinct listens (${count(summary.lateListens)} late, ${count(summary.unknownTrackListens)} of unknown tracks, ${count(summary.unknownUserListens)} by unknown users)`,
      `  ${count(summary.duplicates)} duplicates, ${count(quarantined)} rows and ${count(summary.quarantinedFiles)} file to be quarantined`,
      `Run the pipeline on it: npm start -- --data ${printable(dir)}\n`,
    ].join("\n"),
  );
  return 0;
}
