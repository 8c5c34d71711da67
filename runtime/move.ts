import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { head, MARK } from "./lake";
import { inParallel } from "./parallel";
import { isError, type World } from "./world";

/** `moved`: the claimed version lies at the target. `left`: overwritten before that. `missing`: gone, and not at the target. */
export type Moved = "moved" | "left" | "missing";

export interface Source {
  key: string;
  etag: string;
  size: number;
}

/**
 * Moves exactly the version that was claimed, by its ETag; whatever else lies at the key by then stays. Any number of
 * repeats, at once too, gives the same end, so a move that was cut short is simply asked for again.
 */
export async function move(world: World, source: Source, target: string): Promise<Moved> {
  try {
    await copy(world, source, target);
  } catch (error) {
    const overwritten = isError(error, "PreconditionFailed", 412);
    if (!overwritten && !isError(error, "NoSuchKey", "NotFound")) throw error;
    // Our own copy of an earlier try may be there: then only what came to the key since is left behind.
    if (await head(world, target)) return "moved";
    return overwritten ? "left" : "missing";
  }
  await deleteVersion(world, source);
  return "moved";
}

/**
 * Copies the version that is meant; throws S3's error when it is gone. With a mark, it also throws when something lies at
 * the target, and the copy bears the mark (see `head`): by its ETag it could not be known again, which is another one
 * where objects are encrypted by a key of KMS or copied in parts.
 */
export async function copy(world: World, source: Source, target: string, mark?: string): Promise<void> {
  if (source.size > world.settings.singleCopyBytes) await copyInParts(world, source, target, mark);
  else await copyWhole(world, source, target, mark);
}

/** Deletes an object if it still is the version that was meant. */
export async function deleteVersion(world: World, source: Source): Promise<void> {
  try {
    await retryConflict(world, () =>
      world.clients.s3.send(
        new DeleteObjectCommand({ Bucket: world.settings.bucket, Key: source.key, IfMatch: source.etag }),
      ),
    );
  } catch (error) {
    // Overwritten between copy and delete, or deleted already: what was claimed is safe at the target.
    if (!isError(error, "PreconditionFailed", 412, "NoSuchKey", "NotFound")) throw error;
  }
}

async function copyWhole(world: World, source: Source, target: string, mark?: string): Promise<void> {
  const marked = mark === undefined ? {} : { MetadataDirective: "REPLACE" as const, Metadata: { [MARK]: mark } };
  await retryConflict(world, () =>
    world.clients.s3.send(
      new CopyObjectCommand({
        Bucket: world.settings.bucket,
        Key: target,
        CopySource: copySource(world, source.key),
        CopySourceIfMatch: source.etag,
        ...marked,
        ...ifAbsent(mark),
      }),
    ),
  );
}

async function copyInParts(world: World, source: Source, target: string, mark?: string): Promise<void> {
  const place = { Bucket: world.settings.bucket, Key: target };
  const marked = mark === undefined ? {} : { Metadata: { [MARK]: mark } };
  const { UploadId } = await world.clients.s3.send(new CreateMultipartUploadCommand({ ...place, ...marked }));
  try {
    // S3 takes 10,000 parts at most (Amazon S3: Multipart upload limits).
    const partBytes = Math.max(world.settings.copyPartBytes, Math.ceil(source.size / 10_000));
    const count = Math.ceil(source.size / partBytes);
    const parts = await inParallel(
      Array.from({ length: count }, (_, index) => index),
      8,
      async (index) => {
        const last = Math.min(source.size, (index + 1) * partBytes) - 1;
        const { CopyPartResult } = await retryConflict(world, () =>
          world.clients.s3.send(
            new UploadPartCopyCommand({
              ...place,
              UploadId,
              PartNumber: index + 1,
              CopySource: copySource(world, source.key),
              CopySourceIfMatch: source.etag,
              CopySourceRange: `bytes=${index * partBytes}-${last}`,
            }),
          ),
        );
        return { PartNumber: index + 1, ETag: CopyPartResult?.ETag };
      },
    );
    await world.clients.s3.send(
      new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts: parts }, ...ifAbsent(mark) }),
    );
  } catch (error) {
    // Best effort: the bucket's lifecycle removes what stays behind.
    await world.clients.s3.send(new AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => undefined);
    throw error;
  }
}

function ifAbsent(mark: string | undefined): { IfNoneMatch?: "*" } {
  return mark === undefined ? {} : { IfNoneMatch: "*" };
}

/** The header's form: bucket and key, each segment percent-encoded as UTF-8 (Amazon S3: CopyObject). */
function copySource(world: World, key: string): string {
  return `${world.settings.bucket}/${key.split("/").map(encodeURIComponent).join("/")}`;
}

/** S3 answers 409 when two conditional requests on one key meet; it wants the request again. */
async function retryConflict<T>(world: World, send: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await send();
    } catch (error) {
      if (tries >= 5 || !isError(error, "ConditionalRequestConflict", "OperationAborted", 409)) throw error;
      await world.clock.sleep(100 * 2 ** tries);
    }
  }
}
