import { readPipeline } from "../runtime/ledger";
import type { Terminal } from "../terminal/terminal";
import { storeOf, type Target } from "./target";
import { askForTick } from "./tick";

/** The options of a command whose request a tick carries out. */
export interface TickOptions {
  stack?: string;
  now?: boolean;
}

/** Asks for a tick that carries the request out: always on the local cloud, elsewhere with --now. */
export async function tickFor(target: Target, options: TickOptions, terminal: Terminal): Promise<void> {
  if ((await readPipeline(storeOf(target))).pausedSince !== undefined)
    terminal.note("The pipeline is paused: this begins after npm run resume.");
  else if (target.isLocal || options.now) await askForTick(target, terminal);
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
