import { PutObjectCommand } from "@aws-sdk/client-s3";
import { iso } from "./batch";
import { ledgerPages } from "./ledger";
import { requestReplay } from "./operator";
import { place } from "./places";
import { RefusedError } from "./refused";
import { isError, type Store } from "./world";

/** What a batch's output still has of a listener: curated rows, their days, and quarantined rows that name the id. */
export interface Holding {
  batchId: string;
  days: string[];
  rows: number;
  quarantinedRows: number;
}

/** The result of a search. `changed`: a run replaced files of these batches during the search. */
export interface Found {
  holdings: Holding[];
  changed: string[];
}

export interface Pass extends Found {
  /** Batches in flight or queued before the search. Those in flight may have begun to read too early. */
  atWork: string[];
  /** Batches that this pass queued for a replay. */
  queued: string[];
  /** By batch, why it can't run again: its rows stay. */
  impossible: Map<string, string>;
}

/** Puts a listener on the list that every later run of transform reads first. False when the id is there already. */
export async function putOnList(world: Store, userId: string): Promise<boolean> {
  try {
    await world.clients.s3.send(
      new PutObjectCommand({
        Bucket: world.settings.bucket,
        Key: place("forgotten", { userId }),
        Body: JSON.stringify({ forgottenAt: iso(world.clock.now()) }),
        ContentType: "application/json",
        // The time of the first request stays.
        IfNoneMatch: "*",
      }),
    );
    return true;
  } catch (error) {
    if (isError(error, "PreconditionFailed", 412)) return false;
    throw error;
  }
}

/** The batch in flight and the queued ones. */
export async function batchesAtWork(world: Store): Promise<string[]> {
  const found: string[] = [];
  for await (const items of ledgerPages(world, "PIPELINE"))
    for (const { sk, batchId } of items) if (/^(IN_FLIGHT$|QUEUE#)/.test(String(sk))) found.push(String(batchId));
  return found;
}

/**
 * Searches the output for a listener on the list, and queues a replay of each batch that has some. Repeat it when the
 * batches at work are settled: a run that read the list too early may write rows after the search.
 */
export async function leaveOut(world: Store, search: () => Promise<Found>): Promise<Pass> {
  // Before the search: a batch that settles in between is searched whole.
  const atWork = await batchesAtWork(world);
  const found = await search();
  const pass: Pass = { ...found, atWork, queued: [], impossible: new Map() };
  for (const { batchId } of found.holdings) {
    if (atWork.includes(batchId)) continue;
    try {
      await requestReplay(world, batchId);
      pass.queued.push(batchId);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      pass.impossible.set(batchId, error.message);
    }
  }
  return pass;
}
