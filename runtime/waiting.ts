import type { Ignored } from "./batch";
import { readHeld } from "./held";
import { type Found, listPages, type Page } from "./lake";
import { incoming } from "./places";
import type { Store } from "./world";

/** What a listing of incoming/ found. Its size does not grow with the folder. */
export interface Waiting {
  /** The oldest files that a claim may take, oldest first: as many as were asked for. */
  files: Found[];
  /** All of these files, also those that `files` leaves out. */
  count: number;
  bytes: number;
  /** When the oldest of the files and cold files was uploaded. */
  oldestMs?: number;
  ignored: Ignored;
  /** The last key of a listing whose time was up: the next one goes on there. Absent when all keys were listed. */
  listedTo?: string;
}

export interface Listing {
  /** How many of the oldest files to keep. */
  keep: number;
  /** The key after which the last listing stopped. */
  after?: string | undefined;
  /** Whether the listing must stop; it reads one page at least. */
  timeIsUp?: () => boolean;
}

/**
 * Lists incoming/, without the files that no claim takes. Begins after the key where the last listing stopped, and then
 * takes the keys before it. S3 lists 1,000 keys at a time, so millions of keys need several calls of the Lambda.
 */
export async function lookThrough(world: Store, { keep, after, timeIsUp = () => false }: Listing): Promise<Waiting> {
  const kept: Found[] = [];
  const ignored: Ignored = { folders: 0, notCsv: 0 };
  const waiting: Waiting = { files: kept, count: 0, bytes: 0, ignored };
  let held: Map<string, string> | undefined;

  const noteAge = ({ lastModifiedMs }: Found) => {
    waiting.oldestMs = Math.min(waiting.oldestMs ?? lastModifiedMs, lastModifiedMs);
  };
  const keepOldest = () => kept.sort(byAge).splice(keep);
  const take = async (object: Found) => {
    if (object.key.endsWith("/")) ignored.folders++;
    else if (!/\.csv(\.gz)?$/i.test(object.key)) ignored.notCsv++;
    else if (object.cold) {
      ignored.cold = (ignored.cold ?? 0) + 1;
      noteAge(object);
    } else {
      held ??= await readHeld(world);
      if (held.get(object.key) === object.etag) {
        ignored.held = (ignored.held ?? 0) + 1;
        return;
      }
      noteAge(object);
      waiting.count++;
      waiting.bytes += object.size;
      kept.push(object);
      // Sorts now and then, so that each file costs little.
      if (kept.length >= 2 * keep + 1000) keepOldest();
    }
  };
  /** Takes pages in, to the key `end` at most. Gives the last key when the time was up and there are more pages. */
  const pass = async (pages: AsyncIterable<Page>, end?: string): Promise<string | undefined> => {
    for await (const page of pages) {
      for (const object of page.found) {
        if (end !== undefined && isAfter(object.key, end)) return undefined;
        await take(object);
      }
      if (!page.isLast && timeIsUp()) return page.found.at(-1)?.key;
    }
    return undefined;
  };

  let listedTo = await pass(listPages(world, incoming(), after));
  if (listedTo === undefined && after !== undefined)
    // Without time, the next listing begins with the first key.
    listedTo = timeIsUp() ? incoming() : await pass(listPages(world, incoming()), after);
  keepOldest();
  return { ...waiting, ...(listedTo === undefined ? {} : { listedTo }) };
}

/** Whether a key comes after another in a listing, which is in the order of their bytes. */
function isAfter(key: string, other: string): boolean {
  return Buffer.compare(Buffer.from(key), Buffer.from(other)) > 0;
}

function byAge(one: Found, other: Found): number {
  return one.lastModifiedMs - other.lastModifiedMs || Buffer.compare(Buffer.from(one.key), Buffer.from(other.key));
}
