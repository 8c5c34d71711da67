import type { Batch, Manifest, TransformReport } from "../../../runtime/batch";
import { place } from "../../../runtime/places";

/** The day of the dated folders. */
export const day = "2026-11-20";

/** user, track, time in UTC. */
export type Listen = [string, string, string];

const tracks: Record<string, object> = {
  hit: { track_name: "Hit", artists: "Ann; Bob", duration_ms: 200_001, genres: ["pop", "rock"] },
  song: { track_name: "S".repeat(8_200), artists: "Cleo", duration_ms: 100_000, genres: ["pop"] },
  tune: { track_name: "Tune", artists: "Dan", duration_ms: 100_000, genres: ["rock", "g".repeat(2_043)] },
};

/** The other users have none. */
const countries: Record<string, string> = { u1: "Chile", u2: "Peru", u5: "ñ".repeat(300) };

/** A file to put into a batch: its content, and how it ends. */
export interface Given {
  name: string;
  /** The header, where it has a name that the settings allow. */
  header?: string;
  listens?: Listen[];
  /** Rows to be quarantined, by reason. */
  quarantinedRows?: Record<string, string[]>;
  /** The content of a quarantined file, instead of rows, and the reason. */
  quarantinedFile?: { body: string; reason: string };
  /** A changed file: overwritten before transform read it, or after. */
  overwritten?: "before" | "after";
}

/** A moment some minutes after the batch's claim. */
export function at(batchId: string, minutes: number): string {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(batchId)!;
  const [year, month, date, hour, minute, second] = parts.map(Number);
  return new Date(Date.UTC(year!, month! - 1, date, hour, minute! + minutes, second)).toISOString();
}

/** The ledger item of an archived batch, as far as its manifest determines it. */
export function item(manifest: Manifest): Batch {
  const { batchId, files, claimedAt, parent } = manifest;
  return {
    batchId,
    state: "ARCHIVED",
    version: 4,
    attempt: 1,
    files: files.length,
    bytes: sizeOf(files),
    claimedAt,
    updatedAt: at(batchId, 5),
    dueAt: claimedAt,
    ...(parent ? { parent } : {}),
  };
}

/** The content of a file. */
export function bodyOf({ header, listens = [], quarantinedRows = {}, quarantinedFile }: Given): string {
  if (quarantinedFile) return quarantinedFile.body;
  const rows = [...listens.map((listen) => listen.join()), ...Object.values(quarantinedRows).flat()];
  return [header ?? "user_id,track_id,listen_time", ...rows, ""].join("\n");
}

/** The curated row of a listen. */
export function rowOf([user_id, track_id, time]: Listen): object {
  const user_country = countries[user_id];
  return { user_id, track_id, user_country, listen_time: `${time}+00`, genres: [], ...tracks[track_id] };
}

export function sumOf(files: TransformReport["files"]): Omit<TransformReport["files"][number], "name"> {
  const rowsQuarantined: Record<string, number> = {};
  for (const file of files)
    for (const [reason, rows] of Object.entries(file.rowsQuarantined))
      rowsQuarantined[reason] = (rowsQuarantined[reason] ?? 0) + rows;
  const sum = (name: "rowsRead" | "rowsKept" | "rowsDuplicate") => files.reduce((total, file) => total + file[name], 0);
  return { rowsRead: sum("rowsRead"), rowsKept: sum("rowsKept"), rowsDuplicate: sum("rowsDuplicate"), rowsQuarantined };
}

export function sizeOf(files: { size: number }[]): number {
  return files.reduce((total, { size }) => total + size, 0);
}

/** Where an archived file of a batch lies. */
export function archivedKey(batchId: string, { name }: Given): string {
  return place("archived", { date: day, batchId, name });
}

/** Where the curated file of a batch and a day lies. */
export function curatedKey(batchId: string, date: string): string {
  return `${place("listensBatch", { date, batchId })}part-0.parquet`;
}
