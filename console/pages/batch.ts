import { incoming } from "../../runtime/places";
import { count, counted, size } from "../../terminal/format";
import { chart } from "../chart";
import { command, facts, type Html, html, link, pathTo, table, time } from "../html";
import type { BatchDetail, LogLine, Source } from "../source";
import { ago, batchLink, spanMs, spanText, stateOf, sum, type View } from "../view";
import { firstRows } from "./quarantine";

const filesShown = 200;
const linesShown = 500;
const daysShown = 60;
const sources = ["sense", "transform", "publish", "archive"];

/** Which lines of the log to show. */
type LogFilter = { job?: string; attempt?: string };

/** One batch with its log; undefined if the ledger has no such batch. */
export async function batchView(
  source: Source,
  batchId: string,
  filter: LogFilter,
  nowMs: number,
): Promise<View | undefined> {
  const [batch, log] = await Promise.all([
    source.batch(batchId),
    // A log may be denied or deleted: the page shows all else.
    source.logs(batchId).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error)))),
  ]);
  if (!batch) return undefined;
  const parts = [
    { id: "batch", html: aboutOf(batch, nowMs) },
    { id: "steps", html: stepsOf(batch) },
    { id: "todo", html: todoOf(batch, source.stack) },
    { id: "rows", html: await funnelOf(batch) },
    { id: "log", html: logOf(batchId, log, filter) },
    { id: "quarantined", html: quarantineOf(batch) },
    { id: "files", html: filesOf(batch) },
    { id: "days", html: daysOf(batch) },
  ];
  return { title: `Batch ${batchId}`, parts, isLive: batch.settledAt === null };
}

function aboutOf(batch: BatchDetail, nowMs: number): Html {
  const { attempt, claimedAt, settledAt, nextAttemptAt, error, parent, children, retriedAt } = batch;
  const landed = batch.manifest.map(({ lastModified }) => lastModified).sort()[0] ?? null;
  const toMetrics = attempt === 1 ? spanMs(landed, batch.publish.to) : null;
  const after = spanText(spanMs(claimedAt, settledAt));
  const rows: (false | [string, Html | string])[] = [
    ["state", stateOf(batch)],
    ["attempt", count(attempt)],
    ["claimed", html`${time(claimedAt)} (${ago(claimedAt, nowMs)})`],
    ["settled", settledAt === null ? "not yet" : html`${time(settledAt)}, after ${after}`],
    ["size", `${counted(batch.files ?? undefined, "file")}, ${batch.bytes === null ? "-" : size(batch.bytes)}`],
    ["from landing to metrics", toMetrics === null ? "-" : `${spanText(toMetrics)}, for its oldest file`],
    settledAt === null && nextAttemptAt !== null && ["next attempt", time(nextAttemptAt)],
    retriedAt !== null && ["put back", time(retriedAt)],
    parent !== null && ["half of", batchLink(parent)],
    children !== null && ["halves", html`${children.map((one) => html`${batchLink(one)} `)}`],
  ];
  return html`<h2>About</h2>${facts(rows.filter((row) => row !== false))}${error === null ? "" : html`<p class="error">${error}</p>`}`;
}

function stepsOf({ steps, attempt, glueConsole }: BatchDetail): Html {
  const boxes = steps.map(
    ({ name, state, from, elapsedMs, detail }) => html`<li class="step ${state}"><strong>${name}</strong>
<span class="what">${state}</span><span>${from === null ? "" : html`from ${time(from)}`}</span>
<span>${elapsedMs === null ? "" : spanText(elapsedMs)}</span><span class="detail">${detail ?? ""}</span></li>`,
  );
  const run = glueConsole?.startsWith("https://")
    ? html`<p>${link(glueConsole, "The workflow's runs in the Glue console")}</p>`
    : "";
  return html`<h2>Steps of attempt ${attempt ?? 1}</h2><ol class="steps">${boxes}</ol>${run}`;
}

const plainId = /^\d{8}T\d{6}Z-[A-Z0-9]+$/;

/** Commands that help. An id that is none of ours could be a command of its own, so it is not shown as one. */
function todoOf({ batchId, state, settledAt, filesHeld, retriedAt }: BatchDetail, stack: string | null): Html {
  if (!plainId.test(batchId)) return html``;
  const where = stack === null ? "" : ` --stack ${stack}`;
  const lines: [text: string, verb: string][] = [];
  if (state === "FAILED" && retriedAt === null)
    lines.push([`Put its file back into ${incoming()}, once the cause is mended:`, "retry"]);
  if (filesHeld && state !== "FAILED" && retriedAt === null)
    lines.push([`Release ${counted(filesHeld, "held file")}, once S3 moves them:`, "retry"]);
  if (state === "ARCHIVED") lines.push(["Run it again, with today's reference data and rules:", "replay"]);
  if (settledAt === null && state !== "SPLIT")
    lines.push(["Give it up, if it can't end by itself (this says first what that means):", "abandon"]);
  lines.push(["Follow its log in a terminal:", "logs"]);
  return html`<h2>What you can do</h2>${lines.map(
    ([text, verb]) => html`<p>${text}<br>${command(`npx music-streams ${verb} ${batchId}${where}`)}</p>`,
  )}`;
}

