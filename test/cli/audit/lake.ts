import assert from "node:assert/strict";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { DeleteCommand, PutCommand, ScanCommand } from "@aws-sdk/lib-dynamodb";
import { execa } from "execa";
import type { Batch, Manifest, ManifestFile, TransformReport } from "../../../runtime/batch";
import { place } from "../../../runtime/places";
import { publishTotals, totals } from "../../../runtime/reports";
import { testCredentials } from "../../support/credentials";
import { folders } from "../../support/folders";
import { type Pipeline, startPipeline } from "../pipeline";
import { at, bodyOf, curatedKey, day, type Given, item, type Listen, rowOf, sizeOf, sumOf } from "./values";

const python = path.resolve(__dirname, "..", "..", "..", ".local", "python-test", "bin", "python");
/** Items of a table, by their keys. */
type Items = Map<string, Record<string, unknown>>;

/** A pipeline at rest with batches of every kind. Its objects are those that the real jobs and Lambdas leave. */
export class Lake {
  private readonly known = new Map<string, string>();
  private saved:
    | { objects: Map<string, Uint8Array>; etags: Map<string, string>; ledger: Items; metrics: Items }
    | undefined;
  private parquet: { key: string; rows: object[] }[] = [];
  private publish: { batchId: string; days: string[] }[] = [];
  claims = 0;

  private constructor(readonly pipeline: Pipeline) {}

  get outputs() {
    return this.pipeline.target.outputs;
  }

  static async start(): Promise<Lake> {
    return new Lake(await startPipeline());
  }

  /** An archived batch: documents, curated, quarantined rows, files in their places, the ledger's item. */
  async archived(batchId: string, given: Given[], more: Partial<Batch> = {}): Promise<void> {
    const manifest = await this.manifest(batchId, given, more.parent);
    const files: TransformReport["files"] = [];
    const quarantined: string[] = [];
    const rows = new Map<string, Listen[]>();
    const moves = { moved: 0, quarantined: 0, left: 0, missing: 0 };
    for (const [index, one] of given.entries()) {
      const claimed = manifest.files[index]!;
      const kind = one.quarantinedFile ? "quarantinedFile" : "archived";
      if (one.overwritten) {
        moves.left++;
        await this.put(claimed.key, `overwritten ${one.name}`);
      } else {
        moves[one.quarantinedFile ? "quarantined" : "moved"]++;
        await this.put(place(kind, { date: day, batchId, name: one.name }), bodyOf(one));
      }
      if (one.quarantinedFile || one.overwritten === "before") continue;
      const fresh = (one.listens ?? []).filter((listen) => !this.known.has(listen.join()));
      const distinct = [...new Map(fresh.map((listen) => [listen.join(), listen])).values()];
      for (const listen of distinct) {
        this.known.set(listen.join(), batchId);
        const date = listen[2].slice(0, 10);
        rows.set(date, [...(rows.get(date) ?? []), listen]);
      }
      const reasons = Object.entries(one.quarantinedRows ?? {});
      for (const [reason, raws] of reasons)
        quarantined.push(...raws.map((raw) => JSON.stringify({ key: claimed.key, reason, raw })));
      files.push({
        name: one.name,
        rowsRead: (one.listens?.length ?? 0) + reasons.reduce((sum, [, raws]) => sum + raws.length, 0),
        rowsKept: distinct.length,
        rowsDuplicate: (one.listens?.length ?? 0) - distinct.length,
        rowsQuarantined: Object.fromEntries(reasons.map(([reason, raws]) => [reason, raws.length])),
      });
    }
    const days = [...rows.keys()].sort();
    for (const [date, listens] of rows) this.parquet.push({ key: curatedKey(batchId, date), rows: listens.map(rowOf) });
    this.publish.push({ batchId, days });
    if (quarantined.length > 0)
      await this.put(`${place("quarantinedRows", { batchId })}part-0.json`, `${quarantined.join("\n")}\n`);
    const named = (index: number) => ({ name: given[index]!.name, key: manifest.files[index]!.key });
    const all = [...given.keys()];
    const report: TransformReport = {
      ...sumOf(files),
      batchId,
      workflowRunId: `wr_${batchId}`,
      files,
      filesQuarantined: all
        .filter((index) => given[index]!.quarantinedFile)
        .map((index) => ({ ...named(index), reason: given[index]!.quarantinedFile!.reason })),
      filesChanged: all.filter((index) => given[index]!.overwritten === "before").map(named),
      unknownTracks: 0,
      unknownUsers: 0,
      referenceRowsSkipped: {},
      days,
    };
    await this.put(place("touched", { batchId }), JSON.stringify({ days }));
    await this.ledger(await this.report(report, { ...item(manifest), settledAt: at(batchId, 5), day, moves, ...more }));
  }

