import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { paginateScan } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { paginateQuery } from "@aws-sdk/lib-dynamodb";
import type { Batch } from "../../runtime/batch";
import { plainKey } from "../../runtime/lake";
import { isError } from "../../runtime/world";
import type { Item } from "../items";
import type { Target } from "../target";

export interface LakeObject {
  key: string;
  etag: string;
  size: number;
  lastModifiedMs: number;
}

/** A JSON document: its content, or why there is none. */
export type Document = { is: "there"; content: Record<string, unknown> } | { is: "missing" } | { is: "broken" };

/** The ledger at one moment. `batches` by id. */
export interface Ledger {
  batches: Map<string, Batch>;
  inFlight?: string;
  queued: string[];
  claims: number;
}

/** Everything that an audit reads. It writes nothing, and streams lists page by page. */
export class Source {
  private readonly bucket: string;

  constructor(private readonly target: Pick<Target, "s3" | "dynamodb" | "documents" | "outputs">) {
    this.bucket = target.outputs.bucketName;
  }

  /** Every object below a prefix, in the order of the keys' bytes. */
  async *objects(prefix: string): AsyncGenerator<LakeObject> {
    for await (const page of this.pages(prefix)) {
      for (const { Key, ETag, Size, LastModified } of page.Contents ?? [])
        yield {
          key: plainKey(Key ?? ""),
          etag: ETag ?? "",
          size: Size ?? 0,
          lastModifiedMs: LastModified?.getTime() ?? 0,
        };
    }
  }

  /** The names of the folders directly below a prefix. */
  async *folders(prefix: string): AsyncGenerator<string> {
    for await (const page of this.pages(prefix, "/")) {
      for (const { Prefix } of page.CommonPrefixes ?? []) yield plainKey(Prefix ?? "").slice(prefix.length, -1);
    }
  }

  private async *pages(Prefix: string, Delimiter?: string) {
    let ContinuationToken: string | undefined;
    do {
      const page = await this.target.s3.send(
        // XML can't carry every character that a key may hold, so keys are percent-encoded.
        new ListObjectsV2Command({ Bucket: this.bucket, Prefix, Delimiter, EncodingType: "url", ContinuationToken }),
      );
      yield page;
      ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (ContinuationToken !== undefined);
  }

  /**
   * A JSON document. Unlike readDocument of runtime/, it tells a missing document from a broken one, and it takes an
   * object that S3 can't give at once for missing: an audit goes on where the pipeline stops.
   */
  async document(key: string): Promise<Document> {
    const body = await this.read(key);
    if (!body) return { is: "missing" };
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(chunk as Buffer);
    try {
      const content = JSON.parse(Buffer.concat(chunks).toString("utf8"));
      const isObject = content !== null && typeof content === "object" && !Array.isArray(content);
      return isObject ? { is: "there", content } : { is: "broken" };
    } catch {
      return { is: "broken" };
    }
  }

  /** An object's content; undefined when there is none, or when its storage class can't be read at once. */
  async read(key: string): Promise<Readable | undefined> {
    try {
      return (await this.target.s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }))).Body as Readable;
    } catch (error) {
      if (isError(error, "NoSuchKey", "NotFound", "InvalidObjectState")) return undefined;
      throw error;
    }
  }

  /** Streams an object into a file, and creates the file's folder. Returns whether there was such an object. */
  async download(key: string, file: string): Promise<boolean> {
    const body = await this.read(key);
    if (!body) return false;
    await mkdir(path.dirname(file), { recursive: true });
    await pipeline(body, createWriteStream(file));
    return true;
  }

  /** Whether an object's ETag is its MD5: not under SSE-KMS or a customer's key. False when there is no object. */
  async hasPlainEtag(key: string): Promise<boolean> {
    try {
      const head = await this.target.s3.send(new HeadObjectCommand({ Bucket: this.bucket, Key: key }));
      return head.SSECustomerAlgorithm === undefined && !String(head.ServerSideEncryption ?? "").startsWith("aws:kms");
    } catch (error) {
      if (isError(error, "NoSuchKey", "NotFound")) return false;
      throw error;
    }
  }

  async ledger(): Promise<Ledger> {
    const ledger: Ledger = { batches: new Map(), queued: [], claims: 0 };
    for await (const item of this.ledgerItems("BATCH")) ledger.batches.set(String(item.sk), item as unknown as Batch);
    for await (const item of this.ledgerItems("PIPELINE")) {
      const sk = String(item.sk);
      if (sk === "IN_FLIGHT") ledger.inFlight = String(item.batchId);
      if (sk === "CLAIMS") ledger.claims = Number(item.claims);
      if (sk.startsWith("QUEUE#")) ledger.queued.push(String(item.batchId));
    }
    return ledger;
  }

  private async *ledgerItems(pk: string): AsyncGenerator<Record<string, unknown>> {
    const pages = paginateQuery(
      { client: this.target.documents },
      {
        TableName: this.target.outputs.ledgerTableName,
        KeyConditionExpression: "pk = :pk",
        ExpressionAttributeValues: { ":pk": pk },
        ConsistentRead: true,
      },
    );
    for await (const page of pages) yield* page.Items ?? [];
  }

  /** Every item of the metrics table. */
  async *items(): AsyncGenerator<Item> {
    const pages = paginateScan(
      { client: this.target.dynamodb },
      { TableName: this.target.outputs.metricsTableName, ConsistentRead: true },
    );
    for await (const page of pages) yield* page.Items ?? [];
  }
}
