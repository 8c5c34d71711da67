import { existsSync } from "node:fs";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  ListBucketsCommand,
  paginateListObjectsV2,
  S3Client,
} from "@aws-sdk/client-s3";
import pMap from "p-map";
import layout from "../layout.json";
import type { Credentials } from "./credentials";
import { makePrivateFolder } from "./private-folder";

/** A folder that keeps a local cloud's data from one start to the next. */
export interface Kept {
  /** The folder to which the emulator writes everything but objects when it ends. */
  stateDir: string;
  /** The folder to which the emulator writes each object at once. */
  objectsDir: string;
  /** The file with the local Glue's workflow runs. */
  runsFile: string;
  /** The last cloud did not shut down cleanly (the machine lost power, for instance): only its objects are there. */
  isUnclean: boolean;
  /** The initial data has been loaded completely. */
  isLoaded: boolean;
  /** Whether the emulator has saved everything when it ended. */
  isSaved(): boolean;
  /** Marks that the objects of an unclean shutdown are back in incoming/. */
  repaired(): Promise<void>;
  /** Marks that the initial data has been loaded completely. */
  loaded(): Promise<void>;
}

/**
 * Opens the kept data in a folder. The caller holds its lock. After an unclean shutdown the emulator's tables are older
 * than its objects: this removes them, and `putBack` makes the pipeline process all files again.
 */
export async function openKept(folder: string): Promise<Kept> {
  const stateDir = path.join(folder, "state");
  const objectsDir = path.join(folder, "objects");
  const runsFile = path.join(folder, "runs.ndjson");
  const marks = {
    // The emulator writes it last, and removes it when it has read its state (local/python/emulator.py).
    saved: path.join(stateDir, "saved"),
    unclean: path.join(folder, "cut"),
    loaded: path.join(folder, "loaded"),
  };
  await makePrivateFolder(folder);
  await judgeEarlierVersion(folder, stateDir, marks);
  if (existsSync(objectsDir) && !existsSync(marks.saved)) await mark(marks.unclean);
  const isUnclean = existsSync(marks.unclean);
  if (isUnclean) {
    await rm(stateDir, { recursive: true, force: true });
    await forgetHalfWritten(objectsDir);
  }
  return {
    stateDir,
    objectsDir,
    runsFile,
    isUnclean,
    isLoaded: existsSync(marks.loaded),
    isSaved: () => existsSync(marks.saved),
    repaired: () => rm(marks.unclean),
    loaded: () => mark(marks.loaded),
  };
}

/** Version 0.1.0 marked a folder when it opened it: its tables were whole if they were newer than that mark. */
async function judgeEarlierVersion(
  folder: string,
  stateDir: string,
  marks: { saved: string; unclean: string },
): Promise<void> {
  const opened = path.join(folder, "opened");
  if (!existsSync(opened)) return;
  const isWhole = await isNewer(path.join(stateDir, "dynamodb.json"), opened);
  await mark(isWhole ? marks.saved : marks.unclean);
  await rm(opened);
}

/**
 * The emulator writes an object's data, then its metadata in a file beside it. Where a cut-off left data of another
 * length, this removes the metadata: the emulator then takes them from the data. With the old length, a job would read
 * a part of the file, or fail each time.
 */
async function forgetHalfWritten(objectsDir: string): Promise<void> {
  const entries = await readdir(objectsDir, { recursive: true, withFileTypes: true }).catch(() => []);
  const metadata = entries.filter((entry) => entry.isFile() && entry.name.endsWith(metadataSuffix));
  await pMap(
    metadata,
    async ({ parentPath, name }) => {
      const file = path.join(parentPath, name);
      const data = await stat(file.slice(0, -metadataSuffix.length)).catch(() => undefined);
      if (data && !(await fits(file, data.size))) await rm(file);
    },
    { concurrency: 16 },
  );
}

const metadataSuffix = ".meta.json";

/** Whether metadata are whole and have this length. Those of a deletion have none. */
async function fits(file: string, bytes: number): Promise<boolean> {
  try {
    const { size } = JSON.parse(await readFile(file, "utf8"));
    return size === undefined || size === bytes;
  } catch {
    return false;
  }
}

const mark = (file: string) => writeFile(file, "");

async function isNewer(file: string, than: string): Promise<boolean> {
  const [one, other] = await Promise.all([stat(file).catch(() => undefined), stat(than)]);
  return one !== undefined && one.mtimeMs > other.mtimeMs;
}

/**
 * After an unclean shutdown: removes the pipeline's output, and moves every file that was ever dropped back into
 * incoming/, below `again/<batch>/`, so that files of the same name stay apart. Returns their number. It is safe to
 * repeat, also after an interruption. Call it before anything can claim files.
 */
export async function putBack(cloud: { endpoint: string; region: string; credentials: Credentials }): Promise<number> {
  const s3 = new S3Client({ ...cloud, forcePathStyle: true });
  const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
  let files = 0;
  for (const { Name = "" } of Buckets) files += await putBackIn(s3, Name);
  s3.destroy();
  return files;
}

async function putBackIn(s3: S3Client, bucket: string): Promise<number> {
  const made = [layout.listens, layout.manifest, layout.quarantinedRows, layout.staged].map(folderOf);
  for (const prefix of made) await remove(s3, bucket, prefix);
  let files = 0;
  for (const name of ["archived", "quarantinedFile", "failed"] as const) {
    const folder = folderOf(layout[name]);
    const keys = await keysBelow(s3, bucket, folder);
    await pMap(
      keys,
      async (key) => {
        // After the folder come the day, the batch, and the file's name.
        const [, , ...below] = ["", ...key.slice(folder.length).split("/")];
        const CopySource = `${bucket}/${key.split("/").map(encodeURIComponent).join("/")}`;
        const Key = `${layout.incoming}again/${below.join("/")}`;
        await s3.send(new CopyObjectCommand({ Bucket: bucket, Key, CopySource }));
      },
      { concurrency: 16 },
    );
    await remove(s3, bucket, folder);
    files += keys.length;
  }
  return files;
}

/** The folder of a pattern of the layout: `quarantine/rows/` of `quarantine/rows/batch_id={batchId}/`. */
function folderOf(pattern: string): string {
  const prefix = pattern.split("{")[0]!;
  return prefix.slice(0, prefix.lastIndexOf("/") + 1);
}

async function keysBelow(s3: S3Client, bucket: string, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  // XML can't carry every character that a key may hold, and changes a carriage return: so keys come percent-encoded.
  const list = { Bucket: bucket, Prefix: prefix, EncodingType: "url" as const };
  for await (const page of paginateListObjectsV2({ client: s3 }, list))
    for (const { Key } of page.Contents ?? [])
      if (Key !== undefined) keys.push(decodeURIComponent(Key.replaceAll("+", "%20")));
  return keys;
}

async function remove(s3: S3Client, bucket: string, prefix: string): Promise<void> {
  const keys = await keysBelow(s3, bucket, prefix);
  // DeleteObjects would name the keys in XML.
  await pMap(keys, (Key) => s3.send(new DeleteObjectCommand({ Bucket: bucket, Key })), { concurrency: 16 });
}
