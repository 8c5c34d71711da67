import { once } from "node:events";
import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { finished } from "node:stream/promises";
import type { Batch } from "../../runtime/batch";
import { inParallel } from "../../runtime/parallel";
import { folderOf, place } from "../../runtime/places";
import { counted } from "../../terminal/format";
import type { Settled } from "./batch-files";
import { DataCheck, type Facts } from "./data-check";
import { type Documents, readDocuments, roleOf } from "./documents";
import { FilesCheck } from "./files-check";
import type { Breach, Findings } from "./findings";
import { checkBatch, checkLeftovers, checkTurns } from "./ledger-check";
import { linesOf } from "./lines";
import { type Claimed, checkKeptRows, checkQuarantinedRows, checkReports } from "./reports-check";
import type { Ledger, Source } from "./source";
import type { Worker } from "./worker";

const DOCUMENTS_AHEAD = 16;
const NOTE_EVERY = 500;
const FILES_AHEAD = 16;
const BYTES_AHEAD = 64 * 1024 ** 2;

export interface Site {
  source: Source;
  worker: Worker;
  findings: Findings;
  /** A folder that belongs to the audit. */
  folder: string;
  /** Takes lines about the progress. */
  note(line: string): void;
}

/** What the pipeline worked on during the audit: breaches about these prove nothing. */
export interface Busy {
  /** By batch, its state and why it is here. */
  batches: Map<string, string>;
  days: Set<string>;
}

/** Checks the whole pipeline once, and only reads. Fills the findings, and returns what was busy meanwhile. */
export async function walk(site: Site, deep: boolean): Promise<Busy> {
  const { source, findings, note } = site;
  // First of all: a replay that leaves a listener out changes its batch in the ledger, so it is busy.
  const forgotten = await forgottenListeners(source);
  const before = await source.ledger();
  note(`ledger: ${counted(before.batches.size, "batch", "batches")}`);
  checkTurns(before, findings);
  await checkLeftovers(source, before, findings);

  const data = new DataCheck(source, site.worker, before, findings, site.folder);
  const batches = new Batches(site, before);
  await batches.check();
  await data.ask({ do: "forgotten", ids: [...forgotten] });
  await data.ask({ do: "claims", path: batches.moved.file });
  await checkQuarantinedRows(source, before, batches.claimed, forgotten, findings);
  await data.checkTemporary();
  if (deep) await readArchive(site, data, batches);

  await data.readItems();
  await data.checkDays(batches.facts, deep, (day) => note(`rows and metrics of ${day}`));
  checkKeptRows(batches.claimed, data.rows, findings);
  return busy(source, before, await source.ledger());
}

/** The listeners on the list. */
async function forgottenListeners(source: Source): Promise<Set<string>> {
  const folder = folderOf("forgotten");
  const ids = new Set<string>();
  for await (const { key } of source.objects(folder)) if (key !== folder) ids.add(key.slice(folder.length));
  return ids;
}

/** A list on disk, a line for each thing. */
class Spool<Thing> {
  private readonly stream: WriteStream;

  constructor(readonly file: string) {
    this.stream = createWriteStream(file);
  }

  async add(thing: Thing): Promise<void> {
    if (!this.stream.write(`${JSON.stringify(thing)}\n`)) await once(this.stream, "drain");
  }

  async end(): Promise<void> {
    this.stream.end();
    await finished(this.stream);
  }

  async *things(): AsyncGenerator<Thing> {
    for await (const line of linesOf(createReadStream(this.file))) yield JSON.parse(line) as Thing;
  }
}

type Stored = {
  batch: string;
  claimedAt: string;
  /** Header names that stood for columns when transform read the file. */
  names: Record<string, string[]>;
  key: string;
  size: number;
  quarantined?: { reason: string | null };
};

/** The checks that go batch by batch, and what the other checks need from them. */
class Batches {
  readonly claimed = new Map<string, Claimed>();
  readonly facts: Facts & { touched: Map<string, Set<string>> } = { touched: new Map(), unsure: new Set() };
  /** The versions of files that archive moved, to find those that two batches moved. */
  readonly moved: Spool<{ batch: string; name: string; etag: string; lastModified: string }>;
  readonly stored: Spool<Stored>;

  constructor(
    private readonly site: Site,
    private readonly ledger: Ledger,
  ) {
    this.moved = new Spool(path.join(site.folder, "moved.ndjson"));
    this.stored = new Spool(path.join(site.folder, "stored.ndjson"));
  }

  async check(): Promise<void> {
    const { source, findings, note } = this.site;
    const files = new FilesCheck(source, this.ledger, findings);
    await files.open();
    // S3 lists the dated folders in this order.
    const order = ([batchId, { day }]: [string, Batch]) => `${day ?? ""}/${batchId}`;
    const entries = [...this.ledger.batches].sort((a, b) => (order(a) < order(b) ? -1 : 1));
    const ahead: Promise<Documents>[] = [];
    for (const [index, [batchId, batch]] of entries.entries()) {
      while (ahead.length < DOCUMENTS_AHEAD && index + ahead.length < entries.length) {
        const reading = readDocuments(source, entries[index + ahead.length]![0]);
        reading.catch(() => {}); // Awaited below, perhaps after another has failed.
        ahead.push(reading);
      }
      const documents = await ahead.shift()!;
      await checkBatch(source, this.ledger, batchId, documents, findings);
      const { settled, isIncomplete } = await files.checkBatch(batch, documents);
      await this.remember(batchId, batch, documents, settled, isIncomplete);
      if ((index + 1) % NOTE_EVERY === 0) note(`${index + 1} of ${counted(entries.length, "batch", "batches")}`);
    }
    await files.close();
    await Promise.all([this.moved.end(), this.stored.end()]);
  }

