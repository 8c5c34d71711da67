import { batchesAtWork, type Found, leaveOut, type Pass, putOnList } from "../runtime/forget";
import { folderOf, OLD_VERSION_DAYS, place } from "../runtime/places";
import { UsageError } from "../terminal/errors";
import { count, counted, printable, table } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { type TickOptions, tickFor } from "./operate";
import { findListener } from "./read/listener";
import { examine, untilArchived } from "./replaying";
import { openTarget, storeOf, type Target } from "./target";

interface Options extends TickOptions {
  dryRun?: boolean;
  wait?: boolean;
}

/** docs/data.md, "Ids". */
const id = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const backupDays = 35;

/** `forget`: removes a listener from curated and from the metrics, and keeps later runs from counting them. */
export async function run([userId = ""]: string[], options: Options, terminal: Terminal): Promise<number> {
  if (!id.test(userId))
    throw new UsageError(
      `"${printable(userId)}" is not the id of a listener. An id has letters, digits and . _ : - only, 128 at most.`,
    );
  const target = await openTarget({ ...terminal, stack: options.stack });
  const search = () => findListener(target, userId, (line) => terminal.note(line));
  return options.dryRun
    ? await showPlan(target, userId, await search(), terminal)
    : await forget(target, userId, search, options, terminal);
}

async function showPlan(target: Target, userId: string, { holdings }: Found, terminal: Terminal): Promise<number> {
  const store = storeOf(target);
  const atWork = await batchesAtWork(store);
  const impossible = new Map<string, string>();
  for (const { batchId } of holdings) {
    const { problem } = atWork.includes(batchId) ? {} : await examine(store, batchId);
    if (problem !== undefined) impossible.set(batchId, problem);
  }
  await terminal.out(
    `${holdingsText({ holdings, impossible, atWork }, "would run again")}${staysText(userId)}Nothing was changed.\n`,
  );
  return impossible.size > 0 ? 1 : 0;
}

async function forget(
  target: Target,
  userId: string,
  search: () => Promise<Found>,
  options: Options,
  terminal: Terminal,
): Promise<number> {
  const store = storeOf(target);
  if (await putOnList(store, userId))
    terminal.note(`Listener ${userId} is on the list: no later run counts their rows.`);
  else terminal.note(`Listener ${userId} was on the list already.`);
  const pass = options.wait ? await untilForgotten(target, search, options, terminal) : await leaveOut(store, search);
  if (!options.wait && pass.queued.length > 0) await tickFor(target, options, terminal);
  await terminal.out(`${holdingsText(pass, "runs again")}${staysText(userId)}`);
  return verdict(userId, pass, options, terminal);
}

/** Passes until one finds nothing that it could still ask for. Each waits for the batches of the one before. */
async function untilForgotten(
  target: Target,
  search: () => Promise<Found>,
  options: Options,
  terminal: Terminal,
): Promise<Pass> {
  const store = storeOf(target);
  // Those in flight may have begun to read before the listener was on the list. A search finds what they wrote.
  const before = await batchesAtWork(store);
  if (before.length > 0) terminal.note(`First, ${counted(before.length, "batch", "batches")} must end.`);
  await tickFor(target, options, terminal);
  await untilArchived(store, before, terminal);
  const asked = new Set<string>();
  for (;;) {
    const pass = await leaveOut(store, search);
    const busy = pass.holdings.map(({ batchId }) => batchId).filter((batchId) => pass.atWork.includes(batchId));
    const next = [...pass.queued, ...busy, ...pass.changed].filter((batchId) => !asked.has(batchId));
    if (next.length === 0) return pass;
    for (const batchId of next) asked.add(batchId);
    terminal.note(`${counted(pass.queued.length, "batch", "batches")} will run again.`);
    await tickFor(target, options, terminal);
    await untilArchived(store, next, terminal);
  }
}

/** Says whether it is finished, and if not, what to do. Returns the exit code. */
async function verdict(userId: string, pass: Pass, { wait, stack }: Options, terminal: Terminal): Promise<number> {
  const again = `npx music-streams forget ${userId}${stack === undefined ? "" : ` --stack ${stack}`}`;
  const unsure = [...new Set([...(wait ? [] : pass.atWork), ...pass.changed])].sort();
  if (pass.holdings.length === 0 && unsure.length === 0) {
    await terminal.out(
      `Nothing of listener ${userId} is left in ${folderOf("listens")}, ${folderOf("quarantinedRows")} and the metrics.\n`,
    );
    return 0;
  }
  if (pass.impossible.size > 0)
    terminal.note(`${counted(pass.impossible.size, "batch", "batches")} can't run again, so the rows stay.`);
  if (unsure.length > 0)
    terminal.note(
      `Not finished: ${unsure.map(printable).join(", ")} at work or queued. Once settled, repeat: ${again}`,
    );
  if (wait) {
    if (pass.impossible.size === 0) terminal.note(`Not finished: a batch did not run again. Repeat: ${again} --wait`);
    return 1;
  }
  if (pass.queued.length > 0)
    terminal.note(`${counted(pass.queued.length, "batch", "batches")} will run again. To see it end: ${again} --wait`);
  return unsure.length > 0 || pass.impossible.size > 0 ? 1 : 0;
}

type Plan = Pick<Pass, "holdings" | "impossible" | "atWork">;

function holdingsText({ holdings, impossible, atWork }: Plan, runs: string): string {
  if (holdings.length === 0) return "No batch has rows of this listener.\n";
  const numbers = ["rows", "quarantined"];
  const rows = holdings.map(({ batchId, days, rows: curated, quarantinedRows }) => [
    ...[printable(batchId), daysText(days), count(curated), count(quarantinedRows)],
    impossible.has(batchId) ? "stays" : atWork.includes(batchId) ? "at work or queued" : runs,
  ]);
  const why = [...impossible].map(([batchId, problem]) => `${printable(batchId)}: ${printable(problem)}\n`);
  return `${table(["batch", "days", ...numbers, ""], rows, numbers)}\n${why.join("")}`;
}

function daysText(days: string[]): string {
  if (days.length <= 1) return days[0] ?? "-";
  return `${counted(days.length, "day")}, ${days[0]} to ${days.at(-1)}`;
}

/** What the command does not remove, and until when it stays. */
function staysText(userId: string): string {
  const date = new Date(Date.now() + OLD_VERSION_DAYS * 86_400_000).toISOString().slice(0, 10);
  const files = [folderOf("archived"), folderOf("failed"), folderOf("quarantinedFile")];
  return [
    `What stays of listener ${userId}:`,
    `- The files as they were dropped, in ${files[0]}, ${files[1]} and ${files[2]}. A replay or a retry leaves the`,
    `  listener out. The bucket deletes ${files[0]} after archiveRetentionDays, and ${files[2]} after`,
    "  quarantineRetentionDays, if the stack sets them.",
    `- Older versions of what is replaced, for ${counted(OLD_VERSION_DAYS, "day")}: until ${date} for all that is replaced today.`,
    `- Backups of the tables, for ${counted(backupDays, "day")}. They hold counts, and no listener's id.`,
    "- Your reference data: remove the listener from it. Transform's copy of it goes within 7 days.",
    `- ${place("forgotten", { userId })}: it keeps later runs from counting the listener.`,
    "",
  ].join("\n");
}
