import { readPipeline } from "../runtime/ledger";
import { resume } from "../runtime/operator";
import type { Terminal } from "../terminal/terminal";
import { capital, orderLine, type TickOptions, tickFor } from "./operate";
import { openTarget, storeOf } from "./target";

/** `npm run resume`: ends the pause. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  const description = "Ends the pause: the next tick claims the waiting files.";
  const program = orderLine("resume", description, terminal).allowExcessArguments(false);
  await program.parseAsync(args, { from: "user" });
  const options = program.opts<TickOptions>();
  const target = await openTarget({ ...terminal, stack: options.stack });
  const store = storeOf(target);
  const { pausedSince } = await readPipeline(store);
  await resume(store);
  const was = pausedSince === undefined ? "was not paused" : `goes on; it was paused since ${pausedSince}`;
  await terminal.out(`${capital(target.name)} ${was}.\n`);
  if (pausedSince !== undefined) await tickFor(target, options, terminal);
  return 0;
}
