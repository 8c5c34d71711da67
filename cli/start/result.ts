import layout from "../../layout.json";
import type { Batch, TransformReport } from "../../runtime/batch";
import { readDocument } from "../../runtime/lake";
import { place } from "../../runtime/places";
import { UserError } from "../../terminal/errors";
import { count, counted, printable } from "../../terminal/format";
import { showDay } from "../metrics";
import { firstQuarantined } from "../read/quarantine";
import { reasonsText, rowLines } from "../reasons";
import { referenceNotes } from "../reference-notes";
import { storeOf, type Target } from "../target";

/** The result of a settled batch, for the terminal: its counts, and the top genres of the last day that it wrote to. */
export async function resultOf({ target }: { target: Target }, batch: Batch): Promise<string> {
  const lines = ["", `Batch ${batch.batchId}: ${batch.state}`, ...countsOf(batch)];
  if (batch.error && batch.state !== "ARCHIVED") lines.push(`  ${printable(batch.error)}`);
  const key = place("transformReport", { batchId: batch.batchId });
  const report = (await readDocument(storeOf(target), key)) as TransformReport | undefined;
  if (batch.report && Object.keys(batch.report.rowsQuarantined).length > 0)
    lines.push(...rowLines(await firstQuarantined(target, batch.batchId)).map((line) => `    ${line}`));
  for (const file of report?.filesQuarantined ?? [])
    lines.push(`  quarantined ${printable(file.name)}: ${printable(file.reason)}`);
  if (report) lines.push(...referenceNotes(report).map((note) => `  ${printable(note)}`));
  const day = report?.days.at(-1);
  if (day) lines.push("", await dayOf(target, day));
  return `${lines.join("\n")}\n`;
}

/** A day may have no metrics: a batch of duplicates names it, and its listens are gone since. */
async function dayOf(target: Target, day: string): Promise<string> {
  return showDay(target, day).catch((error) => {
    if (error instanceof UserError) return error.message;
    throw error;
  });
}

function countsOf({ files, report, ignored }: Batch): string[] {
  const lines = [
    `  files ${count(files)}${report?.filesQuarantined ? `; quarantined ${count(report.filesQuarantined)}` : ""}`,
  ];
  if (report) {
    const reasons = reasonsText(report.rowsQuarantined);
    lines.push(
      `  rows  read ${count(report.rowsRead)} = kept ${count(report.rowsKept)} + duplicate ${count(report.rowsDuplicate)} + quarantined ${count(sum(report.rowsQuarantined))}${reasons ? ` (${reasons})` : ""}`,
    );
    lines.push(
      `  unknown tracks in ${counted(report.unknownTracks, "listen")}, unknown users in ${count(report.unknownUsers)}`,
    );
  }
  if (ignored?.notCsv || ignored?.folders)
    lines.push(
      `  ignored in ${layout.incoming}: ${count(ignored.notCsv)} that are not .csv or .csv.gz, ${counted(ignored.folders, "folder marker")}`,
    );
  return lines;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, one) => total + one, 0);
}
