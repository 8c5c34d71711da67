import { once } from "node:events";
import { serveConsole } from "../console/server";
import type { Terminal } from "../terminal/terminal";
import { consoleSource } from "./console/source";
import { stopOnSignals } from "./stop";
import { openTarget } from "./target";

/** `console`: serves the console of the local cloud or of a deployed stack, until somebody stops it. */
export async function run(
  _: string[],
  { stack, port }: { stack?: string; port: number },
  terminal: Terminal,
): Promise<number> {
  const target = await openTarget({ ...terminal, stack });
  const stop = stopOnSignals();
  const served = await serveConsole(port, consoleSource(target, stack ?? null));
  await terminal.out(`${served.url}\n`);
  terminal.note(`The console of ${target.name}: open the address above in a browser (Ctrl-C stops it).`);
  if (!stop.aborted) await once(stop, "abort");
  await served.close();
  return 0;
}
