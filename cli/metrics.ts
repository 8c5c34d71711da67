import { UsageError, UserError } from "../terminal/errors";
import type { Terminal } from "../terminal/terminal";
import { requireDate } from "./dates";
import { type ExportOptions, exportMetrics } from "./metrics-export";
import { artistText, dayText, genreText, itemsJson, trackText, wholeDayText } from "./metrics-text";
import { tracksOf } from "./read/artists";
import { itemAt, itemsOf } from "./read/metrics";
import { openTarget, type Target } from "./target";
import { writeWhole } from "./whole-file";

export { exportMetrics } from "./metrics-export";

interface Options {
  stack?: string;
}

/** `metrics day`: a day's totals, its top genres and tracks, its hours and countries. */
export async function day(
  [date = ""]: string[],
  options: Options & { json?: boolean },
  terminal: Terminal,
): Promise<number> {
  const items = await itemsOf(await checked(terminal, options, date), `DAY#${date}`);
  if (items.length === 0) throw new UserError(`There are no metrics for ${date}.`);
  await terminal.out(options.json ? itemsJson(items) : wholeDayText(date, items));
  return 0;
}

/** `metrics genre`: a genre's days, and its top tracks of a day. */
export async function genre(
  [name = ""]: string[],
  options: Options & { date?: string },
  terminal: Terminal,
): Promise<number> {
  await terminal.out(await showGenre(await checked(terminal, options, options.date), name, options.date));
  return 0;
}

/** `metrics artist`: the tracks of an artist, as the reference data has them. */
export async function artist([name = ""]: string[], options: Options, terminal: Terminal): Promise<number> {
  const tracks = await tracksOf(await checked(terminal, options), name);
  if (!tracks) throw new UserError("There is no parsed reference data now. The next batch makes it: drop a file.");
  if (tracks.length === 0) throw new UserError(`The reference data has no track of an artist like "${name}".`);
  await terminal.out(artistText(tracks));
  return 0;
}

/** `metrics track`: a track's days. */
export async function track([id = ""]: string[], options: Options, terminal: Terminal): Promise<number> {
  await terminal.out(await showTrack(await checked(terminal, options), id));
  return 0;
}

/** `metrics export`: the metrics table, or some days of it, as NDJSON, CSV or Parquet. */
export async function exportItems(_: string[], options: Options & ExportOptions, terminal: Terminal): Promise<number> {
  const { from, to } = options;
  for (const date of [from, to]) if (date !== undefined) requireDate(date);
  if (from !== undefined && to !== undefined && from > to)
    throw new UsageError(`--from ${from} is after --to ${to}. Give the earlier day as --from.`);
  const items = await exportMetrics(await checked(terminal, options), terminal.out, options);
  if (items === 0 && (from ?? to) !== undefined)
    terminal.note("There are no metrics of these days. npm run days lists the days that have some.");
  return 0;
}

/** Opens the target, but first refuses a date that is wrong: wrong usage is reported before the cloud is asked. */
async function checked(terminal: Terminal, { stack }: Options, date?: string): Promise<Target> {
  if (date !== undefined) requireDate(date);
  return openTarget({ ...terminal, stack });
}

/** A day's totals and its top genres as text. Throws a UserError when it has no metrics. */
export async function showDay(target: Target, date: string): Promise<string> {
  const summary = await itemAt(target, `DAY#${date}`, "SUMMARY");
  const top = await itemAt(target, `DAY#${date}`, "TOP_GENRES");
  if (!summary && !top) throw new UserError(`There are no metrics for ${date}.`);
  return dayText(date, summary, top);
}

async function showGenre(target: Target, name: string, date: string | undefined): Promise<string> {
  const items = await itemsOf(target, `GENRE#${name}`);
  if (items.length === 0)
    throw new UserError(`There are no metrics for the genre "${name}". Genres are spelled as in the reference data.`);
  const text = genreText(name, items, date);
  if (text === undefined) throw new UserError(`There are no metrics for the genre "${name}" on ${date}.`);
  return text;
}

async function showTrack(target: Target, id: string): Promise<string> {
  const items = await itemsOf(target, `TRACK#${id}`);
  if (items.length === 0) throw new UserError(`There are no metrics for the track "${id}".`);
  return trackText(id, items);
}

/** Exports into a file, which is there whole or not at all. Returns the number of items. */
export async function exportToFile(target: Target, file: string, options: { all?: boolean } = {}): Promise<number> {
  return writeWhole(file, (write) => exportMetrics(target, write, options));
}
