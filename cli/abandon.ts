import type { Batch } from "../runtime/batch";
import { abandonable, requestAbandon } from "../runtime/operator";
import { folderOf } from "../runtime/places";
import { RefusedError } from "../runtime/refused";
import { printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { capital, type TickOptions, tickFor } from "./operate";
import { openTarget, storeOf } from "./target";

interface Options extends TickOptions {
  yes?: boolean;
}

/** `abandon`: gives up a batch that can't end by itself. */
export async function run([batchId = ""]: string[], options: Options, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack: options.stack });
  const store = storeOf(target);
  const name = printable(batchId);
  try {
    const batch = await abandonable(store, batchId);
    if (!options.yes) {
      await terminal.out(`Batch ${name} is ${batch.state}. ${meaning(batch)}\n`);
      terminal.note("Nothing was changed. To do it, repeat the command with --yes.");
      return 1;
    }
    await requestAbandon(store, batchId);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    terminal.note(`${capital(printable(error.message))}.`);
    return 1;
  }
  await terminal.out(`Batch ${name}: the next ticks end it. The ledger has the time as abandonedAt.\n`);
  await tickFor(target, options, terminal);
  return 0;
}

/** What abandoning a batch means, from its state. */
function meaning({ state, replay }: Batch): string {
  if (replay)
    return (
      "Abandoning it ends the replay, and the batch stays archived. " +
      "If an attempt has replaced rows, listens may be missing until another replay succeeds: npm run audit says so."
    );
  if (state === "PROCESSED")
    return "Its listens are counted and stay so. Abandoning it holds the files that S3 does not move, and archives the rest.";
  if (state === "FAILED") return "Abandoning it ends the work on its files: each stays where it is now.";
  return `Abandoning it stops its run and removes its rows: none of its listens count. Its files go to ${folderOf("failed")}; npm run retry puts them back.`;
}
