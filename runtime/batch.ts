/** The shapes that the protocol reads and writes. docs/architecture.md says what each means. */

export type BatchState = "CLAIMED" | "RUNNING" | "PROCESSED" | "ARCHIVED" | "RETRY" | "FAILED" | "SPLIT" | "REPLAY";

/** What a listing passed over: folder markers, keys that are not CSV, objects in a class that must be restored first. */
export interface Ignored {
  folders: number;
  notCsv: number;
  /** Absent when there are none. */
  cold?: number;
  /** Files of FAILED batches that S3 did not let go; absent when there are none. */
  held?: number;
}

/**
 * Where the batch's files ended. `left`: overwritten since the claim, still in incoming/. `missing`: deleted by someone.
 * `held`: S3 did not let a FAILED batch's file go; it stays in incoming/, and no claim takes it.
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
  /** Rises with every change; each write is conditional on it, so of two writers one loses. */
  version: number;
  /** 1, 2, ...; a replay goes on counting, so (batchId, attempt) names at most one intended run. */
  attempt: number;
  files: number;
  bytes: number;
  claimedAt: string;
  updatedAt: string;
  /** Since when the present attempt has been due: no run of it can be older. */
  dueAt: string;
  /** Set while somebody may be sending StartWorkflowRun: nobody sends it later than this. */
  startBy?: string;
  startedAt?: string;
  settledAt?: string;
  nextAttemptAt?: string;
  workflowRunId?: string;
  /** Failures in a row; the pauses grow with it. */
  failures?: number;
  /** Failures of transform after it began to read the files; `maxAttempts` of them isolate the batch. */
  dataFailures?: number;
  /** Transform succeeded once: the files are readable, and metrics may hold their rows, so the batch is never isolated. */
  transformed?: boolean;
  /** Asked for again by a person; its files lie in archive/ already. */
  replay?: boolean;
  /** The replay's manifest names the files where they lie now. */
  prepared?: boolean;
  /** Why the last replay that was asked for did not run after all. */
  notReplayed?: string;
  /** UTC day of the folder that its files move to, fixed once. */
  day?: string;
  parent?: string;
  children?: string[];
  ignored?: Ignored;
  report?: ReportTotals;
  publishReport?: PublishReport;
  moves?: Moves;
  error?: string;
  errorJob?: string;
  /** A person asked for a FAILED batch's file to be tried again: it is put back into incoming/. */
  puttingBack?: boolean;
  /** Why it was not put back after all: another file had come to its key. */
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

export interface Manifest {
  batchId: string;
  claimedAt: string;
  parent?: string;
  files: ManifestFile[];
  /** Of a replay: files of the claim that are not run again, because they were never read (quarantined or overwritten). */
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
  filesQuarantined: { name: string; key: string; reason: string; detail?: string }[];
  filesChanged: { name: string; key: string }[];
  unknownTracks?: number;
  unknownUsers?: number;
  referenceRowsSkipped?: Record<string, number>;
  days: string[];
  files: (RowCounts & { name: string })[];
};

/** What the ledger keeps of transform.json: totals, and counts in place of lists (an item holds 400 KB at most). */
export type ReportTotals = RowCounts & {
  filesQuarantined: number;
  filesChanged: number;
  unknownTracks: number;
  unknownUsers: number;
  referenceRowsSkipped: Record<string, number>;
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

/** Milliseconds since the epoch as the ledger writes them. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
