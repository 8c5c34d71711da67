import type { Manifest, PublishReport, ReportTotals, RowCounts, TransformReport } from "./batch";
import { fileOf } from "./places";

/** Why a run's reports can't be trusted, and which job wrote them; undefined when they belong to the run and add up. */
export function breach(
  manifest: Manifest,
  runId: string,
  transform: Record<string, unknown> | undefined,
  publish: Record<string, unknown> | undefined,
): { job: "transform" | "publish"; why: string } | undefined {
  const report = transform as TransformReport | undefined;
  const name = fileOf("transformReport");
  const why =
    strange(name, manifest.batchId, runId, transform) ??
    unbalanced(name, report!) ??
    unaccounted(name, manifest, report!);
  if (why) return { job: "transform", why };
  const odd = strange(fileOf("publishReport"), manifest.batchId, runId, publish);
  return odd ? { job: "publish", why: odd } : undefined;
}

/** Of the faults of the reference data, as many stand in the ledger. */
const FAULTS_KEPT = 5;

export function totals(report: TransformReport): ReportTotals {
  const faults = referenceFaults(report);
  return {
    rowsRead: report.rowsRead,
    rowsKept: report.rowsKept,
    rowsDuplicate: report.rowsDuplicate,
    rowsQuarantined: report.rowsQuarantined,
    filesQuarantined: report.filesQuarantined.length,
    filesChanged: report.filesChanged.length,
    unknownTracks: report.unknownTracks ?? 0,
    unknownUsers: report.unknownUsers ?? 0,
    referenceRowsSkipped: report.referenceRowsSkipped ?? {},
    ...(faults.length > 0 ? { referenceFaults: faults.slice(0, FAULTS_KEPT).map((fault) => fault.slice(0, 300)) } : {}),
    days: report.days?.length ?? 0,
    ...(report.startedAt === undefined ? {} : { startedAt: report.startedAt }),
    ...(report.finishedAt === undefined ? {} : { finishedAt: report.finishedAt }),
  };
}

/** What is wrong with files of the reference data, in words: someone must mend them. */
export function referenceFaults(report: TransformReport): string[] {
  const { referenceFilesSkipped = [], referenceQuotesOpen = [], referenceValuesSuspicious = [] } = report;
  return [
    ...referenceFilesSkipped.map(
      ({ key, reason, detail }) => `${key} was not used: ${reason}${detail ? ` (${detail})` : ""}`,
    ),
    ...referenceQuotesOpen.map(({ key, line }) => `${key}, line ${line}: a quote is not closed`),
    ...referenceValuesSuspicious
      .filter(({ reason }) => reason === "not_utf_8")
      .map(({ key, column, rows, example }) => `${key} is not UTF-8: ${column} in ${rows} rows, first "${example}"`),
  ];
}

/** The part of publish.json that the ledger keeps: a count in place of the days, which may be thousands. */
export function publishTotals(report: Record<string, unknown>): PublishReport {
  const { days, ...rest } = report as Record<string, unknown> & { days?: unknown };
  return { ...rest, ...(Array.isArray(days) ? { days: days.length } : {}) } as unknown as PublishReport;
}

function strange(
  name: string,
  batchId: string,
  runId: string,
  report: Record<string, unknown> | undefined,
): string | undefined {
  if (!report) return `${name} is missing, or is not a JSON object`;
  if (report.batchId !== batchId) return `${name} is of batch ${report.batchId}`;
  if (report.workflowRunId !== runId) return `${name} is of workflow run ${report.workflowRunId}, not of ${runId}`;
  return undefined;
}

function unbalanced(name: string, report: TransformReport): string | undefined {
  const lists = [report.files, report.filesQuarantined, report.filesChanged];
  if (!lists.every((list) => Array.isArray(list))) return `${name} lacks files, filesQuarantined or filesChanged`;
  for (const [whose, counts] of [
    ["the batch", report] as const,
    ...report.files.map((file) => [file.name, file] as const),
  ]) {
    const { rowsRead, rowsKept, rowsDuplicate } = counts;
    const rowsQuarantined = quarantined(counts);
    if (
      ![rowsRead, rowsKept, rowsDuplicate, rowsQuarantined].every((count) => Number.isSafeInteger(count) && count >= 0)
    )
      return `${name} lacks row counts of ${whose}`;
    if (rowsRead !== rowsKept + rowsDuplicate + rowsQuarantined)
      return `${name} does not add up for ${whose}: ${rowsRead} read, ${rowsKept} kept, ${rowsDuplicate} duplicate, ${rowsQuarantined} quarantined`;
  }
  for (const count of ["rowsRead", "rowsKept", "rowsDuplicate"] as const) {
    const sum = report.files.reduce((total, file) => total + file[count], 0);
    if (sum !== report[count]) return `${name} says ${count} ${report[count]}, its files ${sum}`;
  }
  return undefined;
}

function unaccounted(document: string, manifest: Manifest, report: TransformReport): string | undefined {
  const claimed = new Set(manifest.files.map(({ name }) => name));
  const names = [report.files, report.filesQuarantined, report.filesChanged].flat().map(({ name }) => name);
  const named = new Set(names);
  // Across all lists: a file that was both read and quarantined would go to quarantine with its listens counted.
  if (named.size !== names.length)
    return `${document} names ${names.find((name, index) => names.indexOf(name) !== index)} twice`;
  for (const name of claimed) if (!named.has(name)) return `${document} says nothing of the claimed file ${name}`;
  for (const name of named) if (!claimed.has(name)) return `${document} names ${name}, which was not claimed`;
  return undefined;
}

/** Quarantined rows of all reasons. */
export function quarantined(counts: Pick<RowCounts, "rowsQuarantined">): number {
  return Object.values(counts.rowsQuarantined ?? {}).reduce((total, count) => total + count, 0);
}

/** Bad rows in a hundred rows read. The rows of a forgotten listener are quarantined too, but nothing is wrong. */
export function quarantinedPercent(counts: Pick<RowCounts, "rowsRead" | "rowsQuarantined">): number {
  if (counts.rowsRead === 0) return 0;
  return (100 * (quarantined(counts) - (counts.rowsQuarantined.forgotten ?? 0))) / counts.rowsRead;
}
