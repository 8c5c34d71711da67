import { readPipeline } from "../runtime/ledger";
import { commandLine, type Terminal } from "../terminal/terminal";
import { storeOf, type Target } from "./target";
import { askForTick, nowOption } from "./tick";

/** The options of a command whose work a tick does. */
export interface TickOptions {
  stack?: string;
  now?: boolean;
}

/** The start of the grammar of such a command. */
export function orderLine(name: string, description: string, terminal: Terminal) {
  return commandLine(`music-streams ${name}`, terminal)
    .description(description)
    .option(...nowOption)
    .option("--stack <name>", "a deployed stack in place of the local cloud");
}

/** Has a tick carry out what was asked for, at once where that is possible. */
export async function tickFor(target: Target, options: TickOptions, terminal: Terminal): Promise<void> {
  if ((await readPipeline(storeOf(target))).pausedSince !== undefined)
    terminal.note("The pipeline is paused: nothing of this begins before npm run resume.");
  else if (target.isLocal || options.now) await askForTick(target, terminal);
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
