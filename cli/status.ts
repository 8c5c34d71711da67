import { bad, done } from "../terminal/exit-codes.cjs";
import { brief, counted, duration, printable, size, wrapped } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { capital } from "./operate";
import { readStatus, type Status } from "./read/status";
import { openTarget } from "./target";

interface Options {
  json?: boolean;
  stack?: string;
}

/** `status`: one screen that says whether all is well, and what to do if it is not. */
export async function run(_: string[], { json, stack }: Options, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack });
  const nowMs = Date.now();
  const status = await readStatus(target, nowMs);
  await terminal.out(json ? `${JSON.stringify(status, null, 2)}\n` : statusText(capital(target.name), status, nowMs));
  return status.isHealthy ? done : bad;
}

/** More problems than fit a screen are counted; --json has all. */
const problemsAtMost = 4;

/** The status in lines of 80 characters. */
export function statusText(name: string, status: Status, nowMs: number): string {
  const { problems, pausedSince, inFlight, isQueued, waiting, left, lastArchived, batches } = status;
  const ago = (time: string | null) => `${duration(Math.max(0, nowMs - Date.parse(time ?? "")) || 0)} ago`;
  const oldest = waiting.oldest === null ? "" : `, oldest ${ago(waiting.oldest)}`;
  const others = [
    left.held > 0 && `${counted(left.held, "file")} held`,
    left.cold > 0 && `${counted(left.cold, "file")} to restore`,
    left.notCsv > 0 && `${counted(left.notCsv, "object")} not CSV`,
  ].filter(Boolean);
  const rows: [string, string][] = [
    [
      "in flight",
      inFlight === null
        ? `nothing${isQueued ? ", but a batch is queued" : ""}${pausedSince === null ? "" : "; paused"}`
        : `batch ${inFlight.batchId} ${inFlight.state}, attempt ${inFlight.attempt ?? 1}, claimed ${ago(inFlight.claimedAt)}`,
    ],
    [
      "waiting",
      `${waiting.isWhole ? "" : "at least "}${counted(waiting.files, "file")}, ${size(waiting.bytes)}${oldest}${inFlight !== null && waiting.files > 0 ? "; files of the batch in flight included" : ""}`,
    ],
    ...(others.length > 0 ? [["left", others.join(", ")] as [string, string]] : []),
    [
      "fresh",
      lastArchived === null
        ? "no batch is archived yet"
        : `batch ${lastArchived.batchId} was archived ${ago(lastArchived.settledAt)}`,
    ],
    ["batches", counted(batches, "batch", "batches")],
  ];
  const shown = problems.slice(0, problemsAtMost);
  return [
    `${name}: ${status.isHealthy ? "healthy" : counted(problems.length, "problem")}`,
    ...rows.flatMap(([title, text]) => wrapped(`${`${title}:`.padEnd(11)}${printable(text)}`, "  ")),
    ...shown.flatMap(({ what, todo }) => [
      ...wrapped(`✖ ${brief(what, 150)}`),
      ...wrapped(`to do: ${printable(todo)}`, "    "),
    ]),
    ...(shown.length < problems.length ? [`... and ${counted(problems.length - shown.length, "more", "more")}`] : []),
    "",
  ].join("\n");
}
