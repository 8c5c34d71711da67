/**
 * What the estimate knows of the jobs. Times were measured on 2 cores of one machine, not on AWS: the estimate takes a
 * core there for a CPU of Glue or Fargate.
 */
export const measured = {
  /** Of a CSV with plain rows. */
  csvBytes: 49,
  /** Of the curated Parquet: a million listens of one day over 22,000 tracks. */
  parquetBytes: 19.7,
  /**
   * Transform: seconds that every batch takes beside that, and seconds of one core for each million listens.
   * docs/performance.md, at 4fa2ff6: 1 million in 17 s and 5 million in 38 s on 2 cores.
   */
  transformSeconds: 12,
  transformCoreSeconds: 10,
  /** DuckDB alone, which has no quarantine and no reconciliation: seconds of one core for each million listens. */
  duckdbCoreSeconds: 2.7,
  /** Publish aggregates the whole day again: seconds for each million listens of the day so far. */
  publishSeconds: 0.6,
  publishItemsPerSecond: 4_800,
  /**
   * A file is copied twice (staged, archived), and read twice after one look at its copy. A plain one below 64 KB
   * is read and copied once, which the estimate leaves aside.
   */
  writesPerFile: 2,
  readsPerFile: 3,
} as const;

/** What is known of AWS, but not measured there. */
export const assumed = {
  /** Both jobs' machines start in so many seconds, which Glue does not bill. */
  startSeconds: 100,
  /** A Python shell job of one DPU: memory, and free disk (Glue Developer Guide, "Python shell jobs"). */
  shellMemoryGb: 16,
  shellDiskGb: 14,
  /** A tick takes at most so long. */
  tickSeconds: 1,
  /** As docs/operations.md counts them. */
  alarms: 12,
  metrics: 30,
} as const;
