import { type Batch, iso } from "./batch";
import { advance } from "./ledger";
import { endReplay } from "./replay";
import { correctRestored } from "./restored";
import { announcedStart } from "./start";
import type { World } from "./world";

/** The error of a batch that a person abandoned. */
const ABANDONED = "a person abandoned the batch";

/**
 * Gives up a batch that a person abandoned and that has no run at work. Its files go to failed/ like a bad file's, and
 * none of its rows count. A replay ends instead, and the batch stays archived. Calls `ended` if this call ended it.
 */
export async function abandon(world: World, batch: Batch, ended: () => void): Promise<"again" | "wait"> {
  // A run that is about to begin must be stopped first: it could write rows after they were removed.
  const start = batch.state === "RUNNING" ? undefined : await announcedStart(world, batch);
  if (start) return start;
  if (batch.replay) {
    if (await endReplay(world, batch, ABANDONED)) ended();
    return "again";
  }
  if (await correctRestored(world, batch)) return "again";
  const written = await advance(world, batch, {
    state: "FAILED",
    day: batch.day ?? iso(world.clock.now()).slice(0, 10),
    startBy: undefined,
    nextAttemptAt: undefined,
    error: ABANDONED,
    errorJob: undefined,
  });
  if (!written) return "again";
  ended();
  world.log({ level: "WARN", event: "abandoned", batch_id: batch.batchId, state: batch.state });
  return "again";
}
