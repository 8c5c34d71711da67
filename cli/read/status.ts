import { readPipeline } from "../../runtime/ledger";
import { lookThrough } from "../../runtime/waiting";
import { type BatchRow, readLedger } from "../ledger";
import { storeOf, type Target } from "../target";

/** Something that a person should look at, and the command or page that helps. */
export interface Problem {
  what: string;
  todo: string;
}

/** The pipeline at one look. What isn't there is null. */
export interface Status {
  isHealthy: boolean;
  problems: Problem[];
  pausedSince: string | null;
  inFlight: BatchRow | null;
  /** Whether a replay, a half, or a file to put back waits for its turn. */
  isQueued: boolean;
  /**
   * Files in incoming/ that a claim may take, and those of the batch in flight. `isWhole` is false when the folder is
   * too large to list in time.
   */
  waiting: { files: number; bytes: number; oldest: string | null; isWhole: boolean };
  /** Files in incoming/ that no claim takes. */
  left: { cold: number; held: number; notCsv: number };
  /** The batch that was archived last: metrics are as fresh as this. */
  lastArchived: BatchRow | null;
  batches: number;
}

const listMs = 20_000;
/** A tick comes every few minutes, so a file that waits longer while nothing is in flight is no coincidence. */
const longWaitMs = 3_600_000;

/** Reads the whole ledger and lists incoming/, and says what is wrong. */
export async function readStatus(target: Target, nowMs: number): Promise<Status> {
  const store = storeOf(target);
  const [pipeline, batches] = await Promise.all([readPipeline(store), readLedger(target)]);
  const found = await lookThrough(store, { keep: 0, timeIsUp: () => Date.now() - nowMs > listMs });
  const { cold = 0, held = 0, notCsv } = found.ignored;
  const inFlight = batches.find(({ batchId }) => batchId === pipeline.inFlight) ?? null;
  const archived = batches.filter(({ state, settledAt }) => state === "ARCHIVED" && settledAt !== null);
  const status = {
    pausedSince: pipeline.pausedSince ?? null,
    inFlight,
    isQueued: pipeline.queued !== undefined,
    waiting: {
      files: found.count,
      bytes: found.bytes,
      oldest: found.oldestMs === undefined ? null : new Date(found.oldestMs).toISOString(),
      isWhole: found.listedTo === undefined,
    },
    left: { cold, held, notCsv },
    lastArchived: archived.reduce<BatchRow | null>(
      (last, batch) => (last && (last.settledAt as string) >= (batch.settledAt as string) ? last : batch),
      null,
    ),
    batches: batches.length,
  };
  const problems = problemsOf(status, batches, nowMs);
  return { isHealthy: problems.length === 0, problems, ...status };
}

function problemsOf(
  { pausedSince, inFlight, waiting, left }: Omit<Status, "isHealthy" | "problems">,
  batches: BatchRow[],
  nowMs: number,
): Problem[] {
  const problems: Problem[] = [];
  if (pausedSince !== null) problems.push({ what: `paused since ${pausedSince}`, todo: "npx music-streams resume" });
  if (inFlight?.state === "RETRY")
    problems.push({
      what: `batch ${inFlight.batchId} failed and waits for its next attempt: ${inFlight.error ?? "no error was recorded"}`,
      todo: 'docs/operations.md, "Transform keeps failing" and "Publish keeps failing"',
    });
  for (const { batchId, state, error, retriedAt, filesHeld } of batches) {
    if (retriedAt !== null) continue;
    if (state === "FAILED")
      problems.push({
        what: `batch ${batchId} FAILED: ${error ?? "no error was recorded"}`,
        todo: `npx music-streams retry ${batchId}`,
      });
    else if (filesHeld)
      problems.push({
        what: `batch ${batchId} has held files (${filesHeld}) that S3 did not move`,
        todo: `npx music-streams retry ${batchId}`,
      });
  }
  if (left.cold > 0)
    problems.push({ what: `${left.cold} in incoming/ in a storage class that must be restored`, todo: "restore them" });
  const isLate = waiting.oldest !== null && nowMs - Date.parse(waiting.oldest) > longWaitMs;
  if (isLate && inFlight === null && pausedSince === null && waiting.files > 0)
    problems.push({
      what: `files have waited since ${waiting.oldest}, and nothing is in flight`,
      todo: 'docs/operations.md, "Files wait"',
    });
  return problems;
}
