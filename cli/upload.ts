import { createReadStream } from "node:fs";
import type { S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import pMap from "p-map";
import layout from "../layout.json";
import { isUnreachable, NoCloudError, UserError } from "../terminal/errors";
import { counted, printable } from "../terminal/format";
import type { Target } from "./target";

/** A file to upload. */
export interface Source {
  /** Where it lies on disk. */
  file: string;
  /** Where it will lie below incoming/: what the pipeline calls its name. */
  name: string;
  bytes: number;
}

/** A file that is in the bucket. */
export interface Uploaded extends Source {
  /** As S3 gives it, quotes included: with the name, it tells this version from others. */
  etag: string;
}

const uploadsAtOnce = 8;
const smallestPartBytes = 8 * 1024 * 1024;
/** S3 takes at most 10,000 parts of one object. */
const mostParts = 9_000;

export interface UploadEvents {
  onBytes?: (bytes: number) => void;
  onDone?: (source: Source) => void;
}

/**
 * Uploads several files at once, large ones in parts. Stops at the first error: its UserError says how many files are
 * in.
 */
export async function upload(target: Target, sources: Source[], events: UploadEvents = {}): Promise<Uploaded[]> {
  let done = 0;
  return pMap(
    sources,
    async (source) => {
      try {
        const to = { Bucket: target.outputs.bucketName, Key: layout.incoming + source.name };
        const etag = await transfer(target.s3, to, source.file, { bytes: source.bytes, onBytes: events.onBytes });
        done += 1;
        events.onDone?.(source);
        return { ...source, etag };
      } catch (error) {
        const cause = error instanceof Error ? error.message || error.name : String(error);
        throw new (isUnreachable(error) ? NoCloudError : UserError)(
          `${printable(source.file)} could not be uploaded to ${target.name}: ${printable(cause)}\n${done} of ${counted(sources.length, "file")} are in; running the command again is safe.`,
          { cause: error },
        );
      }
    },
    { concurrency: uploadsAtOnce },
  );
}

interface TransferOptions {
  bytes: number;
  onBytes?: ((bytes: number) => void) | undefined;
  /** Ends the transfer early; then there is no object. */
  stop?: AbortSignal | undefined;
}

/** Uploads one file, a large one in parts, and returns its ETag as S3 gives it. */
export async function transfer(
  s3: S3Client,
  to: { Bucket: string; Key: string },
  file: string,
  { bytes, onBytes, stop }: TransferOptions,
): Promise<string> {
  let reported = 0;
  const report = (loaded: number) => {
    onBytes?.(loaded - reported);
    reported = loaded;
  };
  const ContentType = /\.gz$/i.test(to.Key) ? "application/gzip" : "text/csv";
  const sending = new Upload({
    client: s3,
    params: { ...to, Body: createReadStream(file), ContentType },
    partSize: Math.max(smallestPartBytes, Math.ceil(bytes / mostParts)),
    queueSize: 2,
  });
  sending.on("httpUploadProgress", ({ loaded }) => report(loaded ?? 0));
  const abort = () => void sending.abort();
  stop?.addEventListener("abort", abort, { once: true });
  try {
    stop?.throwIfAborted();
    const { ETag } = await sending.done();
    report(bytes);
    if (!ETag) throw new Error("S3 gave no ETag for it");
    return ETag;
  } finally {
    stop?.removeEventListener("abort", abort);
  }
}
