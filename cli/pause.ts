import { readPipeline } from "../runtime/ledger";
import { pause } from "../runtime/operator";
import type { Terminal } from "../terminal/terminal";
import { capital } from "./operate";
import { openTarget, storeOf } from "./target";

/** `pause`: the pipeline claims no more files; the batch in flight is still settled. */
export async function run(_: string[], { stack }: { stack?: string }, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack });
  const store = storeOf(target);
  const before = await readPipeline(store);
  await pause(store);
  const since = before.pausedSince === undefined ? "" : ` since ${before.pausedSince}`;
  const rest = before.inFlight === undefined ? "Nothing is in flight" : `Batch ${before.inFlight} is still settled`;
  await terminal.out(`${capital(target.name)} is paused${since}. ${rest}. To end the pause: npm run resume\n`);
  return 0;
}
