import { reportOf } from "../console/app";
import { UserError } from "../terminal/errors";
import type { Terminal } from "../terminal/terminal";
import { consoleSource } from "./console/source";
import { openTarget } from "./target";

/** `report`: a batch as one HTML file that needs no server. */
export async function run([batchId = ""]: string[], options: { stack?: string }, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack: options.stack });
  const report = await reportOf(consoleSource(target, options.stack ?? null), batchId, Date.now());
  if (report === undefined) throw new UserError(`The ledger knows no batch ${batchId}. npm run batches lists them.`);
  await terminal.out(report);
  return 0;
}
