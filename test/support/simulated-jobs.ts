import type { Manifest } from "../../runtime/batch";
import type { Found } from "../../runtime/forget";
import { place } from "../../runtime/places";
import { folders } from "./folders";
import type { SimulatedDynamoDB } from "./simulated-dynamodb";
import type { Jobs, SimulatedRun } from "./simulated-glue";
import type { SimulatedS3 } from "./simulated-s3";

/**
 * The jobs, as far as the protocol can see them. A file's text is a list of listens, split by commas; a listen's last
 * character picks its day. `POISON` makes transform fail, `JUNK` and `SEALED` make the file a quarantined
 * one, and a row that begins with `BAD` is quarantined itself. Each listen is also the id of its listener: a row of a
 * forgotten one is quarantined.
 */
export class SimulatedJobs implements Jobs {
  /** By listen: how often it is counted. */
  readonly metrics = new Map<string, number>();
  /** The content that the last successful transform of a batch read, by file. */
  readonly readBy = new Map<string, Map<string, string>>();

  /** Files of the reference data that transform can't use. */
  referenceFilesSkipped: { name: string; key: string; reason: string }[] = [];

  /** Runs that the fence refused because the ledger did not expect them. */
  readonly refused: string[] = [];

  constructor(
    private readonly s3: SimulatedS3,
    private readonly dynamodb: SimulatedDynamoDB,
  ) {}

  transform(run: SimulatedRun, early: boolean, late: boolean): { ok: boolean; error: string } {
    const batchId = run.properties.batch_id!;
    if (!this.isInTurn(run)) {
      this.refused.push(run.id);
      return { ok: false, error: `${run.id} came too late` };
    }
    if (early) return { ok: false, error: "reference data is missing" };
    const manifest: Manifest = this.s3.json(place("manifest", { batchId }));
    const write = (name: "readingMarker" | "touched" | "transformReport", document: object) =>
      this.s3.put(place(name, { batchId }), JSON.stringify(document));
    write("readingMarker", { workflowRunId: run.id });

    // A file that a finished attempt found changed no longer belongs to the batch, whatever its key holds now.
    const before: { name: string }[] = this.s3.json(place("transformReport", { batchId }))?.filesChanged ?? [];
    const changed = manifest.files.filter(
      ({ key, name, etag }) => this.s3.objects.get(key)?.etag !== etag || before.some((file) => file.name === name),
    );
    if (changed.some(({ key }) => !key.startsWith(folders.incoming)))
      return { ok: false, error: "a file in the archive changed after the replay was planned" };
    const here = manifest.files.filter((file) => !changed.includes(file));
    const texts = new Map(here.map(({ key, name }) => [name, this.s3.objects.get(key)!.body]));
    const reasonOf = (text: string) => (text.includes("SEALED") ? "refused" : "not_text");
    const junk = here.filter(({ name }) => /JUNK|SEALED/.test(texts.get(name)!));
    const poisoned = here.some((file) => !junk.includes(file) && texts.get(file.name)!.includes("POISON"));

    const wasTouched: string[] = this.s3.json(place("touched", { batchId }))?.days ?? [];
    const listens = new Map<string, string[]>();
    const seen = new Set<string>();
    const files = here.filter((file) => !junk.includes(file));
    const counts = files.map(({ name }) => {
      const rows = texts
        .get(name)!
        .split(",")
        .filter((row) => row !== "POISON");
      const bad = rows.filter((row) => row.startsWith("BAD")).length;
      const forgotten = rows.filter((row) => run.forgotten.has(row)).length;
      const kept = rows.filter((row) => {
        if (row.startsWith("BAD") || run.forgotten.has(row)) return false;
        const known = seen.has(row) || this.isCounted(row, batchId);
        seen.add(row);
        if (!known) listens.set(dayOf(row), [...(listens.get(dayOf(row)) ?? []), row]);
        return !known;
      });
      return {
        name,
        rowsRead: rows.length,
        rowsKept: kept.length,
        rowsDuplicate: rows.length - kept.length - bad - forgotten,
        rowsQuarantined: { ...(bad > 0 ? { bad_id: bad } : {}), ...(forgotten > 0 ? { forgotten } : {}) },
      };
    });
    const days = [...new Set([...wasTouched, ...listens.keys()])].sort();
    write("touched", { days });
    for (const date of days) this.s3.objects.delete(`${place("listensBatch", { date, batchId })}part-0.parquet`);
    this.s3.put(`${place("staged", { batchId })}0.csv`, "leftover");
    for (const [date, rows] of listens) {
      this.s3.put(`${place("listensBatch", { date, batchId })}part-0.parquet`, JSON.stringify(rows));
      // Fails after it wrote a part of its output.
      if (late || poisoned) return { ok: false, error: "a task failed while writing rows" };
    }
    if (late || poisoned) return { ok: false, error: "a task failed while writing rows" };
    this.s3.objects.delete(`${place("staged", { batchId })}0.csv`);
    const sum = (count: "rowsRead" | "rowsKept" | "rowsDuplicate") =>
      counts.reduce((total, file) => total + file[count], 0);
    write("transformReport", {
      batchId,
      workflowRunId: run.id,
      referenceFilesSkipped: this.referenceFilesSkipped,
      rowsRead: sum("rowsRead"),
      rowsKept: sum("rowsKept"),
      rowsDuplicate: sum("rowsDuplicate"),
      rowsQuarantined: Object.fromEntries(
        (["bad_id", "forgotten"] as const).map((reason) => [
          reason,
          counts.reduce((total, { rowsQuarantined }) => total + (rowsQuarantined[reason] ?? 0), 0),
        ]),
      ),
      filesQuarantined: junk.map(({ name, key }) => ({ name, key, reason: reasonOf(texts.get(name)!) })),
      filesChanged: changed.map(({ name, key }) => ({ name, key })),
      days,
      files: counts,
    });
    this.readBy.set(batchId, new Map(files.map(({ name }) => [name, texts.get(name)!])));
    return { ok: true, error: "" };
  }

