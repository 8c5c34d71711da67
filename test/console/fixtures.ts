import type { Batch, BatchDetail, LogLine, Source } from "../../console/source";

/** A name that breaks out of a page that forgets one of its escapes, or hides in it. */
export const HOSTILE = `"><script>alert(1)</script>'&amp;\u202egnp.\u0007\u2028\u{e0041}</td>`;
/** Characters that no page may hold as they are. */
export const CONTROLS = /[\p{Cf}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/gu;
const SHOWN = String.raw`\u202egnp.\u0007\u2028\u{e0041}`;
/** How a page shows it. */
export const ESCAPED = `&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;&amp;amp;${SHOWN}&lt;/td&gt;`;

export const NOW = Date.parse("2026-11-23T12:30:00Z");

/** The id of a batch that was claimed so many minutes before NOW. */
export function idOf(minutes: number): string {
  const stamp = new Date(NOW - minutes * 60_000).toISOString().replace(/[-:]|\.\d+/g, "");
  return `${stamp}-AAAAAAAA`;
}

export function batch(minutes: number, more: Partial<Batch> = {}): Batch {
  const at = (seconds: number) => new Date(NOW - minutes * 60_000 + seconds * 1000).toISOString();
  return {
    ...{ batchId: idOf(minutes), state: "ARCHIVED", attempt: 1, files: 2, bytes: 911_000 },
    ...{ rowsRead: 1000, rowsKept: 900, rowsDuplicate: 60, rowsQuarantined: { bad_id: 30, malformed_row: 10 } },
    ...{ filesHeld: 0, landedAt: at(-20), claimedAt: at(0), startedAt: at(1), settledAt: at(40) },
    ...{ nextAttemptAt: null, retriedAt: null, parent: null, children: null, error: null },
    ...{ transform: { from: at(2), to: at(20) }, publish: { from: at(21), to: at(30) } },
    ...more,
  };
}

export function detail(of: Batch, more: Partial<BatchDetail> = {}): BatchDetail {
  return {
    ...of,
    steps: [
      { name: "sense", state: "done", from: of.claimedAt, elapsedMs: 1000, detail: "claimed 2 files, 911 kB" },
      { name: "transform", state: "done", from: of.transform.from, elapsedMs: 18_000, detail: "1,000 rows" },
      { name: "publish", state: "done", from: of.publish.from, elapsedMs: 9_000, detail: "12 items written" },
      { name: "archive", state: "done", from: of.publish.to, elapsedMs: 10_000, detail: "2 to archive/" },
    ],
    glueConsole: null,
    manifest: [
      { name: "a.csv", size: 900_000, lastModified: of.claimedAt ?? "" },
      { name: "b.csv", size: 11_000, lastModified: of.claimedAt ?? "" },
      { name: "c.csv", size: 1, lastModified: of.claimedAt ?? "" },
    ],
    read: new Map([["a.csv", { rowsRead: 1000, rowsKept: 900, rowsDuplicate: 60, rowsQuarantined: 40 }]]),
    changed: ["c.csv"],
    days: ["2024-06-24", "2024-06-25"],
    quarantine: {
      files: [{ name: "b.csv", reason: "not_text", detail: "a PNG image", at: "quarantine/files/b.csv" }],
      first: [{ reason: "bad_id", raw: "u 1,t1,2024-06-25 10:00:00", file: "a.csv", at: "part-0.json, line 1" }],
    },
    ...more,
  };
}

export function line(more: Partial<LogLine> = {}): LogLine {
  const time = new Date(NOW - 60_000).toISOString();
  return { time, source: "transform", attempt: 1, isError: false, text: "started", ...more };
}

const many = { listens: 12n, listeners: 7n, listeningMs: 9_007_199_254_740_993n };

/** A pipeline with these batches, newest first. What is not given is empty. */
export function sourceOf(batches: Batch[], more: Partial<Source> = {}): Source {
  return {
    name: "the local cloud",
    stack: null,
    pipeline: async () => ({
      ...{ pausedSince: null, inFlight: null, isQueued: false },
      waiting: { files: 0, bytes: 0, oldest: null, held: 0, isWhole: true },
    }),
    batches: async ({ limit, before = "~", since = "" }) =>
      batches.filter(({ batchId }) => batchId < before && batchId >= since).slice(0, limit),
    batch: async (batchId) => {
      const found = batches.find((one) => one.batchId === batchId);
      return found && detail(found);
    },
    logs: async () => [],
    quarantine: async () => ({ reasons: [], files: 0, first: [] }),
    latestDay: async () => undefined,
    listedDays: async () => [],
    listedGenres: async () => [],
    days: async () => [],
    topGenres: async () => [],
    dayParts: async () => ({ topTracks: [], hours: [], countries: [] }),
    genre: async () => ({ days: [], topTracks: [] }),
    artist: async () => [],
    track: async () => ({ name: undefined, artists: undefined, days: [] }),
    ...more,
  };
}

/** A pipeline in which every text that comes from data is hostile. */
export function hostileSource(): Source {
  const bad = batch(1, {
    ...{ batchId: HOSTILE, state: HOSTILE, error: HOSTILE, rowsQuarantined: { [HOSTILE]: 40 } },
    ...{ parent: HOSTILE, children: [HOSTILE], settledAt: null, nextAttemptAt: HOSTILE, retriedAt: HOSTILE },
  });
  const day = { date: HOSTILE, ...many };
  const track = { trackId: HOSTILE, name: HOSTILE, artists: HOSTILE, ...many };
  const first = [{ reason: HOSTILE, raw: HOSTILE, file: HOSTILE, at: HOSTILE }];
  return sourceOf([bad], {
    name: HOSTILE,
    pipeline: async () => ({
      ...{ pausedSince: HOSTILE, inFlight: HOSTILE, isQueued: true },
      waiting: { files: 3, bytes: 10, oldest: HOSTILE, held: 2, isWhole: false },
    }),
    batches: async () => [bad],
    batch: async () =>
      detail(bad, {
        steps: [{ name: "sense", state: "failed", from: HOSTILE, elapsedMs: 1, detail: HOSTILE }],
        glueConsole: `javascript:alert(1)//${HOSTILE}`,
        manifest: [{ name: HOSTILE, size: 1, lastModified: HOSTILE }],
        read: new Map([[HOSTILE, { rowsRead: 1, rowsKept: 1, rowsDuplicate: 0, rowsQuarantined: 0 }]]),
        days: [HOSTILE],
        quarantine: { files: [{ name: HOSTILE, reason: HOSTILE, detail: HOSTILE, at: HOSTILE }], first },
      }),
    logs: async () => [line({ text: HOSTILE, isError: true, time: HOSTILE })],
    quarantine: async () => ({ reasons: [{ reason: HOSTILE, rows: 1, batches: [HOSTILE] }], files: 1, first }),
    latestDay: async () => "2024-06-25",
    listedDays: async () => [day],
    listedGenres: async () => [{ genre: HOSTILE, ...many }],
    days: async () => [day],
    topGenres: async () => [{ genre: HOSTILE, ...many }],
    dayParts: async () => ({
      ...{ topTracks: [track], hours: [{ hour: HOSTILE, ...many }] },
      countries: [{ country: HOSTILE, ...many }],
    }),
    genre: async () => ({ days: [day], topTracks: [{ date: HOSTILE, tracks: [track] }] }),
    artist: async () => [track],
    track: async () => ({ name: HOSTILE, artists: HOSTILE, days: [day] }),
  });
}
