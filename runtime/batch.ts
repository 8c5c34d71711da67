/** The data that the protocol reads and writes. docs/architecture.md explains each. */

export type BatchState = "CLAIMED" | "RUNNING" | "PROCESSED" | "ARCHIVED" | "RETRY" | "FAILED" | "SPLIT" | "REPLAY";

/** Objects that a listing skips: folder markers, keys that are not CSV, and objects that someone must restore first. */
export interface Ignored {
  folders: number;
  notCsv: number;
  /** Absent when there are none. */
  cold?: number;
  /** Files that S3 did not let the pipeline move; absent when there are none. */
  held?: number;
}

/**
 * Counts of the batch's files by where they ended. `left`: changed since the claim, still in incoming/. `missing`:
 * deleted by someone. `held`: S3 did not let the pipeline move it: it stays in incoming/, and no claim takes it.
 */
export interface Moves {
  moved: number;
  quarantined: number;
  left: number;
  missing: number;
  held?: number;
}

/** A batch as the ledger holds it. All times are ISO 8601 in UTC. */
export interface Batch {
  batchId: string;
  state: BatchState;
  /** Rises with every change. Each write requires the version that it read, so one of two writers loses. */
  version: number;
  /** 1, 2, ...; a replay counts on, so (batchId, attempt) names at most one intended run. */
  attempt: number;
  files: number;
  bytes: number;
  /** When the oldest of its files landed. */
  landedAt?: string;
  claimedAt: string;
  updatedAt: string;
  /** When the current attempt became due: no run of it can be older. */
  dueAt: string;
  /** Set while a tick may be sending StartWorkflowRun: none sends it later than this. */
  startBy?: string;
  startedAt?: string;
  settledAt?: string;
  nextAttemptAt?: string;
  workflowRunId?: string;
  /** Failures in a row; pauses grow with them. */
  failures?: number;
  /** Failures of transform after it began to read the files; after `maxAttempts` of them the batch is given up. */
  dataFailures?: number;
  /**
   * Transform succeeded once: its files are readable and metrics may hold their rows, so the batch is never given up.
   */
  transformed?: boolean;
  /** A restored ledger had lost it: batches that took its files run again after it. */
  wasLost?: boolean;
  /** A person asked for a replay; the files are in archive/ already. */
  replay?: boolean;
  /** The replay's manifest names the files in the archive. */
  prepared?: boolean;
  /**
   * Before the replay: the batch's size, and the version of touched.json. As long as that version stays, no attempt of
   * the replay has replaced a row.
   */
  beforeReplay?: { files: number; bytes: number; touched: string };
  /** Why the last requested replay did not run. */
  notReplayed?: string;
  /** UTC day of the folders that its files move to; set once. */
  day?: string;
  parent?: string;
  children?: string[];
  ignored?: Ignored;
  report?: ReportTotals;
  publishReport?: PublishReport;
  moves?: Moves;
  error?: string;
  errorJob?: string;
  /** When moves of its files began to fail, and how often they did; see `mayHold` in endings.ts. */
  stuck?: { since: string; tries: number };
  /** Why S3 did not move a file. */
  notMoved?: string;
  /** The Lambda that moves the batch's files, and until when no other one does; see lease.ts. */
  lease?: { holder: string; until: string };
  /** More files are held than one write takes, and not all of them are written yet. */
  holding?: boolean;
  /** When a person abandoned the batch. */
  abandonedAt?: string;
  /** Why the batch could not be abandoned. */
  notAbandoned?: string;
  /** A person asked to retry a FAILED batch's file: sense will put it back into incoming/. */
  puttingBack?: boolean;
  /** Why the file was not put back: another file had taken its key. */
  notPutBack?: string;
  /** When the file was put back. */
  retriedAt?: string;
}

export interface ManifestFile {
  key: string;
  name: string;
  etag: string;
  size: number;
  lastModified: string;
}

/** How much a batch has to process, and since when. */
export function amountOf(files: ManifestFile[]): Pick<Batch, "files" | "bytes" | "landedAt"> {
  const landed = files.map(({ lastModified }) => lastModified);
  const landedAt = landed.reduce<string | undefined>((one, other) => (one && one <= other ? one : other), undefined);
  return {
    files: files.length,
    bytes: files.reduce((total, { size }) => total + size, 0),
    ...(landedAt && { landedAt }),
  };
}

export interface Manifest {
  batchId: string;
  claimedAt: string;
  parent?: string;
  files: ManifestFile[];
  /** Of a replay: claimed files that it skips because no run ever read them (quarantined or changed files). */
  notReplayed?: ManifestFile[];
}

export type RowCounts = {
  rowsRead: number;
  rowsKept: number;
  rowsDuplicate: number;
  rowsQuarantined: Record<string, number>;
};

export type TransformReport = RowCounts & {
  batchId: string;
  workflowRunId: string;
  startedAt?: string;
  finishedAt?: string;
  /** Column: the header names that stood for it in this run, besides its own. */
  columnNames?: Record<string, string[]>;
  filesQuarantined: { name: string; key: string; reason: string; detail?: string }[];
  filesChanged: { name: string; key: string }[];
  unknownTracks?: number;
  unknownUsers?: number;
  referenceRowsSkipped?: Record<string, number>;
  referenceFilesSkipped?: { name: string; key: string; reason: string; detail?: string }[];
  referenceQuotesOpen?: { key: string; line: number }[];
  referenceValuesSkipped?: ReferenceValue[];
  referenceValuesSuspicious?: ReferenceValue[];
  days: string[];
  files: (RowCounts & { name: string })[];
};

/** Values of the reference data that transform could not use, or that look wrong; `example` is the first one. */
export interface ReferenceValue {
  column: string;
  reason: string;
  rows: number;
  example: string;
  key: string;
}

/**
 * The part of transform.json that the ledger keeps: totals, and counts in place of lists. An item holds 400 KB at most.
 */
export type ReportTotals = RowCounts & {
  filesQuarantined: number;
  filesChanged: number;
  unknownTracks: number;
  unknownUsers: number;
  referenceRowsSkipped: Record<string, number>;
  /** What is wrong with files of the reference data, the first few in words; absent when nothing is. */
  referenceFaults?: string[];
  days: number;
  startedAt?: string;
  finishedAt?: string;
};

export interface PublishReport {
  batchId: string;
  workflowRunId: string;
  startedAt?: string;
  finishedAt?: string;
  engine?: string;
  days?: number;
  groupsComputed?: number;
  itemsWritten?: number;
  itemsUnchanged?: number;
  itemsRemoved?: number;
}

export interface Limits {
  maxBatchFiles: number;
  maxBatchBytes: number;
  maxAttempts: number;
  retryPauseSeconds: number;
  maxRetryPauseSeconds: number;
}

/** A time in milliseconds since the epoch, as the ledger writes it. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
