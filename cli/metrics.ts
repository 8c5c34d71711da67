import { randomBytes } from "node:crypto";
import { open, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { GetItemCommand, paginateQuery } from "@aws-sdk/client-dynamodb";
import { UserError } from "../terminal/errors";
import { commandLine, type Terminal } from "../terminal/terminal";
import { isDate } from "./dates";
import type { Item } from "./items";
import { exportMetrics } from "./metrics-export";
import { dayText, genreText, trackText } from "./metrics-text";
import { openTarget, type Target } from "./target";

export { exportMetrics } from "./metrics-export";

/** `npm run metrics`: a day, a genre or a track as tables, or the whole metrics table as NDJSON. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = commandLine("music-streams metrics", terminal)
    .description("Shows the published metrics.")
    .option("--stack <name>", "a deployed stack instead of the local cloud");
  const open = () => openTarget({ ...terminal, stack: program.opts<{ stack?: string }>().stack });

  program
    .command("day")
    .description("a day's totals and its top genres")
    .argument("<date>", "YYYY-MM-DD, in UTC")
    .action(async (date: string) => terminal.out(await showDay(await checked(open, date), date)));
  program
    .command("genre")
    .description("a genre's days, and its top tracks of a day")
    .argument("<name>", "as in the reference data")
    .option("--date <date>", "the day whose top tracks are shown (default: the latest)")
    .action(async (name: string, options: { date?: string }) =>
      terminal.out(await showGenre(await checked(open, options.date), name, options.date)),
    );
  program
    .command("track")
    .description("a track's days")
    .argument("<id>", "the track's id")
    .action(async (id: string) => terminal.out(await showTrack(await open(), id)));
  program
    .command("export")
    .description("every item as a line of JSON, sorted by pk, then sk")
    .option("--all", "with batch_id and published_at: which run wrote an item")
    .option("--out <file>", "a file instead of the standard output")
    .action(async (options: { all?: boolean; out?: string }) => writeExport(await open(), options, terminal));
  await program.parseAsync(args, { from: "user" });
  return 0;
}

/** Opens the target, but first refuses a date that is wrong: wrong usage is reported before the cloud is asked. */
async function checked(open: () => Promise<Target>, date: string | undefined): Promise<Target> {
  if (date !== undefined && !isDate(date))
    throw new UserError(`"${date}" is not a date. Write it as YYYY-MM-DD, for example 2024-06-25.`);
  return open();
}

/** A day as text. Throws a UserError when it has no metrics. */
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

async function itemAt(target: Target, pk: string, sk: string): Promise<Item | undefined> {
  const key = { pk: { S: pk }, sk: { S: sk } };
  const found = await target.dynamodb.send(
    new GetItemCommand({ TableName: target.outputs.metricsTableName, Key: key, ConsistentRead: true }),
  );
  return found.Item;
}

async function itemsOf(target: Target, pk: string): Promise<Item[]> {
  const items: Item[] = [];
  const pages = paginateQuery(
    { client: target.dynamodb },
    {
      TableName: target.outputs.metricsTableName,
      KeyConditionExpression: "pk = :pk",
      ExpressionAttributeValues: { ":pk": { S: pk } },
      ConsistentRead: true,
    },
  );
  for await (const page of pages) items.push(...(page.Items ?? []));
  return items;
}

async function writeExport(
  target: Target,
  options: { all?: boolean; out?: string },
  terminal: Terminal,
): Promise<void> {
  if (options.out === undefined) {
    await exportMetrics(target, terminal.out, options);
    return;
  }
  const file = path.resolve(terminal.cwd, options.out);
  const items = await exportToFile(target, file, options);
  terminal.note(`${items} items written to ${options.out}`);
}

/** Exports into a file, which is there whole or not at all. Returns the number of items. */
export async function exportToFile(target: Target, file: string, options: { all?: boolean } = {}): Promise<number> {
  return writeWhole(file, (write) => exportMetrics(target, write, options));
}

/** Writes a file whole or not at all. Writes directly to what isn't a regular file (/dev/stdout, a pipe). */
async function writeWhole<T>(file: string, fill: (write: (text: string) => Promise<void>) => Promise<T>): Promise<T> {
  const present = await stat(file).catch(() => undefined);
  if (present?.isDirectory()) throw new UserError(`${file} is a folder. Give --out a file's name.`);
  const written = !present || present.isFile() ? `${file}.${randomBytes(4).toString("hex")}.part` : file;
  const handle = await open(written, "w").catch((error: Error) => {
    throw new UserError(`${file} can't be written: ${error.message}`, { cause: error });
  });
  try {
    const result = await fill((text) => handle.writeFile(text)).finally(() => handle.close());
    if (written !== file) await rename(written, file);
    return result;
  } catch (error) {
    if (written !== file) await rm(written, { force: true });
    throw error;
  }
}
