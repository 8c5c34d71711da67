import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { CreateBucketCommand, HeadBucketCommand, type S3Client } from "@aws-sdk/client-s3";
import pMap from "p-map";
import layout from "../../layout.json";
import { parseLocation } from "../../runtime/location";
import { UsageError } from "../../terminal/errors";
import { filesBelow, leftOutText } from "../files-below";
import { transfer } from "../upload";
import { csvName } from "../upload-plan";

/** Files to upload: where each lies on disk, and under which key it goes into the bucket. */
export interface Source {
  file: string;
  key: string;
}

export interface DataFolder {
  reference: Source[];
  streams: Source[];
  /** What lies below streams/ and can't be uploaded, each with the reason. */
  leftOut: string[];
}

const uploadsAtOnce = 16;

/**
 * What `--data DIR` holds: `DIR/reference/users*.csv`, `DIR/reference/songs*.csv`, and every file below `DIR/streams/`.
 * A file's path below streams/ becomes its key below incoming/. Throws a UsageError that names what is missing.
 */
export async function readDataFolder(dir: string): Promise<DataFolder> {
  const found = await stat(dir).catch(() => undefined);
  if (!found?.isDirectory())
    throw new UsageError(`--data ${dir}: there is no such folder. It should hold reference/ and streams/.`);
  const reference = [
    ...(await referenceFiles(dir, "users", layout.reference + layout.users)),
    ...(await referenceFiles(dir, "songs", layout.reference + layout.songs)),
  ];
  const streams = path.join(dir, "streams");
  const isFolder = (await stat(streams).catch(() => undefined))?.isDirectory();
  if (!isFolder) throw new UsageError(`${streams} is missing: put the stream CSVs there.`);
  const { files, leftOut } = await filesBelow(streams);
  const names = files.map((file) => path.relative(streams, file)).sort();
  if (!names.some((name) => csvName.test(name))) {
    const found = leftOut.length > 0 ? `\n${leftOutText(leftOut)}` : "";
    throw new UsageError(`${streams} holds no .csv or .csv.gz file: put the stream CSVs there.${found}`);
  }
  return {
    leftOut,
    reference,
    streams: names.map((name) => ({
      file: path.join(streams, name),
      key: `${layout.incoming}${name.split(path.sep).join("/")}`,
    })),
  };
}

async function referenceFiles(dir: string, name: "users" | "songs", prefix: string): Promise<Source[]> {
  const folder = path.join(dir, "reference");
  const files = await readdir(folder).catch(() => []);
  const wanted = files.filter((file) => file.startsWith(name) && /\.csv(\.gz)?$/i.test(file)).sort();
  if (wanted.length === 0)
    throw new UsageError(
      `${path.join(folder, `${name}*.csv`)} is missing: the reference data of the ${name} goes there.`,
    );
  return wanted.map((file) => ({ file: path.join(folder, file), key: `${prefix}${file}` }));
}

/**
 * Uploads reference data to where the pipeline reads it. Creates a bucket that isn't there: on this cloud nobody else
 * does.
 */
export async function uploadReference(
  s3: S3Client,
  location: string,
  sources: Source[],
  stop?: AbortSignal,
): Promise<void> {
  const place = parseLocation(location);
  if (!place) throw new Error(`the output referenceLocation is ${location}, which names no folder of S3`);
  const { bucket: Bucket, prefix } = place;
  const isThere = await s3.send(new HeadBucketCommand({ Bucket })).then(
    () => true,
    () => false,
  );
  if (!isThere) await s3.send(new CreateBucketCommand({ Bucket }));
  const moved = sources.map(({ file, key }) => ({ file, key: prefix + key.slice(layout.reference.length) }));
  await uploadAll(s3, Bucket, moved, stop);
}

/** Uploads many files at once, as they are. `stop` ends it early: uploads on their way then don't arrive. */
export async function uploadAll(s3: S3Client, bucket: string, sources: Source[], stop?: AbortSignal): Promise<void> {
  await pMap(
    sources,
    async ({ file, key }) => {
      const { size } = await stat(file);
      await transfer(s3, { Bucket: bucket, Key: key }, file, { bytes: size, stop });
    },
    { concurrency: uploadsAtOnce, ...(stop && { signal: stop }) },
  );
}
