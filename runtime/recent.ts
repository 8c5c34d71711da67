import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { Batch } from "./batch";
import type { Pipeline } from "./ledger";
import { quarantinedPercent } from "./reports";
import type { World } from "./world";

/** For so long after a batch's end each tick reports it again: six ticks of the default schedule. */
const RECENT_MS = 30 * 60_000;
/** The newest batches are enough: one batch is in flight at a time. */
const NEWEST = 50;

/**
 * Logs once more what alarms must know of batches that ended in the last half hour. The line of the event itself can be
 * lost: a Lambda may die after its write to the ledger, or CloudWatch may drop the line.
 */
export async function repeatOutcomes(world: World, { claims, endedAt }: Pipeline): Promise<void> {
  // An idle tick asks the ledger nothing more. Without a batch there is no end, and earlier versions noted none.
  if (endedAt === undefined ? claims === 0 : !isRecent(world, endedAt)) return;
  const recent = (await newestBatches(world)).filter(({ settledAt, notReplayed, retriedAt }) => {
    if (settledAt === undefined || notReplayed !== undefined || retriedAt !== undefined) return false;
    return isRecent(world, settledAt);
  });
  const failed = recent.filter(({ state }) => state === "FAILED");
  const held = recent.filter(({ moves }) => (moves?.held ?? 0) > 0);
  const read = recent.filter(({ state, report }) => state === "ARCHIVED" && report !== undefined);
  const worst = Math.max(0, ...read.map(percentOf));
  const faults = Math.max(0, ...read.map(({ report }) => report?.referenceFaults?.length ?? 0));
  const [first] = [...failed, ...held, ...read.filter((batch) => percentOf(batch) > 0 || faults > 0)];
  if (!first) return;
  world.log({
    event: "recentOutcomes",
    batch_id: first.batchId,
    ...(failed.length > 0 ? { batches_failed: failed.length } : {}),
    ...(held.length > 0 ? { files_held: held.reduce((total, { moves }) => total + (moves?.held ?? 0), 0) } : {}),
    ...(worst > 0 ? { rows_quarantined_percent: worst } : {}),
    ...(faults > 0 ? { reference_faults: faults } : {}),
  });
}

function percentOf({ report }: Batch): number {
  return report === undefined ? 0 : quarantinedPercent(report);
}

function isRecent(world: World, moment: string): boolean {
  // By the absolute value, because the clock that wrote the time may have been ahead.
  return Math.abs(world.clock.now() - Date.parse(moment)) <= RECENT_MS;
}

async function newestBatches(world: World): Promise<Batch[]> {
  const { Items } = await world.clients.documents.send(
    new QueryCommand({
      TableName: world.settings.ledgerTable,
      KeyConditionExpression: "pk = :batch",
      ExpressionAttributeValues: { ":batch": "BATCH" },
      ScanIndexForward: false,
      Limit: NEWEST,
    }),
  );
  return (Items ?? []) as Batch[];
}
