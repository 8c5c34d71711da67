import { type Batch, iso } from "./batch";
import { advance } from "./ledger";
import type { World } from "./world";

/** A batch's files are moved in less time: 16 at once, some 50 ms a call. */
const LEAST_MS = 10_000;
const FILE_MS = 20;
const MOST_MS = 120_000;

/**
 * While it lasts, no other Lambda moves the batch's files. It saves the cost of moving them twice, and nothing else:
 * repeated moves end the same way. It expires by itself, so a killed Lambda delays its batch by two minutes at most.
 */
export function newLease({ holder, clock }: World, batch: Batch): NonNullable<Batch["lease"]> {
  return { holder, until: iso(clock.now() + longestMs(batch)) };
}

/** Whether another Lambda moves the batch's files. */
export function isLeased({ holder, clock }: Pick<World, "holder" | "clock">, batch: Batch): boolean {
  if (batch.lease === undefined || batch.lease.holder === holder) return false;
  const leftMs = Date.parse(batch.lease.until) - clock.now();
  // More time than a lease has comes from a clock that was ahead.
  return leftMs > 0 && leftMs <= longestMs(batch);
}

/** The batch with a lease of this Lambda; undefined when another one has changed the batch. */
export async function leased(world: World, batch: Batch): Promise<Batch | undefined> {
  if (batch.lease?.holder === world.holder) return batch;
  return advance(world, batch, { lease: newLease(world, batch) });
}

function longestMs({ files }: Batch): number {
  return Math.min(LEAST_MS + FILE_MS * files, MOST_MS);
}
