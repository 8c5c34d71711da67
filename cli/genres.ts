import { UserError } from "../terminal/errors";
import type { Terminal } from "../terminal/terminal";
import { requireDate } from "./dates";
import { byListens, dateOf, genresText, itemsJson } from "./metrics-text";
import { itemAt, listedDays, listedGenres } from "./read/metrics";
import { openTarget } from "./target";

interface Options {
  date?: string;
  json?: boolean;
  stack?: string;
}

/** `genres`: all genres of a day, the most heard first. */
export async function run(_: string[], { date: given, json, stack }: Options, terminal: Terminal): Promise<number> {
  if (given !== undefined) requireDate(given);
  const target = await openTarget({ ...terminal, stack });
  const latest = given ?? (await listedDays(target)).map(dateOf).at(-1);
  const genres = latest === undefined ? [] : byListens(await listedGenres(target, latest));
  if (latest === undefined) await terminal.out(json ? itemsJson([]) : "No day has metrics yet.\n");
  else if (genres.length === 0 && !(await itemAt(target, `DAY#${latest}`, "SUMMARY")))
    throw new UserError(`There are no metrics for ${latest}. npm run days lists the days.`);
  else await terminal.out(json ? itemsJson(genres) : genresText(latest, genres));
  return 0;
}