  /** Writes a batch's reports, and returns the ledger item for them. */
  async report(report: TransformReport, batch: Partial<Batch> & { batchId: string }): Promise<Partial<Batch>> {
    const { batchId } = batch;
    const publish = {
      batchId,
      workflowRunId: report.workflowRunId,
      engine: "duckdb",
      days: report.days,
      itemsWritten: 1,
    };
    await this.put(place("transformReport", { batchId }), JSON.stringify(report));
    await this.put(place("publishReport", { batchId }), JSON.stringify(publish));
    return {
      ...batch,
      workflowRunId: report.workflowRunId,
      report: JSON.parse(JSON.stringify(totals(report))),
      publishReport: publishTotals(publish),
    };
  }

  /** Makes an archived batch a replayed one: its manifest and report name only the files in the archive. */
  async replayed(batchId: string): Promise<void> {
    const manifest = await this.document<Manifest>(place("manifest", { batchId }));
    const report = await this.document<TransformReport>(place("transformReport", { batchId }));
    const isRead = ({ name }: ManifestFile) => report.files.some((file) => file.name === name);
    const files = manifest.files
      .filter(isRead)
      .map((file) => ({ ...file, key: place("archived", { date: day, batchId, name: file.name }) }));
    const notReplayed = manifest.files.filter((file) => !isRead(file));
    await this.put(place("manifest", { batchId }), JSON.stringify({ ...manifest, files, notReplayed }));
    const { item: before } = await this.batch(batchId);
    const after = { ...before, files: files.length, bytes: sizeOf(files), attempt: 2, batchId };
    await this.ledger(await this.report({ ...report, filesQuarantined: [], filesChanged: [] }, after));
  }

  /** A SPLIT batch. The test makes its halves. */
  async split(batchId: string, given: Given[], children: string[]): Promise<void> {
    const manifest = await this.manifest(batchId, given);
    await this.ledger({ ...item(manifest), state: "SPLIT", settledAt: at(batchId, 5), day, children });
  }

  /** A FAILED batch of one file; with `retriedAt`, the file was put back. */
  async failed(batchId: string, given: Given, more: Partial<Batch> = {}): Promise<void> {
    const manifest = await this.manifest(batchId, [given], more.parent);
    if (more.retriedAt === undefined)
      await this.put(place("failed", { date: day, batchId, name: given.name }), bodyOf(given));
    const moves = { moved: 1, quarantined: 0, left: 0, missing: 0 };
    await this.ledger({ ...item(manifest), state: "FAILED", settledAt: at(batchId, 5), day, moves, ...more });
  }

  private async manifest(batchId: string, given: Given[], parent?: string): Promise<Manifest> {
    const files: ManifestFile[] = [];
    for (const one of given) {
      const etag = await this.put("scratch", bodyOf(one));
      const size = Buffer.byteLength(bodyOf(one));
      files.push({
        key: `${folders.incoming}${one.name}`,
        name: one.name,
        etag,
        size,
        lastModified: at(parent ?? batchId, -1),
      });
    }
    const manifest = { batchId, claimedAt: at(parent ?? batchId, 0), files, ...(parent ? { parent } : {}) };
    await this.put(place("manifest", { batchId }), JSON.stringify(manifest));
    this.claims += 1;
    return manifest;
  }

  async put(key: string, body: string | Uint8Array): Promise<string> {
    return this.pipeline.put(key, body as string);
  }

  async remove(key: string): Promise<void> {
    await this.pipeline.target.s3.send(new DeleteObjectCommand({ Bucket: this.outputs.bucketName, Key: key }));
  }

  async bytes(key: string): Promise<Uint8Array> {
    const found = await this.pipeline.target.s3.send(
      new GetObjectCommand({ Bucket: this.outputs.bucketName, Key: key }),
    );
    return found.Body!.transformToByteArray();
  }

  async document<Content>(key: string): Promise<Content> {
    return JSON.parse(Buffer.from(await this.bytes(key)).toString()) as Content;
  }

  async ledger(batch: Partial<Batch>): Promise<void> {
    await this.pipeline.putLedger({ pk: "BATCH", sk: batch.batchId, ...JSON.parse(JSON.stringify(batch)) });
  }

  async turn(sk: string, attributes: object): Promise<void> {
    await this.pipeline.putLedger({ pk: "PIPELINE", sk, ...attributes });
  }

