import { leastBilledSeconds, transformSeconds } from "../cli/cost/estimate";
import { assumed, measured } from "../cli/cost/measured";
import { prices } from "../cli/cost/prices";
import type { Manifest } from "../runtime/batch";
import { incoming, place } from "../runtime/places";
import { settle } from "../runtime/settle";
import { tick } from "../runtime/tick";
import type { World } from "../runtime/world";
import { SimulatedDynamoDB } from "../test/support/simulated-dynamodb";
import { type Jobs, SimulatedGlue, type SimulatedRun } from "../test/support/simulated-glue";
import { awsError, type Command, SimulatedS3 } from "../test/support/simulated-s3";

const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
export const START_MS = Date.parse("2026-06-01T00:00:00Z");
/** A file's text has a character for so many listens, so that a month of files fits the memory. */
const LISTENS_A_CHARACTER = 100;
const WORKERS = 2;
const TRACKS = 22_000;
/** A Lambda's time. */
const LAMBDA_MS = 300_000;

/** What happens beside a file every two minutes: a span of time in days since the start. */
export interface Incident {
  what: string;
  kind: "burst" | "noGlue" | "noReference" | "noTicks" | "backFill";
  from: number;
  days: number;
}

export const INCIDENTS: Incident[] = [
  { what: "3,000 files in ten minutes", kind: "burst", from: 4.5, days: 10 / 1440 },
  { what: "Glue starts no run for six hours", kind: "noGlue", from: 9.25, days: 0.25 },
  { what: "no reference data for four hours", kind: "noReference", from: 14.25, days: 4 / 24 },
  { what: "no tick for three hours", kind: "noTicks", from: 19.5, days: 3 / 24 },
  { what: "a year of back-fill, 365 million listens", kind: "backFill", from: 24.25, days: 0.5 / 24 },
];

interface Arrival {
  atMs: number;
  name: string;
  listens: number;
}

/** What became of a file: when it landed, and when its listens were in the metrics. */
export interface Fresh {
  landedMs: number;
  publishedMs: number;
  isBackFill: boolean;
}

export interface Month {
  files: Fresh[];
  dropped: number;
  runs: number;
  failedRuns: number;
  dpuHours: number;
  usd: number;
}

/** Arrivals of a stretch of days: a file every two minutes, a million listens a day, and those of the incidents. */
function arrivals(days: number, incidents: Incident[]): Arrival[] {
  const regular = Array.from({ length: days * 720 }, (_, at) => ({
    atMs: START_MS + at * 2 * MINUTE_MS,
    name: `live-${at}.csv`,
    listens: 1_389,
  }));
  const spread = ({ from, days: long }: Incident, name: string, count: number, listens: number) =>
    Array.from({ length: count }, (_, at) => ({
      atMs: START_MS + (from + (long * at) / count) * DAY_MS,
      name: `${name}-${at}.csv`,
      listens,
    }));
  const more = incidents.flatMap((one) => {
    if (one.kind === "burst") return spread(one, "burst", 3000, 500);
    return one.kind === "backFill" ? spread(one, "back-fill", 365, 1_000_000) : [];
  });
  return [...regular, ...more].sort((one, other) => one.atMs - other.atMs);
}

/**
 * Plays a month on a virtual clock: the Lambdas' code decides, simulated services answer, and a run takes as long as
 * docs/scale.md says of its rows. Goes on until every file is in the metrics.
 */
export async function simulate(tickMs: number, days: number, incidents: Incident[]): Promise<Month> {
  let nowMs = START_MS;
  const now = () => nowMs;
  const is = (kind: Incident["kind"]) =>
    incidents.some((one) => {
      const since = (nowMs - START_MS) / DAY_MS - one.from;
      return one.kind === kind && since >= 0 && since < one.days;
    });
  const s3 = new SimulatedS3(now, 1000);
  const dynamodb = new SimulatedDynamoDB();
  const jobs = new TimedJobs(s3, () => is("noReference"));
  const glue = new SimulatedGlue(now, jobs);
  const coming = arrivals(days, incidents);
  const month: Month = { files: [], dropped: coming.length, runs: 0, failedRuns: 0, dpuHours: 0, usd: 0 };
  let next = 0;

  const advanceTo = (ms: number) => {
    for (let one = coming[next]; one && one.atMs <= ms; one = coming[++next]) {
      nowMs = Math.max(nowMs, one.atMs);
      s3.put(incoming() + one.name, "x".repeat(Math.ceil(one.listens / LISTENS_A_CHARACTER)));
    }
    nowMs = Math.max(nowMs, ms);
  };
  const startable = {
    send: async (command: Command) => {
      if (command.constructor.name === "StartWorkflowRunCommand" && is("noGlue"))
        throw awsError("InternalServiceException", 500);
      return glue.send(command);
    },
  };
  let calls = 0;
  const call = async (act: (world: World, remainingMs: number) => Promise<unknown>) => {
    const world = {
      clients: { s3, documents: dynamodb, glue: startable },
      holder: String(++calls),
      clock: { now, sleep: async (ms: number) => advanceTo(nowMs + ms) },
      // Batch ids must differ.
      random: (bytes: number) => Uint8Array.from({ length: bytes }, (_, at) => (calls >> (8 * at)) & 255),
      log: () => {},
      settings: {
        ...{ bucket: "lake", ledgerTable: "ledger", workflow: "workflow" },
        ...{ transformJob: "transform", publishJob: "publish", singleCopyBytes: 5e9, copyPartBytes: 1e9 },
        limits: {
          maxBatchFiles: 5000,
          maxBatchBytes: Math.floor(10_737_418_240 / measured.csvBytes / LISTENS_A_CHARACTER),
          ...{ maxAttempts: 3, retryPauseSeconds: 60, maxRetryPauseSeconds: 3600 },
        },
      },
    } as unknown as World;
    await act(world, LAMBDA_MS).catch((error: { name?: string }) => {
      // An outage ends the tick; the next one goes on.
      if (error.name !== "InternalServiceException") throw error;
    });
  };

  let tickAt = START_MS + tickMs;
  let runEndsAt = Number.POSITIVE_INFINITY;
  while (month.files.length < coming.length) {
    const at = Math.min(tickAt, runEndsAt);
    advanceTo(at);
    if (at === runEndsAt) {
      runEndsAt = Number.POSITIVE_INFINITY;
      glue.finish({ kind: "good" });
      if (jobs.published.length === 0) month.failedRuns++;
      for (const { name, lastModified } of jobs.published.splice(0))
        month.files.push({
          landedMs: Date.parse(lastModified),
          publishedMs: nowMs,
          isBackFill: name.startsWith("back-fill"),
        });
      await call(settle);
      forget(s3, dynamodb);
    } else {
      tickAt += tickMs;
      if (!is("noTicks")) await call(tick);
    }
    const started = glue.current();
    if (!started || runEndsAt < Number.POSITIVE_INFINITY) continue;
    const [transform, publish] = jobs.secondsOf(started);
    month.runs++;
    const spark = (WORKERS * Math.max(leastBilledSeconds, transform)) / 3600;
    const shell = publish === 0 ? 0 : Math.max(leastBilledSeconds, publish) / 3600;
    month.dpuHours += spark + shell;
    month.usd += spark * prices.sparkDpuHour.usd + shell * prices.shellDpuHour.usd;
    runEndsAt = nowMs + 1000 * (assumed.startSeconds + transform + publish);
  }
  return month;
}

