/**
 * The metrics in a log line. CloudWatch reads them from the Lambdas' logs (Amazon CloudWatch User Guide,
 * "Specification: Embedded metric format"), so one line is both text to read and numbers to watch.
 */

import { quarantined, quarantinedPercent } from "./reports";

type Line = Record<string, unknown>;
type Values = Record<string, number>;

/** Every metric with its unit, by CloudWatch's names. docs/operations.md explains each metric. */
const UNITS: Record<string, string> = {
  FilesClaimed: "Count",
  BytesClaimed: "Bytes",
  BatchesArchived: "Count",
  BatchesSplit: "Count",
  BatchesFailed: "Count",
  FilesHeld: "Count",
  RecentBatchesFailed: "Count",
  RecentFilesHeld: "Count",
  RowsRead: "Count",
  RowsKept: "Count",
  RowsDuplicate: "Count",
  RowsQuarantined: "Count",
  RowsQuarantinedPercent: "Percent",
  FilesQuarantined: "Count",
  ReferenceFaults: "Count",
  RunsFailed: "Count",
  FailuresInARow: "Count",
  WaitingFiles: "Count",
  OldestFileAgeSeconds: "Seconds",
  BatchAgeSeconds: "Seconds",
  TransformSeconds: "Seconds",
  PublishSeconds: "Seconds",
  ArchiveSeconds: "Seconds",
  BatchSeconds: "Seconds",
  // CloudWatch has no such unit.
  DpuSeconds: "None",
};

export const METRICS = Object.keys(UNITS);

/** Metrics sent for each job (dimension `Job`: transform, publish or workflow) and for all jobs together. */
const OF_A_JOB = ["RunsFailed", "FailuresInARow", "DpuSeconds"];

/** The line with its metrics embedded for CloudWatch; a line without metrics stays as it is. */
export function withMetrics(line: Line, namespace: string, nowMs: number): Line {
  const values = metricsOf(line);
  const directive = (names: string[], dimensions: string[][]) => ({
    Namespace: namespace,
    Dimensions: dimensions,
    Metrics: names.map((name) => ({ Name: name, Unit: UNITS[name] })),
  });
  const names = Object.keys(values);
  const ofAJob = names.filter((name) => OF_A_JOB.includes(name));
  const others = names.filter((name) => !OF_A_JOB.includes(name));
  const CloudWatchMetrics = [
    ...(others.length > 0 ? [directive(others, [[]])] : []),
    ...(ofAJob.length > 0 ? [directive(ofAJob, [[], ["Job"]])] : []),
  ];
  if (CloudWatchMetrics.length === 0) return line;
  const job = ofAJob.length > 0 ? { Job: line.job ?? "workflow" } : {};
  return { ...line, ...values, ...job, _aws: { Timestamp: nowMs, CloudWatchMetrics } };
}

const DURATIONS: Record<string, string> = { transform: "TransformSeconds", publish: "PublishSeconds" };

/** The metrics of an event. */
function metricsOf(line: Line): Values {
  switch (line.event) {
    case "claimed":
      return { FilesClaimed: count(line.files), BytesClaimed: count(line.bytes) };
    case "archived":
      return {
        BatchesArchived: 1,
        ...rowsOf(line.report as Line | undefined),
        ...given("ArchiveSeconds", line.archive_seconds),
        ...given("BatchSeconds", line.batch_seconds),
      };
    case "jobEnded":
      return {
        // A failed run has a cost, but its time says nothing about how long the job takes.
        ...(line.state === "SUCCEEDED" ? given(DURATIONS[String(line.job)], line.seconds) : {}),
        ...given("DpuSeconds", line.dpu_seconds),
      };
    case "batchSplit":
      return { BatchesSplit: 1 };
    case "filesHeld":
      return { FilesHeld: count(line.files), RecentFilesHeld: count(line.files) };
    case "batchFailed":
      return { BatchesFailed: 1, RecentBatchesFailed: 1 };
    case "recentOutcomes":
      // Sums must not count an event twice, so the first two have names of their own.
      return {
        ...given("RecentBatchesFailed", line.batches_failed),
        ...given("RecentFilesHeld", line.files_held),
        ...given("RowsQuarantinedPercent", line.rows_quarantined_percent),
        ...given("ReferenceFaults", line.reference_faults),
      };
    case "runFailed":
      return { RunsFailed: 1 };
    case "runNotStarted":
      // A busy workflow is no failure: its line has another level.
      return line.level === "ERROR" ? { RunsFailed: 1 } : {};
    case "observed":
      return {
        WaitingFiles: count(line.waiting_files),
        OldestFileAgeSeconds: count(line.oldest_file_age_seconds),
        BatchAgeSeconds: count(line.batch_age_seconds),
        ...(line.job === undefined ? {} : { FailuresInARow: count(line.failures) }),
      };
    default:
      return {};
  }
}

function rowsOf(report: Line | undefined): Values {
  if (!report) return {};
  const counts = { rowsRead: count(report.rowsRead), rowsQuarantined: (report.rowsQuarantined ?? {}) as Values };
  return {
    RowsRead: counts.rowsRead,
    RowsKept: count(report.rowsKept),
    RowsDuplicate: count(report.rowsDuplicate),
    RowsQuarantined: quarantined(counts),
    FilesQuarantined: count(report.filesQuarantined),
    ...(Array.isArray(report.referenceFaults) ? { ReferenceFaults: report.referenceFaults.length } : {}),
    ...(counts.rowsRead > 0 ? { RowsQuarantinedPercent: quarantinedPercent(counts) } : {}),
  };
}

function given(metric: string | undefined, value: unknown): Values {
  return metric !== undefined && typeof value === "number" ? { [metric]: value } : {};
}

function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
