import type { Terminal } from "../terminal/terminal";
import { daysText, itemsJson } from "./metrics-text";
import { listedDays } from "./read/metrics";
import { openTarget } from "./target";

/** `days`: the days that have metrics, newest first. */
export async function run(
  _: string[],
  { json, stack }: { json?: boolean; stack?: string },
  terminal: Terminal,
): Promise<number> {
  const days = (await listedDays(await openTarget({ ...terminal, stack }))).reverse();
  await terminal.out(json ? itemsJson(days) : daysText(days));
  return 0;
}