/** Settled batches are not looked at again, so the simulated services need not keep them. */
function forget(s3: SimulatedS3, dynamodb: SimulatedDynamoDB): void {
  for (const { batchId, pk, sk, settledAt } of dynamodb.all("BATCH"))
    if (settledAt !== undefined) {
      dynamodb.items.delete(JSON.stringify([pk, sk]));
      for (const key of s3.keys()) if (key.includes(batchId)) s3.objects.delete(key);
    }
}

/** Jobs that write true reports of files of plain rows, all new, and take the time of their rows. */
class TimedJobs implements Jobs {
  /** The files of the last good run. */
  readonly published: Manifest["files"] = [];
  private readonly listensOfDay = new Map<string, number>();

  constructor(
    private readonly s3: SimulatedS3,
    private readonly isReferenceMissing: () => boolean,
  ) {}

  private manifestOf(run: SimulatedRun): Manifest {
    return this.s3.json(place("manifest", { batchId: run.properties.batch_id! }));
  }

  /** Seconds of transform and publish. A back-filled file is a day of its own; all others are of today. */
  secondsOf(run: SimulatedRun): [number, number] {
    if (this.isReferenceMissing()) return [measured.transformSeconds, 0];
    const { files } = this.manifestOf(run);
    const listens = files.reduce((sum, { size }) => sum + listensOf(size), 0);
    const older = files.filter(({ name }) => name.startsWith("back-fill"));
    const ofOlder = older.reduce((sum, { size }) => sum + listensOf(size), 0);
    const today = run.startedAt.toISOString().slice(0, 10);
    const ofToday = (this.listensOfDay.get(today) ?? 0) + listens - ofOlder;
    this.listensOfDay.set(today, ofToday);
    const items = tracksIn(listens - ofOlder) + older.length * tracksIn(ofOlder / Math.max(1, older.length));
    const publish = (measured.publishSeconds * (ofToday + ofOlder)) / 1e6 + items / measured.publishItemsPerSecond;
    return [transformSeconds(listens, WORKERS), publish];
  }

  transform(run: SimulatedRun): { ok: boolean; error: string } {
    if (this.isReferenceMissing()) return { ok: false, error: "reference data is missing" };
    const { batchId, files } = this.manifestOf(run);
    const write = (name: "readingMarker" | "touched" | "transformReport", document: object) =>
      this.s3.put(place(name, { batchId }), JSON.stringify(document));
    const days = [run.startedAt.toISOString().slice(0, 10)];
    write("readingMarker", { workflowRunId: run.id });
    write("touched", { days });
    const counts = files.map(({ name, size }) => ({
      ...{ name, rowsRead: listensOf(size), rowsKept: listensOf(size), rowsDuplicate: 0, rowsQuarantined: {} },
    }));
    const rows = counts.reduce((sum, { rowsRead }) => sum + rowsRead, 0);
    write("transformReport", {
      ...{ batchId, workflowRunId: run.id, rowsRead: rows, rowsKept: rows, rowsDuplicate: 0, rowsQuarantined: {} },
      ...{ filesQuarantined: [], filesChanged: [], days, files: counts },
    });
    return { ok: true, error: "" };
  }

  publish(run: SimulatedRun): void {
    const { batchId, files } = this.manifestOf(run);
    const report = { batchId, workflowRunId: run.id, days: [run.startedAt.toISOString().slice(0, 10)] };
    this.s3.put(place("publishReport", { batchId }), JSON.stringify(report));
    this.published.push(...files);
  }
}

const listensOf = (size: number) => size * LISTENS_A_CHARACTER;
/** How many tracks so many evenly played listens are of. */
const tracksIn = (listens: number) => TRACKS * (1 - (1 - 1 / TRACKS) ** listens);
