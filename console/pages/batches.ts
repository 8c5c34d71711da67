import { brief, count, counted, size } from "../../terminal/format";
import { command, facts, type Html, html, link, pathTo, table, time } from "../html";
import type { Batch, Pipeline, Source } from "../source";
import { ago, batchLink, spanMs, spanText, stateOf, sum, type View } from "../view";

const rowsOfAPage = 50;
const hourMs = 3_600_000;
const hours = 24;
const mostOfADay = 2_000;
const mostOfAnHour = 8;

/** The ledger, newest first, from the newest batch or from the one before `before`. */
export async function batchesView(source: Source, before: string | undefined, nowMs: number): Promise<View> {
  const firstHourMs = Math.floor(nowMs / hourMs) * hourMs - (hours - 1) * hourMs;
  const [pipeline, found, recent] = await Promise.all([
    source.pipeline(),
    source.batches({ limit: rowsOfAPage + 1, before }),
    before === undefined ? source.batches({ limit: mostOfADay, since: firstIdOf(firstHourMs) }) : [],
  ]);
  const list = { id: "list", html: listOf(found, before, nowMs) };
  if (before !== undefined) return { title: "Batches", parts: [list], isLive: false };
  const parts = [{ id: "now", html: nowOf(pipeline, nowMs) }, { id: "hours", html: gridOf(recent, firstHourMs) }, list];
  return { title: "Batches", parts, isLive: true };
}

/** The first id that a batch of this moment may have: ids begin with their time. */
function firstIdOf(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, "");
}

function nowOf({ pausedSince, inFlight, isQueued, waiting }: Pipeline, nowMs: number): Html {
  const { files, bytes, oldest, held, isWhole } = waiting;
  const nothingFlies = isQueued ? "nothing, but a batch is queued" : "nothing";
  return html`<h2>Now</h2>${facts([
    ["in flight", inFlight === null ? nothingFlies : batchLink(inFlight)],
    ["waiting", `${isWhole ? "" : "at least "}${counted(files, "file")}, ${size(bytes)}`],
    ["oldest of them", oldest === null ? "-" : ago(oldest, nowMs)],
    [
      "held",
      held === 0 ? "none" : html`<strong>${counted(held, "file")}</strong>: the batches below say which to retry`,
    ],
    ["paused", pausedSince === null ? "no" : html`<strong>since ${time(pausedSince)}</strong>`],
  ])}${inFlight !== null && files > 0 ? html`<p>Files of the batch in flight count as waiting.</p>` : ""}`;
}

/** A square for each batch of the last 24 hours, by the hour in which it was claimed. */
function gridOf(batches: Batch[], firstHourMs: number): Html {
  const cells = Array.from({ length: hours }, (_, at) => {
    const fromMs = firstHourMs + at * hourMs;
    const hour = new Date(fromMs).toISOString().slice(11, 13);
    const own = batches.filter(({ claimedAt }) => {
      const claimedMs = Date.parse(claimedAt ?? "");
      return claimedMs >= fromMs && claimedMs < fromMs + hourMs;
    });
    const squares = own.slice(0, mostOfAnHour).map((batch) => {
      const name = `${batch.state}, batch ${batch.batchId}`;
      return html`<a class="square state ${batch.state}" href="${pathTo("batch", { id: batch.batchId })}" title="${name}" aria-label="${name}"></a>`;
    });
    const more = own.length > mostOfAnHour ? html`<span>+${own.length - mostOfAnHour}</span>` : "";
    return html`<li><div class="hour">${hour}</div>${squares}${more}</li>`;
  });
  const cut = batches.length >= mostOfADay ? html` Only the newest ${count(mostOfADay)} are drawn.` : "";
  return html`<h2>The last 24 hours</h2>
<p>${counted(batches.length, "batch", "batches")}, by the hour (UTC) in which sense claimed them.${cut}</p>
<ol class="hours">${cells}</ol>`;
}

/** What is wrong with a batch, in short: its own page has all of it. */
function troubleOf({ error, filesHeld, retriedAt }: Batch): string {
  const held = filesHeld && retriedAt === null ? `${counted(filesHeld, "file")} held` : "";
  return [held, error === null ? "" : brief(error, 120)].filter(Boolean).join("; ");
}

const right = ["files", "read", "kept", "duplicate", "quarantined", "took"];
const head = ["batch", "state", ...right.slice(0, -1), "claimed", "took", "error"];

function listOf(found: Batch[], before: string | undefined, nowMs: number): Html {
  const shown = found.slice(0, rowsOfAPage);
  if (shown.length === 0)
    return html`<h2>Batches</h2><p>No batches ${before === undefined ? "yet" : "before this one"}. Drop a CSV:</p>
${command("npx music-streams drop FILE.csv")}`;
  const rows = shown.map((batch) => [
    batchLink(batch.batchId),
    stateOf(batch),
    ...[batch.files, batch.rowsRead, batch.rowsKept, batch.rowsDuplicate, sum(batch.rowsQuarantined)].map(count),
    ago(batch.claimedAt, nowMs),
    spanText(spanMs(batch.claimedAt, batch.settledAt)),
    troubleOf(batch),
  ]);
  const last = shown.at(-1)?.batchId ?? "";
  const newest = before === undefined ? "" : link(pathTo("batches"), "Newest");
  const older = found.length > rowsOfAPage ? link(pathTo("batches", { before: last }), "Older") : "";
  return html`<h2>Batches</h2>${table("Batches, newest first", head, rows, right)}
<nav class="paging" aria-label="Pages of batches">${newest} ${older}</nav>`;
}
