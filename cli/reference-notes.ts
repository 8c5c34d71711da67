import type { TransformReport } from "../runtime/batch";
import { referenceFaults } from "../runtime/reports";
import { counted } from "../terminal/format";

/** What a person should know of the reference data that a batch used: faults, odd values, whether it fits at all. */
export function referenceNotes(report: TransformReport): string[] {
  const { referenceValuesSkipped = [], referenceValuesSuspicious = [] } = report;
  const none = report.rowsKept > 0 && report.unknownTracks === report.rowsKept;
  return [
    ...(none ? ["no track of its listens is in the reference data: they have no name and no genre"] : []),
    ...referenceFaults(report).map((fault) => `reference data: ${fault}`),
    ...referenceValuesSkipped.map(
      ({ column, reason, rows, example, key }) =>
        `reference data: ${column} counts as unknown in ${counted(rows, "row")} (${reason}), first "${example}" in ${key}`,
    ),
    ...referenceValuesSuspicious
      .filter(({ reason }) => reason === "suspicious")
      .map(
        ({ column, rows, example, key }) =>
          `reference data: ${column} is "${example}" in ${counted(rows, "row")}, as if it were missing, first in ${key}`,
      ),
  ];
}
