import path from "node:path";
import { generateSample, type SampleOptions } from "../local/sample/generator";
import { UsageError } from "../terminal/errors";
import { count, counted, printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";

interface Options extends SampleOptions {
  json?: boolean;
}

/** `generate`: sample data of any size, for `npm start -- --data DIR` or for drop. */
export async function run([dir = ""]: string[], { json, ...options }: Options, terminal: Terminal): Promise<number> {
  const summary = await generateSample(path.resolve(terminal.cwd, dir), options).catch((error) => {
    throw error instanceof RangeError ? new UsageError(error.message, { cause: error }) : error;
  });
  if (json) {
    await terminal.out(`${JSON.stringify(summary, null, 2)}\n`);
    return 0;
  }
  const quarantined = Object.values(summary.badRows).reduce((sum, rows) => sum + rows, 0);
  await terminal.out(
    [
      `${printable(dir)}: ${counted(summary.files.length, "stream file")}, ${counted(summary.rows, "row")}, ${summary.days[0]} to ${summary.days.at(-1)}`,
      `  ${counted(summary.listens, "distinct listen")} (${count(summary.lateListens)} late, ${count(summary.unknownTrackListens)} of unknown tracks, ${count(summary.unknownUserListens)} by unknown users)`,
      `  ${counted(summary.duplicates, "duplicate")}, ${counted(quarantined, "row")} and ${counted(summary.quarantinedFiles, "file")} to be quarantined`,
      `Run the pipeline on it: npm start -- --data ${printable(dir)}\n`,
    ].join("\n"),
  );
  return 0;
}
