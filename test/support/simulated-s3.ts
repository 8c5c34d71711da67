// biome-ignore-all lint/suspicious/noExplicitAny: the SDK's commands come in every shape; the runtime sends these.

import { createHash } from "node:crypto";

export interface StoredObject {
  body: string;
  etag: string;
  lastModified: Date;
  storageClass?: string;
  /** Someone restored it: it can be read whatever its class. */
  restored?: boolean;
  metadata?: Record<string, string>;
  version: number;
}

/** An error as the AWS SDK throws it. */
export function awsError(name: string, status = 400, extra: Record<string, unknown> = {}): Error {
  return Object.assign(new Error(`${name} (simulated)`), { name, $metadata: { httpStatusCode: status }, ...extra });
}

export interface Command {
  constructor: { name: string };
  input: object;
}

type Input = Record<string, any>;

/** S3 in memory: strongly consistent, pages its listings, honours the conditions on put, copy and delete. */
export class SimulatedS3 {
  readonly objects = new Map<string, StoredObject>();
  private readonly uploads = new Map<string, { parts: Map<number, string>; metadata: StoredObject["metadata"] }>();
  private uploadCount = 0;
  private putCount = 0;
  private versionCount = 0;

  constructor(
    private readonly now: () => number,
    readonly pageSize = 3,
    /** A KMS key encrypts objects: then the same bytes get a new ETag each time. */
    readonly hasKey = false,
    /** Called at each page of a listing. */
    private readonly onList = (_prefix: string) => {},
  ) {}

  put(key: string, body: string, etag = this.etagOf(body), metadata?: StoredObject["metadata"]): StoredObject {
    const version = ++this.versionCount;
    const stored = { body, etag, lastModified: new Date(this.now()), version, ...(metadata ? { metadata } : {}) };
    this.objects.set(key, stored);
    return stored;
  }

  private etagOf(body: string): string {
    const salt = this.hasKey ? String(++this.putCount) : "";
    return `"${createHash("md5")
      .update(salt + body)
      .digest("hex")}"`;
  }

