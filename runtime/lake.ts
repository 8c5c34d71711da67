import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import type { Manifest } from "./batch";
import { place } from "./places";
import { isError, type Store } from "./world";

export interface Found {
  key: string;
  etag: string;
  size: number;
  lastModifiedMs: number;
  /** Someone must restore it before it can be read. */
  cold?: true;
}

/**
 * Whether someone must restore objects of this class before they can be read (Amazon S3 User Guide, "Storage classes").
 */
export function isCold(storageClass: string | undefined): boolean {
  return storageClass === "GLACIER" || storageClass === "DEEP_ARCHIVE";
}

/** The plain form of a key that a listing gives percent-encoded. */
export function plainKey(encoded: string): string {
  return decodeURIComponent(encoded.replace(/\+/g, "%20"));
}

/** Every object below a prefix. Only for folders whose listing fits into memory. */
export async function listAll(world: Store, prefix: string): Promise<Found[]> {
  const found: Found[] = [];
  for await (const page of listPages(world, prefix)) found.push(...page.found);
  return found;
}

/** A page of a listing. */
export interface Page {
  found: Found[];
  isLast: boolean;
}

/** The objects below a prefix, page by page: those whose keys come after a key, or all. */
export async function* listPages(world: Store, prefix: string, after?: string): AsyncGenerator<Page> {
  let token: string | undefined;
  do {
    const page = await world.clients.s3.send(
      new ListObjectsV2Command({
        Bucket: world.settings.bucket,
        Prefix: prefix,
        // XML can't carry every character that a key may contain, so keys come percent-encoded.
        EncodingType: "url",
        // A restored object keeps its class; only this attribute shows that it can be read.
        OptionalObjectAttributes: ["RestoreStatus"],
        ...(token === undefined ? { StartAfter: after } : { ContinuationToken: token }),
      }),
    );
    const found: Found[] = [];
    for (const { Key, ETag, Size, LastModified, StorageClass, RestoreStatus } of page.Contents ?? []) {
      if (Key === undefined || ETag === undefined) continue;
      const key = page.EncodingType === "url" ? plainKey(Key) : Key;
      const lastModifiedMs = LastModified?.getTime() ?? 0;
      const restored = RestoreStatus?.RestoreExpiryDate !== undefined && !RestoreStatus.IsRestoreInProgress;
      const cold = isCold(StorageClass) && !restored ? { cold: true as const } : {};
      found.push({ key, etag: ETag, size: Size ?? 0, lastModifiedMs, ...cold });
    }
    token = page.IsTruncated ? page.NextContinuationToken : undefined;
    yield { found, isLast: token === undefined };
  } while (token !== undefined);
}

/** Whether there is any object below a prefix. */
export async function hasObjects(world: Store, prefix: string): Promise<boolean> {
  const page = await world.clients.s3.send(
    new ListObjectsV2Command({ Bucket: world.settings.bucket, Prefix: prefix, MaxKeys: 1 }),
  );
  return (page.Contents ?? []).length > 0;
}

/** Deletes every object below a prefix. Safe to repeat. */
export async function deleteAll(world: Store, prefix: string): Promise<void> {
  // Only whole folders: a prefix that is too short by mistake would delete more than was meant.
  if (!prefix.endsWith("/")) throw new Error(`deleteAll needs a folder with a slash at its end, not ${prefix}`);
  // A page has as many keys as DeleteObjects takes.
  for await (const { found } of listPages(world, prefix)) {
    if (found.length === 0) continue;
    const { Errors } = await world.clients.s3.send(
      new DeleteObjectsCommand({
        Bucket: world.settings.bucket,
        Delete: { Quiet: true, Objects: found.map(({ key }) => ({ Key: key })) },
      }),
    );
    // DeleteObjects answers 200 even when it deleted nothing.
    const first = Errors?.[0];
    if (first) throw new Error(`could not delete ${first.Key}: ${first.Code} ${first.Message ?? ""}`);
  }
}

/** Reads a JSON document; undefined when it does not exist or is not a JSON object. */
export async function readDocument(world: Store, key: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    const { Body } = await world.clients.s3.send(new GetObjectCommand({ Bucket: world.settings.bucket, Key: key }));
    text = (await Body?.transformToString()) ?? "";
  } catch (error) {
    if (isError(error, "NoSuchKey", "NotFound")) return undefined;
    throw error;
  }
  try {
    const document = JSON.parse(text);
    return document !== null && typeof document === "object" && !Array.isArray(document) ? document : undefined;
  } catch {
    return undefined;
  }
}

export async function readManifest(world: Store, batchId: string): Promise<Manifest> {
  const key = place("manifest", { batchId });
  const manifest = (await readDocument(world, key)) as Manifest | undefined;
  if (manifest?.batchId === batchId && Array.isArray(manifest.files)) return manifest;
  throw new Error(`${key} is missing or is not the manifest of ${batchId}: restore it from the bucket's versions`);
}

/** Writes a new manifest. Leaves one that exists as it is: the same id means the same manifest. */
export async function createManifest(world: Store, manifest: Manifest): Promise<void> {
  try {
    await world.clients.s3.send(new PutObjectCommand({ ...manifestObject(world, manifest), IfNoneMatch: "*" }));
  } catch (error) {
    if (!isError(error, "PreconditionFailed", 412)) throw error;
  }
}

export async function replaceManifest(world: Store, manifest: Manifest): Promise<void> {
  await world.clients.s3.send(new PutObjectCommand(manifestObject(world, manifest)));
}

/** Deletes the manifest of a batch that was never claimed. Best effort: nothing reads such a manifest. */
export async function dropManifest(world: Store, batchId: string): Promise<void> {
  await world.clients.s3
    .send(new DeleteObjectCommand({ Bucket: world.settings.bucket, Key: place("manifest", { batchId }) }))
    .catch(() => undefined);
}

/** The metadata field that names the batch for which a copy was made. */
export const MARK = "music-streams-mark";

export interface Head {
  etag: string;
  /** Whether the ETag is the MD5 of the bytes; not with a KMS key, nor after a multipart upload or copy. */
  isPlain: boolean;
  size: number;
  lastModifiedMs: number;
  storageClass?: string;
  restored: boolean;
  mark?: string;
  /** Differs for each write of the key. */
  version: string;
}

/** S3's facts about an object; undefined when it does not exist. */
export async function head(world: Store, key: string): Promise<Head | undefined> {
  try {
    const found = await world.clients.s3.send(new HeadObjectCommand({ Bucket: world.settings.bucket, Key: key }));
    return {
      etag: found.ETag ?? "",
      isPlain: !found.ETag?.includes("-") && !String(found.ServerSideEncryption ?? "").startsWith("aws:kms"),
      size: found.ContentLength ?? 0,
      lastModifiedMs: found.LastModified?.getTime() ?? 0,
      ...(found.StorageClass === undefined ? {} : { storageClass: found.StorageClass }),
      restored: /ongoing-request="false"/.test(found.Restore ?? ""),
      version: found.VersionId ?? String(found.LastModified?.getTime()),
      ...(found.Metadata?.[MARK] === undefined ? {} : { mark: found.Metadata[MARK] }),
    };
  } catch (error) {
    if (isError(error, "NotFound", "NoSuchKey")) return undefined;
    throw error;
  }
}

function manifestObject(world: Store, manifest: Manifest) {
  return {
    Bucket: world.settings.bucket,
    Key: place("manifest", { batchId: manifest.batchId }),
    Body: JSON.stringify(manifest),
    ContentType: "application/json",
  };
}
