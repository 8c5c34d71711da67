import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { type Head, head, MARK } from "./lake";
import { inParallel } from "./parallel";
import { describe, isError, type World } from "./world";

/** `moved`: the claimed version is at the target. `left`: it was overwritten first. `missing`: it is nowhere. */
export type Moved = "moved" | "left" | "missing";

/** The names of the errors of a move that S3 did not raise, for `isError`. */
export const MOVE_ERRORS = {
  /** The file was copied, and its source could not be deleted: it is in two places. */
  notDeleted: "NotDeletedError",
  /** Another object lies at the target. */
  targetTaken: "TargetTakenError",
};

export interface Source {
  key: string;
  etag: string;
  size: number;
}

/**
 * Moves exactly the version that was claimed, identified by its ETag. Another version at the key stays there. Repeats,
 * even concurrent ones, end the same way, so a move that was cut short is simply repeated. Throws when another object
 * lies at the target: nothing is overwritten.
 */
export async function move(world: World, source: Source, target: string): Promise<Moved> {
  try {
    await copy(world, source, target);
  } catch (error) {
    const conflict = isError(error, "ConditionalRequestConflict", 409);
    const missing = isError(error, "NoSuchKey", "NotFound");
    if (!conflict && !missing && !isError(error, "PreconditionFailed", 412)) throw error;
    // An earlier try, or another Lambda, may have copied the file.
    const there = await head(world, target);
    if (!there && conflict) throw error;
    if (!there) return missing ? "missing" : "left";
    if (!(await mayBeCopy(world, source, there)))
      throw moveError(
        MOVE_ERRORS.targetTaken,
        `${target} holds another object than ${source.key}: move that object away, or delete it`,
      );
  }
  try {
    await deleteVersion(world, source);
  } catch (cause) {
    throw moveError(
      MOVE_ERRORS.notDeleted,
      `${target} has the file, but ${source.key} was not deleted: ${describe(cause)}`,
    );
  }
  return "moved";
}

// Not a class: Pulumi can't serialise one that extends Error.
function moveError(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

/** Whether the object at the target can be the source's copy. ETags tell bytes apart only if both are plain. */
async function mayBeCopy(world: World, source: Source, there: Head): Promise<boolean> {
  if (there.size !== source.size) return false;
  if (there.etag === source.etag || !there.isPlain) return true;
  const here = await head(world, source.key);
  return here?.etag !== source.etag || !here.isPlain;
}

/**
 * Copies the given version; throws S3's error when it is gone, or when there is an object at the target. With a mark,
 * the copy carries the mark (see `head`). The ETag can't identify the copy: SSE-KMS and multipart copies get a new one.
 */
export async function copy(world: World, source: Source, target: string, mark?: string): Promise<void> {
  if (source.size > world.settings.singleCopyBytes) await copyInParts(world, source, target, mark);
  else await copyWhole(world, source, target, mark);
}

/** Deletes an object if it is still the given version. */
export async function deleteVersion(world: World, source: Source): Promise<void> {
  try {
    await retryConflict(world, () =>
      world.clients.s3.send(
        new DeleteObjectCommand({ Bucket: world.settings.bucket, Key: source.key, IfMatch: source.etag }),
      ),
    );
  } catch (error) {
    // Overwritten between copy and delete, or deleted already: the claimed version is safe at the target.
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
        IfNoneMatch: "*",
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
      new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts: parts }, IfNoneMatch: "*" }),
    );
  } catch (error) {
    // Best effort: the bucket's lifecycle removes parts that stay behind.
    await world.clients.s3.send(new AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => undefined);
    throw error;
  }
}

/** The header's form: bucket and key, each segment percent-encoded as UTF-8 (Amazon S3: CopyObject). */
function copySource(world: World, key: string): string {
  return `${world.settings.bucket}/${key.split("/").map(encodeURIComponent).join("/")}`;
}

/** Repeats a request that S3 answers with 409, because two conditional requests met on one key. */
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