  keys(prefix = ""): string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort(byBytes);
  }

  json(key: string): any {
    const stored = this.objects.get(key);
    return stored && JSON.parse(stored.body);
  }

  async send(command: Command): Promise<unknown> {
    const input: Input = command.input;
    switch (command.constructor.name) {
      case "ListObjectsV2Command":
        return this.list(input);
      case "PutObjectCommand": {
        if (input.IfNoneMatch === "*" && this.objects.has(input.Key)) throw awsError("PreconditionFailed", 412);
        return { ETag: this.put(input.Key, String(input.Body)).etag };
      }
      case "GetObjectCommand": {
        const { body, etag } = this.readable(this.need(input.Key, "NoSuchKey"));
        return { ETag: etag, Body: { transformToString: async () => body } };
      }
      case "HeadObjectCommand": {
        const stored = this.need(input.Key, "NotFound");
        return {
          ETag: stored.etag,
          ContentLength: Buffer.byteLength(stored.body),
          LastModified: stored.lastModified,
          StorageClass: stored.storageClass,
          Restore: stored.restored ? 'ongoing-request="false"' : undefined,
          Metadata: stored.metadata,
          VersionId: String(stored.version),
          ...(this.hasKey ? { ServerSideEncryption: "aws:kms" } : {}),
        };
      }
      case "CopyObjectCommand": {
        const { body } = this.source(input);
        if (input.IfNoneMatch === "*" && this.objects.has(input.Key)) throw awsError("PreconditionFailed", 412);
        return { CopyObjectResult: { ETag: this.put(input.Key, body, undefined, input.Metadata).etag } };
      }
      case "DeleteObjectCommand": {
        if (input.IfMatch !== undefined && this.need(input.Key, "NoSuchKey").etag !== input.IfMatch)
          throw awsError("PreconditionFailed", 412);
        this.objects.delete(input.Key);
        return {};
      }
      case "DeleteObjectsCommand": {
        if (input.Delete.Objects.length > 1000) throw awsError("MalformedXML");
        for (const { Key } of input.Delete.Objects) this.objects.delete(Key);
        return {};
      }
      case "CreateMultipartUploadCommand": {
        const UploadId = `upload-${++this.uploadCount}`;
        this.uploads.set(UploadId, { parts: new Map(), metadata: input.Metadata });
        return { UploadId };
      }
      case "UploadPartCopyCommand": {
        const [from, to] = input.CopySourceRange.slice("bytes=".length).split("-").map(Number);
        const part = Buffer.from(this.source(input).body).subarray(from, to + 1);
        this.upload(input).parts.set(input.PartNumber, part.toString());
        return { CopyPartResult: { ETag: `"${input.PartNumber}"` } };
      }
      case "CompleteMultipartUploadCommand": {
        const { parts, metadata } = this.upload(input);
        if (input.IfNoneMatch === "*" && this.objects.has(input.Key)) throw awsError("PreconditionFailed", 412);
        const body = input.MultipartUpload.Parts.map((part: Input) => parts.get(part.PartNumber)).join("");
        this.uploads.delete(input.UploadId);
        this.put(input.Key, body, `"${createHash("md5").update(body).digest("hex")}-${parts.size}"`, metadata);
        return {};
      }
      case "AbortMultipartUploadCommand":
        this.uploads.delete(input.UploadId);
        return {};
      default:
        throw new Error(`the simulated S3 does not know ${command.constructor.name}`);
    }
  }

  private list(input: Input): unknown {
    this.onList(input.Prefix);
    const after = input.ContinuationToken ?? input.StartAfter ?? "";
    const all = this.keys(input.Prefix).filter((key) => byBytes(key, after) > 0);
    const page = all.slice(0, this.pageSize);
    return {
      EncodingType: input.EncodingType,
      IsTruncated: all.length > page.length,
      NextContinuationToken: all.length > page.length ? page.at(-1) : undefined,
      Contents: page.map((key) => {
        const { etag, body, lastModified, storageClass, restored } = this.objects.get(key)!;
        const Key = input.EncodingType === "url" ? encodeURIComponent(key).replace(/%20/g, "+") : key;
        return {
          Key,
          ETag: etag,
          Size: Buffer.byteLength(body),
          LastModified: lastModified,
          StorageClass: storageClass,
          ...(input.OptionalObjectAttributes?.includes("RestoreStatus") && restored
            ? { RestoreStatus: { IsRestoreInProgress: false, RestoreExpiryDate: new Date(8.64e15) } }
            : {}),
        };
      }),
    };
  }

  private source(input: Input): StoredObject {
    const key = decodeURIComponent(input.CopySource.slice(input.CopySource.indexOf("/") + 1));
    const stored = this.need(key, "NoSuchKey");
    if (input.CopySourceIfMatch !== undefined && stored.etag !== input.CopySourceIfMatch)
      throw awsError("PreconditionFailed", 412);
    // `STUCK`: only the Lambdas may not use its key. `BROKEN`: S3 itself fails at this object.
    if (stored.body.includes("STUCK")) throw awsError("KMS.DisabledException", 400);
    if (stored.body.includes("BROKEN")) throw awsError("InternalError", 500);
    return this.readable(stored);
  }

  /** `SEALED` stands for a key that the pipeline may not use. */
  private readable(stored: StoredObject): StoredObject {
    if (stored.body.includes("SEALED")) throw awsError("AccessDenied", 403);
    if (stored.storageClass === "GLACIER" && !stored.restored) throw awsError("InvalidObjectState", 403);
    return stored;
  }

  private need(key: string, error: string): StoredObject {
    const stored = this.objects.get(key);
    if (!stored) throw awsError(error, 404);
    return stored;
  }

  private upload(input: Input) {
    const upload = this.uploads.get(input.UploadId);
    if (!upload) throw awsError("NoSuchUpload", 404);
    return upload;
  }
}

/** Sorts as S3 does: by the bytes of UTF-8. Without surrogates, UTF-16 has the same order, and needs no copy. */
export function byBytes(one: string, other: string): number {
  if (SURROGATE.test(one) || SURROGATE.test(other)) return Buffer.compare(Buffer.from(one), Buffer.from(other));
  return one < other ? -1 : one > other ? 1 : 0;
}

const SURROGATE = /[\ud800-\udfff]/;
