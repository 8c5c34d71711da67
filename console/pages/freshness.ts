import { chart } from "../chart";
import { facts, html, link, pathTo, table } from "../html";
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
];

/** How fresh the metrics are, and how long the last batches took. */
export async function freshnessView(source: Source, nowMs: number): Promise<View> {
  const [pipeline, batches] = await Promise.all([source.pipeline(), source.batches({ limit: batchesShown })]);
  const archived = batches.filter(({ state }) => state === "ARCHIVED");
  const last = archived.reduce<Batch | undefined>(
    (newest, batch) => (newest && (newest.publish.to ?? "") >= (batch.publish.to ?? "") ? newest : batch),
    undefined,
  );
  const { oldest } = pipeline.waiting;
  const read = archived.reduce((total, { rowsRead }) => total + (rowsRead ?? 0), 0);
  const quarantined = archived.reduce((total, { rowsQuarantined }) => total + (sum(rowsQuarantined) ?? 0), 0);
  const now = facts([
    [
      "newest metrics",
      last === undefined ? "none yet" : html`${ago(last.publish.to, nowMs)}, batch ${batchLink(last.batchId)}`,
    ],
    ["oldest waiting file", oldest === null ? "-" : ago(oldest, nowMs)],
    ["quarantined rows", read === 0 ? "-" : `${((100 * quarantined) / read).toFixed(2)} % of those batches' rows`],
  ]);
  const titles = [{ title: "step" }, ...["batches", "median", "longest"].map((title) => ({ title, isNumber: true }))];
  const rows = spans.map(([step, of]) => {
    const known = archived.flatMap((batch) => of(batch) ?? []).sort((a, b) => a - b);
    return [step, known.length, spanText(median(known)), spanText(known.at(-1) ?? null)];
  });
  const trend = archived.toReversed().flatMap((batch) => {
    const ms = spanMs(batch.claimedAt, batch.publish.to);
    if (ms === null) return [];
    const { batchId } = batch;
    const row = { name: batchId.slice(0, 13), value: ms / 1000, text: spanText(ms) };
    return [{ ...row, link: link(pathTo("batch", { id: batchId }), batchId) }];
  });
  const drawn = await chart({
    ...({ title: "From claim to metrics", of: "batch", measure: "seconds", kind: "columns" } as const),
    rows: trend,
  });
  const parts = [
    { id: "now", html: html`<p>Of the last ${archived.length} archived batches:</p>${now}` },
    { id: "steps", html: html`<h2>Durations</h2>${table("Durations by step", titles, rows)}` },
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
