import { HeadObjectCommand, S3ServiceException } from "@aws-sdk/client-s3";
import pMap from "p-map";
import layout from "../layout.json";
import { readDocument } from "../runtime/lake";
import { place } from "../runtime/places";
import type { Store } from "../runtime/world";
import type { BatchRow } from "./ledger";
import { storeOf, type Target } from "./target";
import type { Uploaded } from "./upload";

/** How a dropped file ended. */
export interface Outcome {
  name: string;
  /**
   * `useless`: archived, but every row is quarantined. The last two are the changed files: another version took its
   * key, or someone deleted it.
   */
  end: "archived" | "useless" | "quarantined" | "failed" | "overwritten" | "deleted";
  batchId?: string;
  rows?: FileRows;
  reason?: string;
}

export interface FileRows {
  rowsRead: number;
  rowsKept: number;
  rowsDuplicate: number;
  rowsQuarantined: number;
  /** Quarantined rows by reason. */
  reasons: Record<string, number>;
}

/** The parts of manifest.json and transform.json that decide how a file ended. */
interface Manifest {
  files: { name: string; etag: string }[];
}
interface Report {
  filesQuarantined?: { name: string; reason?: string; detail?: string }[];
  filesChanged?: { name: string }[];
  files?: {
    name: string;
    rowsRead: number;
    rowsKept: number;
    rowsDuplicate: number;
    rowsQuarantined: Record<string, number>;
  }[];
}

/**
 * Follows uploaded files through the ledger. A file's batch is the newest one whose manifest lists its name and ETag.
 * The halves of a split batch have manifests of their own, so a file moves on to its half.
 */
export class Settling {
  readonly #target: Target;
  readonly #store: Store;
  readonly #manifests = new Map<string, Manifest | undefined>();
  readonly #reports = new Map<string, Report | undefined>();
  /** Files that were neither in incoming/ nor in a batch when last checked. */
  readonly #missing = new Set<string>();
  readonly #ignored: ReadonlySet<string>;
  readonly outcomes = new Map<string, Outcome>();

  /** `settledBefore`: batches that had ended before the upload; they may hold the same file from an earlier drop. */
  constructor(target: Target, settledBefore: Iterable<string>) {
    this.#target = target;
    this.#store = storeOf(target);
    this.#ignored = new Set(settledBefore);
  }

  /**
   * Reads on from the ledger (newest first). Notes each file that has ended in `outcomes`. Returns the batches of the
   * other files, and the files that are in no batch.
   */
  async look(files: Uploaded[], ledger: BatchRow[]): Promise<{ batches: BatchRow[]; waiting: Uploaded[] }> {
    const candidates = ledger.filter((batch) => !this.#ignored.has(batch.batchId) && batch.state !== "SPLIT");
    const open = files.filter((file) => !this.outcomes.has(file.name));
    await pMap(candidates, (batch) => this.#manifest(batch.batchId), { concurrency: 8 });
    const batches = new Set<BatchRow>();
    const waiting: Uploaded[] = [];
    await pMap(
      open,
      async (file) => {
        const batch = candidates.find((one) => this.#holds(one, file));
        if (batch && !isSettled(batch)) {
          batches.add(batch);
          return;
        }
        const outcome = await this.#outcome(file, batch);
        if (outcome) this.outcomes.set(file.name, outcome);
        else waiting.push(file);
      },
      { concurrency: 16 },
    );
    return { batches: ledger.filter((batch) => batches.has(batch)), waiting };
  }

  #holds(batch: BatchRow, file: Uploaded): boolean {
    return (
      this.#manifests.get(batch.batchId)?.files.some(({ name, etag }) => name === file.name && etag === file.etag) ??
      false
    );
  }

  async #outcome(file: Uploaded, batch: BatchRow | undefined): Promise<Outcome | undefined> {
    const present = await this.#etagOf(layout.incoming + file.name);
    // The same bytes were dropped again after the batch moved the earlier copy: they wait for a batch of their own.
    if (present === file.etag && !batch?.filesHeld) {
      this.#missing.delete(file.name);
      return undefined;
    }
    if (batch) return this.#endIn(batch, file, present);
    if (present !== undefined) return { name: file.name, end: "overwritten" };
    // The ledger was read before incoming/: a batch may have begun and ended in between. The next check decides.
    if (!this.#missing.has(file.name)) {
      this.#missing.add(file.name);
      return undefined;
    }
    return { name: file.name, end: "deleted" };
  }

  async #endIn(batch: BatchRow, file: Uploaded, present: string | undefined): Promise<Outcome> {
    const settled = { name: file.name, batchId: batch.batchId };
    if (batch.state === "FAILED") {
      const where = batch.filesHeld ? "; S3 refused to move it" : "";
      return { ...settled, end: "failed", reason: `${batch.error ?? "no reason was given"}${where}` };
    }
    const report = await this.#report(batch.batchId);
    const quarantined = report?.filesQuarantined?.find(({ name }) => name === file.name);
    if (quarantined) {
      const reason = [quarantined.reason, quarantined.detail].filter(Boolean).join(": ");
      return { ...settled, end: "quarantined", reason };
    }
    if (report?.filesChanged?.some(({ name }) => name === file.name)) return { ...settled, end: "overwritten" };
    // The batch is archived, but the file may have changed after transform read it and before archive moved it.
    const reason = "after its listens had been counted";
    const isHeld = batch.filesHeld && present === file.etag;
    if (!isHeld && !(await this.#isInArchive(batch, file)))
      return { ...settled, end: present === undefined ? "deleted" : "overwritten", reason };
    const counts = report?.files?.find(({ name }) => name === file.name);
    if (!counts) return { ...settled, end: "archived" };
    const rowsQuarantined = Object.values(counts.rowsQuarantined).reduce((sum, rows) => sum + rows, 0);
    const isUseless = rowsQuarantined > 0 && rowsQuarantined === counts.rowsRead;
    const rows = { ...counts, rowsQuarantined, reasons: counts.rowsQuarantined };
    return { ...settled, end: isUseless ? "useless" : "archived", rows };
  }

  async #isInArchive(batch: BatchRow, file: Uploaded): Promise<boolean> {
    if (batch.day === null) return true;
    const key = place("archived", { date: batch.day, batchId: batch.batchId, name: file.name });
    return (await this.#etagOf(key)) !== undefined;
  }

  async #etagOf(key: string): Promise<string | undefined> {
    try {
      const head = await this.#target.s3.send(
        new HeadObjectCommand({ Bucket: this.#target.outputs.bucketName, Key: key }),
      );
      return head.ETag;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** Reads a manifest once: it changes only for a replay, which keeps names and files. */
  async #manifest(batchId: string): Promise<void> {
    if (this.#manifests.has(batchId)) return;
    const manifest = (await readDocument(this.#store, place("manifest", { batchId }))) as Manifest | undefined;
    if (manifest) this.#manifests.set(batchId, manifest);
  }

  async #report(batchId: string): Promise<Report | undefined> {
    if (!this.#reports.has(batchId)) {
      const report = await readDocument(this.#store, place("transformReport", { batchId }));
      this.#reports.set(batchId, report as Report | undefined);
    }
    return this.#reports.get(batchId);
  }
}

/** Whether a batch has ended. A SPLIT one has not: its halves go on. */
export function isSettled(batch: BatchRow): boolean {
  return batch.state === "ARCHIVED" || batch.state === "FAILED";
}

function isAbsent(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404;
}
