import { count } from "../../terminal/format";
import { chart } from "../chart";
import { facts, html, table } from "../html";
import type { Batch, Source } from "../source";
import { ago, batchLink, spanMs, spanText, sum, type View } from "../view";

const batchesShown = 100;

/** How long each step of a batch took; null where it is not known. */
const spans: [step: string, of: (batch: Batch) => number | null][] = [
  ["sense: claim to start", ({ claimedAt, startedAt }) => spanMs(claimedAt, startedAt)],
  ["transform", ({ transform }) => spanMs(transform.from, transform.to)],
  ["publish", ({ publish }) => spanMs(publish.from, publish.to)],
  ["archive: metrics to settled", ({ publish, settledAt }) => spanMs(publish.to, settledAt)],
  ["claim to metrics", ({ claimedAt, publish }) => spanMs(claimedAt, publish.to)],
  ["landing to metrics, oldest file", toMetrics],
];

/** From the landing of a batch's oldest file to its metrics. Batches of earlier versions don't have it. */
function toMetrics({ landedAt, publish }: Batch): number | null {
  return spanMs(landedAt, publish.to);
}

/** How fresh the metrics are, and how long the last batches took. */
export async function freshnessView(source: Source, nowMs: number): Promise<View> {
  const [pipeline, batches] = await Promise.all([source.pipeline(), source.batches({ limit: batchesShown })]);
  const archived = batches.filter(({ state }) => state === "ARCHIVED");
  // A replay is claimed long before it runs again.
  const first = archived.filter(({ attempt }) => attempt === 1);
  const [newest] = archived.map(({ publish }) => publish.to ?? "").sort((a, b) => (a < b ? 1 : -1));
  const { oldest } = pipeline.waiting;
  const read = archived.reduce((total, { rowsRead }) => total + (rowsRead ?? 0), 0);
  const quarantined = archived.reduce((total, { rowsQuarantined }) => total + (sum(rowsQuarantined) ?? 0), 0);
  const now = facts([
    ["newest metrics", newest ? ago(newest, nowMs) : "none yet"],
    ["oldest waiting file", oldest === null ? "-" : ago(oldest, nowMs)],
    ["quarantined rows", read === 0 ? "-" : `${((100 * quarantined) / read).toFixed(2)} % of those batches' rows`],
  ]);
  const right = ["batches", "median", "longest"];
  const rows = spans.map(([step, of]) => {
    const known = first.flatMap((batch) => of(batch) ?? []).sort((a, b) => a - b);
    return [step, count(known.length), spanText(median(known)), spanText(known.at(-1) ?? null)];
  });
  const trend = first.toReversed().flatMap((batch) => {
    const ms = toMetrics(batch);
    if (ms === null) return [];
    const name = batch.batchId.slice(0, 13);
    return [{ name, value: ms / 1000, text: spanText(ms), link: batchLink(batch.batchId) }];
  });
  const drawn = await chart({
    ...({ title: "From landing to metrics", of: "batch", measure: "seconds", kind: "columns" } as const),
    rows: trend,
  });
  const parts = [
    { id: "now", html: html`<p>Of the last ${archived.length} archived batches:</p>${now}` },
    {
      id: "steps",
      html: html`<h2>Durations, where one attempt was enough</h2>${table("Durations by step", ["step", ...right], rows, right)}`,
    },
    { id: "trend", html: html`<h2>Trend</h2>${drawn}` },
  ];
  return { title: "Freshness", parts, isLive: true };
}

/** The middle of sorted numbers; of an even number of them, the mean of both in the middle. */
function median(sorted: number[]): number | null {
  const half = sorted.length >> 1;
  const upper = sorted[half];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2;
}
