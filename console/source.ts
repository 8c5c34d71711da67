/** What the pages show, as the command that starts the console reads it. What isn't known is null. */

type Counts = "attempt" | "files" | "bytes" | "rowsRead" | "rowsKept" | "rowsDuplicate" | "filesHeld";
type Times = "landedAt" | "claimedAt" | "startedAt" | "settledAt" | "nextAttemptAt" | "retriedAt";

export interface Batch extends Record<Counts, number | null>, Record<Times | "parent" | "error", string | null> {
  batchId: string;
  state: string;
  /** Rows by reason. */
  rowsQuarantined: Record<string, number> | null;
  children: string[] | null;
  /** When each job of the last attempt began and ended, by the reports. */
  transform: Span;
  publish: Span;
}

export type Span = Record<"from" | "to", string | null>;

/** A part of a batch's way: a Lambda or a job of its last attempt. */
export interface Step {
  name: "sense" | "transform" | "publish" | "archive";
  state: "waiting" | "running" | "done" | "failed";
  from: string | null;
  elapsedMs: number | null;
  detail: string | null;
}

export interface BatchDetail extends Batch {
  steps: Step[];
  /** The workflow's page in the AWS console. */
  glueConsole: string | null;
  manifest: { name: string; size: number; lastModified: string }[];
  /** What became of a file that was read, by its name. */
  read: Map<string, { rowsRead: number; rowsKept: number; rowsDuplicate: number; rowsQuarantined: number }>;
  /** Names of files that were overwritten or deleted since the claim. */
  changed: string[];
  days: string[];
  quarantine: Quarantine;
}

export interface Quarantine {
  files: { name: string; reason: string; detail: string; at: string | null }[];
  /** The first rows of each reason. */
  first: { reason: string; raw: string; file: string; at: string }[];
}

export interface LogLine {
  time: string;
  source: "sense" | "transform" | "publish" | "archive";
  attempt: number | null;
  isError: boolean;
  text: string;
}

export interface Pipeline {
  pausedSince: string | null;
  inFlight: string | null;
  isQueued: boolean;
  /** `held`: files in incoming/ that no batch claims, because S3 did not let them go. */
  waiting: { files: number; bytes: number; oldest: string | null; held: number; isWhole: boolean };
}

/** Numbers of a day, a genre's day, or a track's day. They may be larger than a JavaScript number holds. */
export type Numbers = Record<"listens" | "listeners" | "listeningMs", bigint | undefined>;
export type Day = Numbers & { date: string };
export type Genre = Numbers & { genre: string };
export type Track = Numbers & { trackId: string } & Record<"name" | "artists", string | undefined>;
/** What an earlier version published has none of them. A country that isn't known has no name. */
export interface DayParts {
  topTracks: Track[];
  hours: (Numbers & { hour: string })[];
  countries: (Numbers & { country: string | undefined })[];
}

/** Reads one pipeline. The pages only read. */
export interface Source {
  /** "the local cloud", "the stack dev". */
  name: string;
  /** A deployed stack's name, for commands to copy; null for the local cloud. */
  stack: string | null;
  pipeline(): Promise<Pipeline>;
  /** Batches, newest first: those before an id, or those since one. */
  batches(wanted: { limit: number; before?: string | undefined; since?: string | undefined }): Promise<Batch[]>;
  batch(batchId: string): Promise<BatchDetail | undefined>;
  /** All lines about a batch, in the order of time. */
  logs(batchId: string): Promise<LogLine[]>;
  /** Rows by reason over all batches, newest batch first; the number of files; the first rows of the newest batches. */
  quarantine(): Promise<{
    reasons: { reason: string; rows: number; batches: string[] }[];
    files: number;
    first: Quarantine["first"];
  }>;
  /** The newest day that has metrics. */
  latestDay(): Promise<string | undefined>;
  /** All days that are listed, newest first; not those that an earlier version published. */
  listedDays(): Promise<Day[]>;
  /** The totals of these days; a day without metrics is left out. */
  days(dates: string[]): Promise<Day[]>;
  topGenres(date: string): Promise<Genre[]>;
  dayParts(date: string): Promise<DayParts>;
  /** All genres of a day that are listed, the most heard first. */
  listedGenres(date: string): Promise<Genre[]>;
  genre(name: string): Promise<{ days: Day[]; topTracks: { date: string; tracks: Track[] }[] }>;
  /** Tracks of the reference data whose artists' text has this one in it; undefined: it can't be read now. */
  artist(name: string): Promise<Omit<Track, keyof Numbers>[] | undefined>;
  track(id: string): Promise<{ days: Day[] } & Record<"name" | "artists", string | undefined>>;
}