  /** The listeners on the list. */
  forgotten(): Set<string> {
    return new Set(this.s3.keys(folders.forgotten).map((key) => key.slice(folders.forgotten.length)));
  }

  /** What the curated files have of a listener, as the command's search finds it. */
  search(listener: string): Found {
    const files = this.s3.keys(folders.listens).filter((key) => (this.s3.json(key) as string[]).includes(listener));
    const holdings = files.map((key) => {
      const [, day = "", batchId = ""] = /listen_date=([^/]+)\/batch_id=([^/]+)\//.exec(key) ?? [];
      return { batchId, days: [day], rows: 1, quarantinedRows: 0 };
    });
    return { holdings, changed: [] };
  }

  /** The same rule as in glue-scripts/music_streams/fence.py. */
  private isInTurn(run: SimulatedRun): boolean {
    const batch = this.dynamodb.get("BATCH", run.properties.batch_id ?? "");
    if (!batch || String(batch.attempt) !== run.properties.attempt) return false;
    if (batch.state === "RUNNING") return batch.workflowRunId === run.id;
    return ["CLAIMED", "RETRY", "REPLAY"].includes(batch.state) && batch.startBy !== undefined;
  }

  /** Adds a row that does not exist to a report. */
  lie(run: SimulatedRun): void {
    const key = place("transformReport", { batchId: run.properties.batch_id! });
    const report = this.s3.json(key);
    this.s3.put(key, JSON.stringify({ ...report, rowsRead: report.rowsRead + 1 }));
  }

  publish(run: SimulatedRun, cut: boolean): void {
    const batchId = run.properties.batch_id!;
    const report = this.s3.json(place("transformReport", { batchId }));
    const days: string[] = cut ? report.days.slice(0, 1) : report.days;
    for (const date of days) {
      for (const listen of this.metrics.keys()) if (dayOf(listen) === date) this.metrics.delete(listen);
      for (const listen of this.curated(place("listensDay", { date })))
        this.metrics.set(listen, (this.metrics.get(listen) ?? 0) + 1);
    }
    if (!cut)
      this.s3.put(place("publishReport", { batchId }), JSON.stringify({ batchId, workflowRunId: run.id, days }));
  }

  /** Every curated listen, as often as curated files contain it. */
  curated(prefix = folders.curated, batchId = ""): string[] {
    const keys = this.s3.keys(prefix).filter((key) => key.includes(`batch_id=${batchId}`));
    return keys.flatMap((key) => this.s3.json(key) as string[]);
  }

  private isCounted(listen: string, batchId: string): boolean {
    return this.s3
      .keys(place("listensDay", { date: dayOf(listen) }))
      .some((key) => !key.includes(`batch_id=${batchId}/`) && this.s3.json(key).includes(listen));
  }
}

function dayOf(listen: string): string {
  return `2024-06-0${(listen.charCodeAt(listen.length - 1) % 3) + 1}`;
}
