import path from "node:path";
import { generateSample, type SampleOptions } from "../local/sample/generator";
import { UsageError } from "../terminal/errors";
import { count, printable } from "../terminal/format";
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
      `${printable(dir)}: ${count(summary.files.length)} stream files, ${count(summary.rows)} rows, ${summary.days[0]} to ${summary.days.at(-1)}`,
      `  ${count(summary.listens)} distinct listens (${count(summary.lateListens)} late, ${count(summary.unknownTrackListens)} of unknown tracks, ${count(summary.unknownUserListens)} by unknown users)`,
      `  ${count(summary.duplicates)} duplicates, ${count(quarantined)} rows and ${count(summary.quarantinedFiles)} file to be quarantined`,
      `Run the pipeline on it: npm start -- --data ${printable(dir)}\n`,
    ].join("\n"),
  );
  return 0;
}