  /** Takes a batch out of the queue. */
  async leaveQueue(batchId: string): Promise<void> {
    const Key = { pk: "PIPELINE", sk: `QUEUE#${batchId}` };
    await this.pipeline.target.documents.send(new DeleteCommand({ TableName: this.outputs.ledgerTableName, Key }));
  }

  /** A batch's item. */
  async batch(batchId: string) {
    const found = (await this.scan(this.outputs.ledgerTableName)).get(`BATCH ${batchId}`);
    return { item: found as unknown as Batch & { batchId: string } };
  }

  /** Writes the curated files, and updates the metrics with the job's own code. */
  async flush(parquet = this.parquet, publish = this.publish): Promise<void> {
    const endpoint = (await this.pipeline.target.s3.config.endpoint!()).port;
    const wanted = {
      endpoint: `http://127.0.0.1:${endpoint}`,
      credentials: testCredentials,
      bucket: this.outputs.bucketName,
      table: this.outputs.metricsTableName,
      parquet,
      publish,
    };
    await execa(python, [path.join(__dirname, "..", "audit_lake.py")], { input: JSON.stringify(wanted) });
    [this.parquet, this.publish] = [[], []];
  }

  /** Saves bucket and tables for `restore`. */
  async save(): Promise<void> {
    const etags = await this.listed();
    const objects = new Map<string, Uint8Array>();
    for (const key of etags.keys()) objects.set(key, await this.bytes(key));
    const [ledger, metrics] = [
      await this.scan(this.outputs.ledgerTableName),
      await this.scan(this.outputs.metricsTableName),
    ];
    this.saved = { objects, etags, ledger, metrics };
  }

  /** Restores bucket and tables as they were saved. */
  async restore(): Promise<void> {
    const { objects, etags, ledger, metrics } = this.saved!;
    const now = await this.listed();
    for (const key of now.keys()) if (!etags.has(key)) await this.remove(key);
    for (const [key, body] of objects) if (now.get(key) !== etags.get(key)) await this.put(key, body);
    await this.restoreTable(this.outputs.ledgerTableName, ledger);
    await this.restoreTable(this.outputs.metricsTableName, metrics);
  }

  private async restoreTable(TableName: string, wanted: Items): Promise<void> {
    const { documents } = this.pipeline.target;
    const now = await this.scan(TableName);
    for (const [key, { pk, sk }] of now)
      if (!wanted.has(key)) await documents.send(new DeleteCommand({ TableName, Key: { pk, sk } }));
    for (const [key, Item] of wanted)
      if (!isDeepStrictEqual(now.get(key), Item)) await documents.send(new PutCommand({ TableName, Item }));
  }

  private async listed(): Promise<Map<string, string>> {
    const listed = await this.pipeline.target.s3.send(new ListObjectsV2Command({ Bucket: this.outputs.bucketName }));
    return new Map((listed.Contents ?? []).map(({ Key, ETag }) => [Key!, ETag!]));
  }

  async scan(TableName: string): Promise<Items> {
    const { Items = [] } = await this.pipeline.target.documents.send(
      new ScanCommand({ TableName, ConsistentRead: true }),
    );
    return new Map(Items.map((found) => [`${found.pk} ${found.sk}`, found]));
  }

  /** Writes an item of the metrics table; `undefined` deletes it. */
  async metric(pk: string, sk: string, attributes: Record<string, unknown> | undefined): Promise<void> {
    const [TableName, { documents }] = [this.outputs.metricsTableName, this.pipeline.target];
    if (!attributes) await documents.send(new DeleteCommand({ TableName, Key: { pk, sk } }));
    else await documents.send(new PutCommand({ TableName, Item: { pk, sk, ...attributes } }));
  }

  /** Rewrites a JSON document. */
  async change<Content extends object>(key: string, changed: (content: Content) => Content): Promise<void> {
    await this.put(key, JSON.stringify(changed(await this.document<Content>(key))));
  }

  /** Changes attributes of a batch's item. */
  async changeBatch(batchId: string, changed: (batch: Batch) => Partial<Batch>): Promise<void> {
    const { item: before } = await this.batch(batchId);
    await this.ledger({ ...before, ...changed(before) });
  }

  /** Changes an item of the metrics table. */
  async changeItem(pk: string, sk: string, changed: (item: never) => object): Promise<void> {
    const found = (await this.scan(this.outputs.metricsTableName)).get(`${pk} ${sk}`);
    assert.ok(found, `${pk} ${sk}`);
    await this.metric(pk, sk, { ...found, ...changed(found as never) });
  }
}
