import { RefusedError, requestRetry } from "../runtime/operator";
import { UserError } from "../terminal/errors";
import { printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { readLedger } from "./ledger";
import { capital, orderLine, type TickOptions, tickFor } from "./operate";
import { openTarget, storeOf, type Target } from "./target";

/** `npm run retry`: a FAILED batch's file goes back into incoming/ to be tried again. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = orderLine(
    "retry",
    "Has the file of a FAILED batch put back into incoming/, where it is claimed anew. Mend the cause first: npm run batches tells it.",
    terminal,
  )
    .argument("[batch-id...]", "FAILED batches")
    .option("--all", "every FAILED batch whose file still lies in failed/");
  await program.parseAsync(args, { from: "user" });
  const options = program.opts<TickOptions & { all?: boolean }>();
  if (program.args.length > 0 === (options.all === true)) throw new UserError("Name batches, or give --all.");
  const target = await openTarget({ ...terminal, stack: options.stack });
  const batchIds = options.all ? await failed(target) : program.args;
  if (batchIds.length === 0) {
    await terminal.out("No batch is FAILED.\n");
    return 0;
  }
  let refusals = 0;
  for (const batchId of batchIds) {
    try {
      const asked = await requestRetry(storeOf(target), batchId);
      const what = asked ? "its file goes back into incoming/ by the next tick" : "its file was put back already";
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
  const open = batches.filter(({ state, retriedAt }) => state === "FAILED" && retriedAt === null);
  return open.map(({ batchId }) => batchId).reverse();
}
