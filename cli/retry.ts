import layout from "../layout.json";
import { requestRetry } from "../runtime/operator";
import { RefusedError } from "../runtime/refused";
import { UsageError } from "../terminal/errors";
import { printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { type BatchRow, readLedger } from "./ledger";
import { capital, type TickOptions, tickFor } from "./operate";
import { openTarget, storeOf, type Target } from "./target";

interface Options extends TickOptions {
  all?: boolean;
}

/** `retry`: puts a FAILED batch's file back into incoming/, where a new batch claims it. */
export async function run(args: string[], options: Options, terminal: Terminal): Promise<number> {
  if (args.length > 0 === (options.all === true)) throw new UsageError("retry: name batches, or give --all.");
  const target = await openTarget({ ...terminal, stack: options.stack });
  const batchIds = options.all ? await failed(target) : args;
  if (batchIds.length === 0) {
    await terminal.out("No batch is FAILED, and none has held files.\n");
    return 0;
  }
  let refusals = 0;
  for (const batchId of batchIds) {
    try {
      const asked = await requestRetry(storeOf(target), batchId);
      const what = asked
        ? `the next tick puts its files back into ${layout.incoming}`
        : "its files were put back already";
      await terminal.out(`Batch ${printable(batchId)}: ${what}\n`);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusals++;
      terminal.note(`${capital(printable(error.message))}.`);
    }
  }
  if (refusals < batchIds.length) await tickFor(target, options, terminal);
  return refusals > 0 ? 1 : 0;
}

async function failed(target: Target): Promise<string[]> {
  const batches = await readLedger(target);
  const isOpen = ({ state, filesHeld }: BatchRow) => state === "FAILED" || (state === "ARCHIVED" && filesHeld);
  const open = batches.filter((batch) => isOpen(batch) && batch.retriedAt === null);
  return open.map(({ batchId }) => batchId).reverse();
}
