import { appendFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import layout from "../../layout.json";
import { inParallel } from "../../runtime/parallel";
import { folderOf, place } from "../../runtime/places";
import { besideMetrics, type Item, jsonItem, textOf } from "../items";
import { placeInIndex } from "../read/metrics";
import { CURATED_FILE } from "../read/parquet-object";
import { roleOf } from "./documents";
import type { CheckName, Findings } from "./findings";
import type { LakeObject, Ledger, Source } from "./source";
import type { Request, Worker } from "./worker";

const DOWNLOADS_AT_ONCE = 8;
/** Items that are kept in memory before they are sorted into the files of their days. */
const ITEMS_AT_ONCE = 20_000;
const DATE = /^\d{4}-\d\d-\d\d$/;

/** What the checks of rows need to know about the batches. */
export interface Facts {
  /** By batch, the days in its touched.json. */
  touched: Map<string, ReadonlySet<string>>;
  /** Batches whose listens may be missing from the archive, or can't be read there. */
  unsure: Set<string>;
}

/** Among the batches' copies, the folder of transform's copy of the reference data, which serves every batch. */
export const REFERENCE_COPY = "reference";

/**
 * The checks of curated rows and of the metrics. They take a day at a time, so disk and memory hold no more than a day.
 */
export class DataCheck {
  private readonly items: ItemsByDay;
  private readonly unfinished = `${layout.listens}_`;
  /** Batches that will run again. */
  private readonly replaying: string[];
  /** Rows in curated, by batch. */
  readonly rows = new Map<string, number>();
  /** Days in archived files, when those were read. */
  readonly archivedDays = new Set<string>();

  constructor(
    private readonly source: Source,
    private readonly worker: Worker,
    private readonly ledger: Ledger,
    private readonly findings: Findings,
    private readonly folder: string,
  ) {
    this.items = new ItemsByDay(path.join(folder, "items"));
    this.replaying = [...ledger.batches].filter(([, batch]) => roleOf(batch) === "replaying").map(([id]) => id);
  }

  /** Reads the metrics table and sorts it by day. */
  async readItems(): Promise<void> {
    for await (const item of this.source.items()) {
      const [pk, sk] = [textOf(item, "pk") ?? "", textOf(item, "sk") ?? ""];
      this.findings.look("metrics", "items");
      const [, ofKey] = /^(?:DAY|TOP_TRACKS)#(.*)$/s.exec(pk.startsWith("DAY#") ? pk : sk) ?? [];
      const wrong = (what: string, expected: string, found: string, remedy: string) =>
        this.findings.breach({
          check: "metrics",
          what,
          where: `${pk} ${sk}`,
          expected,
          found,
          remedy,
          days: ofKey === undefined ? [] : [ofKey],
        });
      if (ofKey === undefined || !DATE.test(ofKey)) {
        wrong("an item too many", "no item: no metric has such keys", jsonItem(item), "delete the item");
        continue;
      }
      const batch = textOf(item, "batch_id");
      if (batch === undefined || !this.ledger.batches.has(batch) || textOf(item, "published_at") === undefined)
        wrong(
          "an item does not say which batch published it",
          "batch_id, of a batch of the ledger, and published_at",
          `batch_id ${batch}, published_at ${textOf(item, "published_at")}`,
          "npm run replay -- BATCH, with a batch of this day",
        );
      const place = placeInIndex(pk, sk);
      // Earlier versions listed nothing.
      if (item.listed_in !== undefined && textOf(item, "listed_in") !== place)
        wrong(
          "an item is listed where it does not belong",
          `listed_in ${place ?? "absent"}`,
          `listed_in ${textOf(item, "listed_in")}`,
          "npm run replay -- BATCH, with a batch of this day",
        );
      this.items.add(ofKey, pk, sk, item);
    }
    this.items.flush();
  }

  /** Checks every day in curated, the metrics or the archive. Calls `onDay` for each. */
  async checkDays(facts: Facts, deep: boolean, onDay: (day: string) => void): Promise<void> {
    const unseen = new Set([...this.items.days, ...this.archivedDays]);
    for await (const { day, objects } of this.days()) {
      for (const other of [...unseen].filter((one) => one < day).sort()) {
        unseen.delete(other);
        await this.checkDay(other, [], facts, deep, onDay);
      }
      unseen.delete(day);
      await this.checkDay(day, objects, facts, deep, onDay);
    }
    for (const day of [...unseen].sort()) await this.checkDay(day, [], facts, deep, onDay);
  }

  private async checkDay(
    day: string,
    objects: (LakeObject & { batch: string })[],
    facts: Facts,
    deep: boolean,
    onDay: (day: string) => void,
  ): Promise<void> {
    onDay(day);
    for (const batch of new Set(objects.map((object) => object.batch)))
      this.checkOwner(
        batch,
        day,
        objects.filter((object) => object.batch === batch).map(({ key }) => key),
        facts,
      );
    // DuckDB caches files by path and second of change: under a reused path it could answer with another day's file.
    const folder = path.join(this.folder, "day", day);
    const files = await inParallel(
      objects.map((object, number) => ({ ...object, path: path.join(folder, `${number}.parquet`) })),
      DOWNLOADS_AT_ONCE,
      async ({ key, batch, path: file }) => {
        if (await this.source.download(key, file)) return [{ path: file, key, batch }];
        this.wrong("a curated file disappeared during the audit", key, "the object", "none", "audit again", batch, day);
        return [];
      },
    );
    const done = await this.ask({
      do: "day",
      day,
      files: files.flat(),
      items: this.items.fileOf(day) ?? null,
      deep,
      unsure: [...facts.unsure],
      replaying: this.replaying,
    });
    for (const [batch, rows] of Object.entries(done.rows as Record<string, number>))
      this.rows.set(batch, (this.rows.get(batch) ?? 0) + rows);
    this.findings.look("curated", "days", objects.length === 0 ? 0 : 1);
    this.findings.look("curated", "files", objects.length);
    this.findings.look("curated", "rows", sum(done.rows as Record<string, number>));
    this.findings.look("metrics", "recomputed items", Number(done.items));
    if (deep) this.findings.look("deep", "distinct archived listens", Number(done.listens));
    await rm(folder, { recursive: true, force: true });
    await this.items.remove(day);
  }

  /** Whether a batch may have rows on a day. */
  private checkOwner(batchId: string, day: string, keys: string[], facts: Facts): void {
    const batch = this.ledger.batches.get(batchId);
    const role = batch && roleOf(batch);
    if (role !== "archived" && role !== "replaying")
      for (const key of keys)
        this.wrong(
          "a curated file of a batch that is not archived",
          key,
          "rows of archived batches only",
          batch ? `batch ${batchId} is ${batch.state}` : "a batch that the ledger does not know",
          batch?.settledAt === undefined
            ? `npm run replay -- ${batchId}, while the pipeline is paused`
            : "delete the object, then replay a batch of this day (npm run replay -- BATCH)",
          batchId,
          day,
        );
    else if (!facts.touched.get(batchId)?.has(day))
      for (const key of keys)
        this.wrong(
          "a curated file on a day that its batch does not name",
          key,
          `${day} in ${place("touched", { batchId })}`,
          "another list of days",
          `add ${day} to the list, then npm run replay -- ${batchId}`,
          batchId,
          day,
        );
  }

  /** Curated files by day, in the order of the days. Reports other objects. */
  private async *days(): AsyncGenerator<{ day: string; objects: (LakeObject & { batch: string })[] }> {
    let day = "";
    let objects: (LakeObject & { batch: string })[] = [];
    for await (const object of this.source.objects(layout.listens)) {
      if (object.key.endsWith("/") && object.size === 0) continue;
      if (object.key.startsWith(this.unfinished)) {
        this.findings.inform(
          "curated",
          `unfinished objects whose keys begin with ${this.unfinished}: readers ignore them, the next transform deletes them`,
        );
        continue;
      }
      const [, date = "", batch = ""] = CURATED_FILE.exec(object.key.slice(layout.listens.length)) ?? [];
      if (date === "") {
        this.wrong(
          "an object that is no curated file",
          object.key,
          `${layout.listens}listen_date=DAY/batch_id=BATCH/*.parquet`,
          "another key",
          "delete it, or move it to where it belongs",
        );
        continue;
      }
      if (date !== day) {
        if (objects.length > 0) yield { day, objects };
        [day, objects] = [date, []];
      }
      objects.push({ ...object, batch });
    }
    if (objects.length > 0) yield { day, objects };
  }

  /**
   * Below temporary/: copies of a FAILED or SPLIT batch must be gone. The bucket's lifecycle deletes those of others.
   */
  async checkTemporary(): Promise<void> {
    const root = folderOf("staged");
    for await (const batchId of this.source.folders(root)) {
      if (batchId === REFERENCE_COPY) continue;
      const batch = this.ledger.batches.get(batchId);
      const role = batch && roleOf(batch);
      if (role === "split" || role === "failed")
        this.wrong(
          `copies of a batch that is ${batch!.state}`,
          `${root}${batchId}/`,
          "no objects",
          "objects",
          "delete the folder",
          batchId,
        );
      else if (role === undefined || role === "archived")
        this.findings.inform("curated", `folders below ${root} that a job left: the bucket's lifecycle deletes them`);
    }
  }

  /** Asks the worker, and puts what it finds into the findings. */
  ask(request: Request, check: CheckName = "deep"): Promise<Record<string, unknown>> {
    return this.worker.ask(request, {
      breach: (breach) => this.findings.breach(breach),
      information: (text, count, of = check) => this.findings.inform(of, text, count),
    });
  }

  private wrong(
    what: string,
    where: string,
    expected: string,
    found: string,
    remedy: string,
    batch?: string,
    day?: string,
  ): void {
    const about = { batches: batch === undefined ? [] : [batch], days: day === undefined ? [] : [day] };
    this.findings.breach({ check: "curated", what, where, expected, found, remedy, ...about });
  }
}

/** The items of the metrics table, a file for each day: lines `{pk, sk, item}`, with the item as JSON in a string. */
class ItemsByDay {
  readonly days = new Set<string>();
  private waiting = new Map<string, string[]>();
  private count = 0;

  constructor(private readonly stem: string) {}

  add(day: string, pk: string, sk: string, item: Item): void {
    this.days.add(day);
    const lines = this.waiting.get(day) ?? [];
    lines.push(JSON.stringify({ pk, sk, item: jsonItem(item, besideMetrics) }));
    this.waiting.set(day, lines);
    if (++this.count % ITEMS_AT_ONCE === 0) this.flush();
  }

  fileOf(day: string): string | undefined {
    return this.days.has(day) ? `${this.stem}-${day}` : undefined;
  }

  async remove(day: string): Promise<void> {
    await rm(`${this.stem}-${day}`, { force: true });
  }

  flush(): void {
    for (const [day, lines] of this.waiting) appendFileSync(`${this.stem}-${day}`, `${lines.join("\n")}\n`);
    this.waiting = new Map();
  }
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
