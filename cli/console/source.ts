import { GlueClient, type JobRun } from "@aws-sdk/client-glue";
import type * as shown from "../../console/source";
import type { Batch, Manifest, TransformReport } from "../../runtime/batch";
import { readDocument } from "../../runtime/lake";
import { readPipeline } from "../../runtime/ledger";
import { place } from "../../runtime/places";
import { quarantined } from "../../runtime/reports";
import { lookThrough } from "../../runtime/waiting";
import { type Item, mapsOf, textOf, wholeOf } from "../items";
import { batchRow, readItems, readLedger } from "../ledger";
import { isError, said } from "../logs";
import { byListens, dateOf, daysOf, genreOf } from "../metrics-text";
import { tracksOf } from "../read/artists";
import { jobRuns } from "../read/job-runs";
import { BatchLogs, logSources } from "../read/logs";
import { itemAt, itemsOf, listedDays, listedGenres } from "../read/metrics";
import { batchQuarantine, firstQuarantined, reasonTotals } from "../read/quarantine";
import { stepsOf } from "../start/progress";
import { storeOf, type Target } from "../target";

/** Lists incoming/ for so long at most: a page waits for it. */
const listMs = 2_000;
/** Rows are looked up in so many batches at most. */
const batchesWithRows = 4;
/** Where no day is listed, a batch that wrote to one is among the newest, or there is none. */
const batchesWithDays = 20;

type Attributes = Awaited<ReturnType<typeof readItems>>[number];

/** What the console shows of a pipeline, read when a page asks for it. */
export function consoleSource(target: Target, stack: string | null): shown.Source {
  const store = storeOf(target);
  const glue = new GlueClient(target.access);
  return {
    name: target.name,
    stack,
    async pipeline() {
      const untilMs = Date.now() + listMs;
      const [pipeline, found] = await Promise.all([
        readPipeline(store),
        lookThrough(store, { keep: 0, timeIsUp: () => Date.now() > untilMs }),
      ]);
      return {
        pausedSince: pipeline.pausedSince ?? null,
        inFlight: pipeline.inFlight ?? null,
        isQueued: pipeline.queued !== undefined,
        waiting: {
          ...{ files: found.count, bytes: found.bytes, isWhole: found.listedTo === undefined },
          held: found.ignored.held ?? 0,
          oldest: found.oldestMs === undefined ? null : new Date(found.oldestMs).toISOString(),
        },
      };
    },
    async batches({ limit, before, since }) {
      // The ledger's bounds are inclusive.
      const items = await readItems(target, {
        ...{ limit: limit + 1 },
        ...(before !== undefined && { to: before }),
        ...(since !== undefined && { from: since }),
      });
      return items
        .map(batchOf)
        .filter(({ batchId }) => batchId !== before)
        .slice(0, limit);
    },
    batch: (batchId) => detailOf(target, glue, batchId),
    async logs(batchId) {
      const [batch] = await readLedger(target, { from: batchId, to: batchId });
      if (!batch) return [];
      const logs = new BatchLogs(target, { sources: logSources });
      const lines = await logs.more(batch).finally(() => logs.close());
      return lines.map((line) => ({ ...line, isError: isError(line), text: said(line) }));
    },
    async quarantine() {
      const batches = await readLedger(target);
      const reasons = reasonTotals(batches);
      const newest = [...new Set(reasons.flatMap((reason) => reason.batches[0] ?? []))].slice(0, batchesWithRows);
      const first = await Promise.all(newest.map((batchId) => firstQuarantined(target, batchId)));
      return {
        reasons,
        files: batches.reduce((sum, batch) => sum + (batch.filesQuarantined ?? 0), 0),
        first: first.flat().sort((a, b) => (a.reason < b.reason ? -1 : a.reason > b.reason ? 1 : 0)),
      };
    },
    async latestDay() {
      const listed = (await listedDays(target)).at(-1);
      if (listed) return dateOf(listed);
      const batches = await readLedger(target, { limit: batchesWithDays });
      const newest = batches.find(({ state, rowsKept }) => state === "ARCHIVED" && rowsKept);
      return newest && (await transformReport(target, newest.batchId))?.days?.at(-1);
    },
    async listedDays() {
      return (await listedDays(target)).map((item) => ({ date: dateOf(item), ...numbersOf(item) })).reverse();
    },
    async days(dates) {
      const found = await Promise.all(
        dates.map(async (date) => ({ date, item: await itemAt(target, `DAY#${date}`, "SUMMARY") })),
      );
      return found.flatMap(({ date, item }) => (item ? [{ date, ...numbersOf(item) }] : []));
    },
    async topGenres(date) {
      const item = await itemAt(target, `DAY#${date}`, "TOP_GENRES");
      return mapsOf(item, "genres").map((genre) => ({ genre: textOf(genre, "genre") ?? "-", ...numbersOf(genre) }));
    },
    async dayParts(date) {
      const items = await Promise.all(
        ["TOP_TRACKS", "HOURS", "COUNTRIES"].map((sk) => itemAt(target, `DAY#${date}`, sk)),
      );
      const [tracks, hours, countries] = items;
      return {
        topTracks: tracksShown(tracks),
        hours: mapsOf(hours, "hours").map((hour) => ({ hour: `${wholeOf(hour, "hour")}`, ...numbersOf(hour) })),
        countries: mapsOf(countries, "countries").map((one) => ({
          country: textOf(one, "country"),
          ...numbersOf(one),
        })),
      };
    },
    async listedGenres(date) {
      return byListens(await listedGenres(target, date)).map((item) => ({ genre: genreOf(item), ...numbersOf(item) }));
    },
    async genre(name) {
      const items = await itemsOf(target, `GENRE#${name}`);
      const topTracks = items.flatMap((item) => {
        const date = /^TOP_TRACKS#(.*)$/s.exec(textOf(item, "sk") ?? "")?.[1];
        return date === undefined ? [] : [{ date, tracks: tracksShown(item) }];
      });
      return { days: daysShown(items), topTracks };
    },
    artist: (name) => tracksOf(target, name),
    async track(id) {
      const items = await itemsOf(target, `TRACK#${id}`);
      const latest = items.at(-1);
      return { name: textOf(latest, "track_name"), artists: textOf(latest, "artists"), days: daysShown(items) };
    },
  };
}