  private async remember(
    batchId: string,
    batch: Batch,
    documents: Documents,
    settled: Settled[],
    isIncomplete: boolean,
  ): Promise<void> {
    const role = roleOf(batch);
    const { transform } = documents;
    if (role === "archived") {
      checkReports(batch, documents, this.site.findings);
      if (transform) this.claimed.set(batchId, { kept: transform.rowsKept, quarantined: transform.rowsQuarantined });
    }
    if (role === "replaying")
      this.site.findings.inform("reports", "batches whose replay is queued or at work: their reports are not audited");
    if (role === "archived" || role === "replaying") this.facts.touched.set(batchId, new Set(documents.touched));
    if (isIncomplete) this.facts.unsure.add(batchId);
    const read = transform && new Set(transform.files.map(({ name }) => name));
    for (const one of settled) {
      if (one.file) {
        const { name, etag, lastModified } = one.file;
        await this.moved.add({ batch: batchId, name, etag, lastModified });
      }
      const names = transform?.columnNames ?? {};
      const about = { batch: batchId, claimedAt: documents.manifest!.claimedAt, names, key: one.key };
      const size = one.file?.size ?? 0;
      if (one.is === "quarantined") await this.stored.add({ ...about, size, quarantined: { reason: one.reason } });
      // Skips an archived file that the last run did not read: a replay could no longer read it.
      else if (one.is === "archived" && (!read || read.has(one.file.name))) await this.stored.add({ ...about, size });
    }
  }
}

/** Reads every archived and quarantined CSV by the definitions of docs/architecture.md. */
async function readArchive(site: Site, data: DataCheck, batches: Batches): Promise<void> {
  const { source, findings, folder, note } = site;
  let [read, noted] = [0, 0];
  for await (const group of groups(batches.stored.things())) {
    const fetched = await inParallel(
      group.map((stored, number) => ({ ...stored, file: path.join(folder, "csv", String(number)) })),
      FILES_AHEAD,
      async (stored) => ({ ...stored, isThere: await source.download(stored.key, stored.file) }),
    );
    for (const one of fetched) await readStored(data, batches, findings, one);
    read += group.length;
    if (read - noted < NOTE_EVERY) continue;
    note(`${read} archived files read`);
    noted = read;
  }
  await rm(path.join(folder, "csv"), { recursive: true, force: true });
}

/** Groups of files to fetch at once, limited by number and bytes. */
async function* groups(all: AsyncIterable<Stored>): AsyncGenerator<Stored[]> {
  let group: Stored[] = [];
  let bytes = 0;
  for await (const one of all) {
    if (group.length > 0 && (group.length >= FILES_AHEAD || bytes + one.size > BYTES_AHEAD)) {
      yield group;
      [group, bytes] = [[], 0];
    }
    group.push(one);
    bytes += one.size;
  }
  if (group.length > 0) yield group;
}

async function readStored(
  data: DataCheck,
  batches: Batches,
  findings: Findings,
  { batch, claimedAt, names, key, quarantined, file, isThere }: Stored & { file: string; isThere: boolean },
): Promise<void> {
  if (!isThere) {
    findings.inform("deep", "files are not audited, because S3 does not give them at once (a storage class?)");
    if (!quarantined) batches.facts.unsure.add(batch);
    return;
  }
  // S3 refused the file to transform, so it may well be a sound CSV.
  if (quarantined?.reason === "refused") {
    findings.inform(
      "deep",
      "files that S3 refused to transform (refused): move them to incoming/ when it lets them go",
    );
    return;
  }
  if (quarantined) {
    await data.ask({ do: "unreadable", path: file, key, names, batch, reason: quarantined.reason });
    findings.look("deep", "quarantined files");
    return;
  }
  const found = await data.ask({ do: "archived", path: file, claimed_at: claimedAt, names, batch });
  findings.look("deep", "archived files");
  for (const day of (found.days as string[] | undefined) ?? []) data.archivedDays.add(day);
  if (found.quarantined !== undefined)
    findings.breach({
      check: "deep",
      what: "an archived file holds no readable table",
      where: key,
      expected: "a file whose rows were read",
      found: String(found.quarantined),
      remedy: "put the object back from the bucket's versions",
      batches: [batch],
    });
}

/** The batches that were in flight at the start or the end, or changed in between, and the days that they write to. */
async function busy(source: Source, before: Ledger, after: Ledger): Promise<Busy> {
  const batches = new Map<string, string>();
  for (const { inFlight, batches: of } of [before, after]) {
    const batch = inFlight === undefined ? undefined : of.get(inFlight);
    if (batch && batch.settledAt === undefined) batches.set(inFlight!, `${batch.state}, in flight`);
  }
  for (const [batchId, batch] of after.batches) {
    const then = before.batches.get(batchId);
    if (then?.version !== batch.version || then.updatedAt !== batch.updatedAt)
      batches.set(batchId, `${batch.state}, changed during the audit`);
  }
  const days = new Set<string>();
  for (const batchId of batches.keys()) {
    const touched = await source.document(place("touched", { batchId }));
    if (touched.is === "there" && Array.isArray(touched.content.days))
      for (const day of touched.content.days) days.add(String(day));
  }
  return { batches, days };
}

/** Whether a breach may only be unfinished work. */
export function isExcused(breach: Breach, busy: Busy): boolean {
  return (
    (breach.batches ?? []).some((batch) => busy.batches.has(batch)) ||
    (breach.days ?? []).some((day) => busy.days.has(day))
  );
}
