import { zstdDecompressSync } from "node:zlib";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import type { Found } from "../../runtime/lake";
import type { Target } from "../target";

/** A curated file's key below the folder of listens: its day and batch. Names with _ or a dot first are hidden. */
export const CURATED_FILE =
  /^listen_date=(?<date>\d{4}-\d\d-\d\d)\/batch_id=(?<batchId>[^/]+)\/(?![_.])[^/]+\.parquet$/;

/** What hyparquet needs to read an object of the bucket by parts. It fails when the object has changed meanwhile. */
export function parquetObject(target: Target, { key, size, etag }: Found) {
  return {
    file: {
      byteLength: size,
      async slice(start: number, end = size) {
        const part = { Bucket: target.outputs.bucketName, Key: key, IfMatch: etag, Range: `bytes=${start}-${end - 1}` };
        const { Body } = await target.s3.send(new GetObjectCommand(part));
        return new Uint8Array((await Body?.transformToByteArray()) ?? []).buffer;
      },
    },
    compressors: { ZSTD: (bytes: Uint8Array) => zstdDecompressSync(bytes) },
  };
}
