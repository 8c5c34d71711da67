import { type Batch, iso, type Manifest, type ManifestFile, type Moves } from "./batch";
import { head } from "./lake";
import { advance, type Changes, letGo, release, releaseHeld } from "./ledger";
import { MOVE_ERRORS, type Moved, move } from "./move";
import { inParallel } from "./parallel";
import { describe, isError, type World } from "./world";

export const MOVES_AT_ONCE = 16;

/** A file is held when its moves have failed so often and for so long: at most four ticks of the default schedule. */
const TRIES_BEFORE_HOLD = 3;
const HOLD_AFTER_MS = 10 * 60_000;
/** The same while S3 moves no file of the batch, and says of none that it may not: S3 itself may fail for so long. */
const HOLD_IN_OUTAGE_MS = 2 * 3600_000;

/** Errors with a status of 4xx that say nothing about the object (Amazon S3 API reference: Error responses). */
const PASSING = [
  ...["RequestTimeout", "RequestTimeTooSkewed", "ExpiredToken", "InvalidToken", "OperationAborted", "TooManyRequests"],
  ...["ThrottlingException", "KMS.ThrottlingException", "Throttling", "SlowDown", 408, 409, 429],
];

/** What became of a batch's files: the outcomes in their order, and the errors of those that S3 did not move. */
export interface Moving {
  files: ManifestFile[];
  outcomes: (Moved | undefined)[];
  failed: { file: ManifestFile; target: string; error: unknown }[];
}

/**
 * Moves every file to the target that `plan` gives, whatever happens to the others; `plan` may also give the outcome of
 * a file that stays. Undefined when the time ran out before the last one.
 */
export async function moveFiles(
  world: World,
  { batchId, files }: Manifest,
  timeIsUp: () => boolean,
  plan: (file: ManifestFile) => { target: string } | Moved | undefined,
): Promise<Moving | undefined> {
  let cut = false;
  const failed: Moving["failed"] = [];
  const outcomes = await inParallel(files, MOVES_AT_ONCE, async (file) => {
    if (cut || timeIsUp()) {
      cut = true;
      return undefined;
    }
    const planned = plan(file);
    const target = typeof planned === "object" ? planned.target : undefined;
    try {
      const outcome = target === undefined ? (planned as Moved | undefined) : await move(world, file, target);
      if (outcome === "left" || outcome === "missing")
        world.log({ level: "WARN", event: "fileNotMoved", batch_id: batchId, key: file.key, outcome });
      return outcome;
    } catch (error) {
      failed.push({ file, target: target!, error });
      return undefined;
    }
  });
  return cut ? undefined : { files, outcomes, failed };
}

/** The end of a move removes these attributes from the batch. */
const ended = { stuck: undefined, lease: undefined };

/**
 * Ends a batch whose files were moved, with the changes that `end` gives for the counts. Holds the files that S3 does
 * not move, so that they can't block all others; throws their error while it may still pass. True if this call ended
 * the batch.
 */
export async function settleMoves(
  world: World,
  batch: Batch,
  moving: Moving,
  moves: Moves,
  end: (moves: Moves) => Changes,
): Promise<boolean> {
  // An earlier call may have held files that have moved by now.
  if (batch.holding) {
    await letGo(world, batch, { holding: undefined }, moving.files);
    return false;
  }
  const [first] = moving.failed;
  if (!first) return release(world, batch, { ...end(moves), ...ended, notMoved: undefined });
  const notMoved = describe(first.error);
  const tried = { since: batch.stuck?.since ?? iso(world.clock.now()), tries: (batch.stuck?.tries ?? 0) + 1 };
  if (!mayHold(batch, moving, tried, world.clock.now()) || (await isHalfMoved(world, moving))) {
    await advance(world, batch, { stuck: tried, notMoved, lease: undefined });
    throw first.error;
  }
  const files = moving.failed.map(({ file }) => file);
  const isDone = await releaseHeld(
    world,
    batch,
    { ...end({ ...moves, held: files.length }), ...ended, notMoved },
    files,
  );
  if (isDone)
    world.log({
      level: "ERROR",
      event: "filesHeld",
      batch_id: batch.batchId,
      files: files.length,
      first: files[0]?.key,
      error: notMoved,
    });
  return isDone;
}

/** Whether S3 made a copy and said that it failed: then the next try ends the move, and holding would leave two. */
async function isHalfMoved(world: World, { failed }: Moving): Promise<boolean> {
  const unsure = failed.filter(({ error }) => !isError(error, MOVE_ERRORS.notDeleted, MOVE_ERRORS.targetTaken));
  const found = await inParallel(unsure, MOVES_AT_ONCE, ({ target }) => head(world, target).catch(() => "unknown"));
  return found.some((there) => there !== undefined);
}

/**
 * Whether files whose moves failed are held now. Any error that stays ends so, whatever it says. A refusal of a FAILED
 * batch's file is final at once, because the file has failed often enough.
 */
export function mayHold(
  batch: Pick<Batch, "state" | "abandonedAt">,
  { outcomes, failed }: Moving,
  { since, tries }: { since: string; tries: number },
  nowMs: number,
): boolean {
  // A file that was copied already is not held in a hurry: it would be in two places.
  const isCopied = failed.some(({ error }) => isError(error, MOVE_ERRORS.notDeleted));
  const refused = failed.every(({ error }) => isRefusal(error));
  // A copy without an answer may still arrive: a held file would then be in two places.
  if (batch.abandonedAt !== undefined && !isCopied && (refused || tries > 1)) return true;
  if (batch.state === "FAILED" && refused) return true;
  const othersMoved = outcomes.some((outcome) => outcome !== undefined);
  const longestMs = refused || othersMoved ? HOLD_AFTER_MS : HOLD_IN_OUTAGE_MS;
  // By the absolute value, because the clock that wrote the time may have been ahead.
  return tries >= TRIES_BEFORE_HOLD && Math.abs(nowMs - Date.parse(since)) >= longestMs;
}

/** Whether S3 refuses the object itself: by its key, its class, its headers or its policy. */
function isRefusal(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } })?.$metadata?.httpStatusCode ?? 0;
  return status >= 400 && status < 500 && !isError(error, ...PASSING);
}