async function funnelOf({ rowsRead, rowsKept, rowsDuplicate, rowsQuarantined }: BatchDetail): Promise<Html> {
  if (rowsRead === null) return html`<h2>Rows</h2><p>Transform has not reported yet.</p>`;
  const reasons = Object.entries(rowsQuarantined ?? {}).filter(([, rows]) => rows > 0);
  const drawn = await chart({
    ...({ title: "What became of the rows", of: "outcome", measure: "rows", kind: "bars" } as const),
    rows: [
      { name: "read", value: rowsRead, isMarked: true },
      { name: "kept", value: rowsKept ?? 0 },
      { name: "duplicate", value: rowsDuplicate ?? 0 },
      ...reasons.map(([reason, rows]) => ({ name: reason, value: rows })),
    ],
  });
  const quarantined = sum(rowsQuarantined);
  return html`<h2>Rows</h2>
<p>${count(rowsRead)} read = ${count(rowsKept)} kept + ${count(rowsDuplicate)} duplicate + ${count(quarantined)} quarantined</p>
${drawn}`;
}

function logOf(batchId: string, lines: LogLine[] | Error, { job, attempt }: LogFilter): Html {
  if (lines instanceof Error) return html`<h2>Log</h2><p class="error">The log can't be read: ${lines.message}</p>`;
  const attempts = [...new Set(lines.flatMap((line) => line.attempt ?? []))].sort((a, b) => a - b);
  const wanted = lines.filter(
    (line) => (job === undefined || line.source === job) && (attempt === undefined || String(line.attempt) === attempt),
  );
  const query = { id: batchId, ...(job && { job }), ...(attempt && { attempt }) };
  const choice = (name: "job" | "attempt", value: string | undefined) => {
    const { [name]: current, ...others } = query as Record<string, string>;
    const text = value ?? "all";
    if (current === value) return html`<strong aria-current="true">${text}</strong> `;
    return html`${link(`${pathTo("batch", { ...others, ...(value && { [name]: value }) } as Record<string, string>)}#log`, text)} `;
  };
  const shown = wanted.slice(-linesShown);
  const left = wanted.length - shown.length;
  const items = shown.map(
    (line) => html`<li${line.isError ? html` class="bad"` : ""}>${time(line.time)}
<span class="who">${line.source}${line.attempt === null ? "" : ` ${line.attempt}`}</span> ${line.isError ? "✖ " : ""}${line.text}</li>`,
  );
  return html`<h2>Log</h2>
<nav class="choices" aria-label="Lines of the log"><p>Of: ${[undefined, ...sources].map((one) => choice("job", one))}</p>
<p>Attempt: ${[undefined, ...attempts.map(String)].map((one) => choice("attempt", one))}</p></nav>
${left > 0 ? html`<p>The last ${count(linesShown)} lines; ${count(left)} earlier ones are in <code>music-streams logs</code>.</p>` : ""}
${shown.length === 0 ? html`<p>No lines.</p>` : html`<ol class="log" tabindex="0" aria-label="Log">${items}</ol>`}`;
}

function quarantineOf({ quarantine: { files, first } }: BatchDetail): Html {
  if (files.length === 0 && first.length === 0) return html`<h2>Quarantine</h2><p>Nothing.</p>`;
  const shown = files.slice(0, filesShown);
  const head = ["file", "reason", "detail", "place"];
  const rows = shown.map(({ name, reason, detail, at }) => [name, reason, detail, at ?? "-"]);
  const title = `Quarantined files (${shown.length} of ${files.length})`;
  return html`<h2>Quarantine</h2>${files.length > 0 ? table(title, head, rows) : ""}${firstRows(first)}`;
}

function filesOf({ manifest, read, changed, quarantine }: BatchDetail): Html {
  const quarantined = new Map(quarantine.files.map(({ name, reason }) => [name, reason]));
  const isChanged = new Set(changed);
  const shown = manifest.slice(0, filesShown);
  const rows = shown.map(({ name, size: bytes }) => {
    const rows = read.get(name);
    const reason = quarantined.get(name);
    const outcome =
      reason !== undefined ? `quarantined: ${reason}` : rows ? "read" : isChanged.has(name) ? "changed" : "-";
    return [
      ...[name, size(bytes), outcome],
      ...[rows?.rowsRead, rows?.rowsKept, rows?.rowsDuplicate, rows?.rowsQuarantined].map((value) => count(value)),
    ];
  });
  const right = ["size", "read", "kept", "duplicate", "quarantined"];
  const head = ["file", "size", "outcome", ...right.slice(1)];
  return html`<h2>Files</h2>${table(`Files (${shown.length} of ${manifest.length})`, head, rows, right)}`;
}

function daysOf({ days }: BatchDetail): Html {
  if (days.length === 0) return html`<h2>Days</h2><p>None yet.</p>`;
  const shown = days.slice(-daysShown);
  const more = days.length > shown.length ? html` The latest ${shown.length} are:` : "";
  return html`<h2>Days</h2><p>It wrote to ${counted(days.length, "day")}.${more}</p>
<p>${shown.map((date) => html`${link(pathTo("day", { date }), date)} `)}</p>`;
}