function batchOf(item: Attributes): shown.Batch {
  const span = ({ startedAt, finishedAt }: Attributes = {}) => ({
    from: typeof startedAt === "string" ? startedAt : null,
    to: typeof finishedAt === "string" ? finishedAt : null,
  });
  return { ...batchRow(item), transform: span(item.report), publish: span(item.publishReport) };
}

async function transformReport(target: Target, batchId: string): Promise<TransformReport | undefined> {
  const key = place("transformReport", { batchId });
  return (await readDocument(storeOf(target), key)) as TransformReport | undefined;
}

async function detailOf(target: Target, glue: GlueClient, batchId: string): Promise<shown.BatchDetail | undefined> {
  const [item] = await readItems(target, { from: batchId, to: batchId });
  if (!item) return undefined;
  const { workflowRunId } = batchRow(item);
  const [report, found, quarantine, runs] = await Promise.all([
    transformReport(target, batchId),
    // A manifest of a restored ledger may be gone.
    readDocument(storeOf(target), place("manifest", { batchId })),
    batchQuarantine(target, batchId),
    workflowRunId === null ? {} : jobRuns(glue, target.outputs.workflowName, workflowRunId),
  ]);
  const manifest = found as unknown as Manifest | undefined;
  const batch = batchOf(item);
  return {
    ...batch,
    glueConsole: target.workflowPage ?? null,
    steps: stepsShown(item, batch, runs, target),
    manifest: manifest?.files ?? [],
    read: new Map(
      report?.files?.map(({ name, ...rows }) => [name, { ...rows, rowsQuarantined: quarantined(rows) }]) ?? [],
    ),
    changed: report?.filesChanged?.map(({ name }) => name) ?? [],
    days: report?.days ?? [],
    quarantine: quarantine ?? { files: [], first: [] },
  };
}

/** The steps as `npm start` shows them, with their times: Glue's while it knows the run, later those of the reports. */
function stepsShown(item: Attributes, batch: shown.Batch, runs: Record<string, JobRun>, target: Target): shown.Step[] {
  const { files, bytes, claimedAt, startedAt, settledAt, transform, publish } = batch;
  const { transformJobName, publishJobName } = target.outputs;
  const jobs = { transform: runs[transformJobName], publish: runs[publishJobName] };
  const spans: Record<shown.Step["name"], shown.Span> = {
    sense: { from: claimedAt, to: startedAt },
    transform: { from: jobs.transform?.StartedOn?.toISOString() ?? transform.from, to: transform.to },
    publish: { from: jobs.publish?.StartedOn?.toISOString() ?? publish.from, to: publish.to },
    archive: { from: publish.to, to: settledAt },
  };
  // Items of earlier versions may lack some of it.
  const report = item.report && { ...item.report, rowsQuarantined: item.report.rowsQuarantined ?? {} };
  const known = { ...item, files: files ?? 0, bytes: bytes ?? 0, report } as unknown as Batch;
  const facts = Object.fromEntries(Object.entries(jobs).filter(([, run]) => run !== undefined));
  return stepsOf({ ...facts, batch: known, nowMs: Date.now() }).map(({ name, state, elapsedMs, detail }) => {
    const { from, to } = state === "waiting" ? { from: null, to: null } : spans[name];
    const ms = elapsedMs ?? Date.parse(to ?? "") - Date.parse(from ?? "");
    return { name, state, detail: detail ?? null, from, elapsedMs: Number.isFinite(ms) ? Math.max(0, ms) : null };
  });
}

function numbersOf(item: Item | undefined): shown.Numbers {
  return {
    listens: wholeOf(item, "listens"),
    listeners: wholeOf(item, "unique_listeners"),
    listeningMs: wholeOf(item, "listening_ms"),
  };
}

function tracksShown(item: Item | undefined): shown.Track[] {
  return mapsOf(item, "tracks").map((track) => ({
    ...{ trackId: textOf(track, "track_id") ?? "-", name: textOf(track, "track_name") },
    ...{ artists: textOf(track, "artists"), ...numbersOf(track) },
  }));
}

/** The oldest day first. */
function daysShown(items: Item[]): shown.Day[] {
  return daysOf(items)
    .map(({ date, item }) => ({ date, ...numbersOf(item) }))
    .reverse();
}
