import { readPipeline } from "../runtime/ledger";
import { resume } from "../runtime/operator";
import type { Terminal } from "../terminal/terminal";
import { capital, type TickOptions, tickFor } from "./operate";
import { openTarget, storeOf } from "./target";

/** `resume`: ends the pause. */
export async function run(_: string[], options: TickOptions, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack: options.stack });
  const store = storeOf(target);
  const { pausedSince } = await readPipeline(store);
  await resume(store);
  const was = pausedSince === undefined ? "was not paused" : `goes on; it was paused since ${pausedSince}`;
  await terminal.out(`${capital(target.name)} ${was}.\n`);
  if (pausedSince !== undefined) await tickFor(target, options, terminal);
  return 0;
}
