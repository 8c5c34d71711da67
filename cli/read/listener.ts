import { GetObjectCommand } from "@aws-sdk/client-s3";
import { parquetRead } from "hyparquet";
import pMap from "p-map";
import layout from "../../layout.json";
import type { Found, Holding } from "../../runtime/forget";
import { listPages, type Found as StoredObject } from "../../runtime/lake";
import { folderOf } from "../../runtime/places";
import { isError } from "../../runtime/world";
import { counted } from "../../terminal/format";
import { linesOf, tokensOf } from "../audit/lines";
import { storeOf, type Target } from "../target";
import { CURATED_FILE, parquetObject } from "./parquet-object";

const filesAtOnce = 8;
const noteEvery = 1000;

/** What every batch's output has of a listener: reads one column of each curated file, and all quarantined rows. */
export async function findListener(
  target: Target,
  userId: string,
  note: (line: string) => void = () => {},
): Promise<Found> {
  const holdings = new Map<string, Holding>();
  const changed = new Set<string>();
  let read = 0;

  async function search(folder: string, file: RegExp, rowsIn: (object: StoredObject) => Promise<number>) {
    for await (const { found } of listPages(storeOf(target), folder))
      await pMap(
        found,
        async (object) => {
          const { batchId, date } = file.exec(object.key.slice(folder.length))?.groups ?? {};
          if (batchId === undefined) return;
          const rows = await unlessChanged(() => rowsIn(object));
          if (++read % noteEvery === 0) note(`${counted(read, "file")} searched`);
          if (rows === undefined) changed.add(batchId);
          if (!rows) return;
          const holding = holdings.get(batchId) ?? { batchId, days: [], rows: 0, quarantinedRows: 0 };
          if (date === undefined) holding.quarantinedRows += rows;
          else {
            holding.rows += rows;
            holding.days = [...new Set([...holding.days, date])].sort();
          }
          holdings.set(batchId, holding);
        },
        { concurrency: filesAtOnce },
      );
  }

  await search(layout.listens, CURATED_FILE, (object) => curatedRows(target, object, userId));
  const rows = /^batch_id=(?<batchId>[^/]+)\/(?![_.])[^/]+\.json$/;
  await search(folderOf("quarantinedRows"), rows, (object) => quarantinedRows(target, object, userId));
  const inOrder = [...holdings.values()].sort((one, other) => (one.batchId < other.batchId ? -1 : 1));
  return { holdings: inOrder, changed: [...changed].sort() };
}

/** Undefined when a run replaced or deleted the object since it was listed. */
async function unlessChanged(work: () => Promise<number>): Promise<number | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isError(error, "NoSuchKey", "NotFound", "PreconditionFailed", 412)) return undefined;
    throw error;
  }
}

async function curatedRows(target: Target, object: StoredObject, userId: string): Promise<number> {
  let rows = 0;
  await parquetRead({
    ...parquetObject(target, object),
    columns: ["user_id"],
    onChunk: ({ columnData }) => {
      for (const value of columnData) if (value === userId) rows++;
    },
  });
  return rows;
}

async function quarantinedRows(target: Target, { key, etag }: StoredObject, userId: string): Promise<number> {
  const wanted = { Bucket: target.outputs.bucketName, Key: key, IfMatch: etag };
  const { Body } = await target.s3.send(new GetObjectCommand(wanted));
  let rows = 0;
  for await (const line of linesOf(Body as AsyncIterable<Uint8Array>))
    if (line.includes(userId) && tokensOf((JSON.parse(line) as { raw: string }).raw).includes(userId)) rows++;
  return rows;
}
