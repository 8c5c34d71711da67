import type { Batch, Limits, PublishReport, ReportTotals } from "./batch";
import type { RunFacts } from "./facts";

export type Action =
  | { do: "start" }
  | { do: "prepare" }
  | { do: "wait"; untilMs?: number }
  | { do: "look" }
  | { do: "accept"; report: ReportTotals; publishReport: PublishReport }
  | {
      do: "retry";
      job: string;
      error: string;
      transformed: boolean;
      failures: number;
      dataFailures: number;
      nextMs: number;
    }
  | { do: "giveUp"; state: "SPLIT" | "FAILED"; job: string; error: string; failures: number; dataFailures: number }
  /** Ends the run of a batch that a person abandoned. */
  | { do: "stop" }
  | { do: "abandon" }
  | { do: "archive" }
  | { do: "divide" }
  | { do: "isolate" }
  | { do: "putBack" }
  | { do: "release" };

/** The next action for the batch in flight. Every state and every fact has an answer. */
export function decide(batch: Batch, facts: RunFacts | undefined, limits: Limits, nowMs: number): Action {
  // A ledger that was restored to an earlier moment may name a settled batch as the one in flight.
  if (batch.settledAt !== undefined) return { do: "release" };
  const ending = batch.abandonedAt === undefined ? undefined : abandoned(batch, facts);
  if (ending) return ending;
  switch (batch.state) {
    case "CLAIMED":
      return { do: "start" };
    case "REPLAY":
      return { do: batch.prepared ? "start" : "prepare" };
    case "RETRY": {
      const nextMs = Date.parse(batch.nextAttemptAt ?? "");
      // The pause's length bounds the wait: a time written by a clock that was ahead must not delay the batch for
      // hours.
      const longestMs = 1000 * pauseSeconds(batch.failures ?? 1, limits);
      if (nextMs > nowMs && nextMs <= nowMs + longestMs) return { do: "wait", untilMs: nextMs };
      // The archive may have changed since the last attempt.
      return { do: batch.replay && !batch.prepared ? "prepare" : "start" };
    }
    case "RUNNING":
      return facts ? afterRun(batch, facts, limits, nowMs) : { do: "look" };
    case "PROCESSED":
      return { do: "archive" };
    case "SPLIT":
      return { do: "divide" };
    case "FAILED":
      return { do: batch.puttingBack ? "putBack" : "isolate" };
    case "ARCHIVED":
      return { do: "release" };
  }
}

/** What ends a batch that a person abandoned; undefined where its next action is what it would be anyway. */
function abandoned(batch: Batch, facts: RunFacts | undefined): Action | undefined {
  switch (batch.state) {
    case "CLAIMED":
    case "REPLAY":
    case "RETRY":
      return canAbandon(batch) ? { do: "abandon" } : undefined;
    case "RUNNING":
      if (facts?.outcome === "running") return { do: "stop" };
      return facts?.outcome === "failed" && !facts.transformed && canAbandon(batch) ? { do: "abandon" } : undefined;
    default:
      return undefined;
  }
}

/**
 * Whether a batch may end without a successful run. The metrics may hold the rows of one that was transformed: only a
 * successful run adds the rest. A replay's rows were published before it.
 */
export function canAbandon({ transformed, replay }: Batch): boolean {
  return replay === true || transformed !== true;
}

/** Whether a tick would start the batch: it has no run yet, or its pause after a failure is over. */
export function isDue(batch: { state: string; nextAttemptAt?: string | null }, nowMs: number): boolean {
  if (batch.state === "CLAIMED") return true;
  return batch.state === "RETRY" && !(Date.parse(batch.nextAttemptAt ?? "") > nowMs);
}

/** The pause before the next attempt, in seconds, after `failures` in a row. */
export function pauseSeconds(failures: number, limits: Limits): number {
  return Math.min(limits.retryPauseSeconds * 2 ** Math.max(0, failures - 1), limits.maxRetryPauseSeconds);
}

function afterRun(batch: Batch, facts: RunFacts, limits: Limits, nowMs: number): Action {
  if (facts.outcome === "running") return { do: "wait" };
  if (facts.outcome === "succeeded") return { do: "accept", report: facts.report, publishReport: facts.publishReport };

  const { job, error } = facts;
  const failures = (batch.failures ?? 0) + 1;
  const dataFailures = (batch.dataFailures ?? 0) + (facts.filesFault ? 1 : 0);
  // Files that transform once read to the end, in this batch or before a replay, are not the cause. Their rows may be
  // in the metrics, and only a successful run removes them from there. So such a batch gets attempts until one
  // succeeds.
  const transformed = facts.transformed || batch.transformed === true;
  const readable = transformed || batch.replay === true;
  // A half of a batch that was split holds the bad file with a chance of one half, so its first failure splits it: ten
  // failures find one bad file among a thousand, not thirty. A single file gets all its attempts.
  const attempts = batch.parent !== undefined && batch.files > 1 ? 1 : limits.maxAttempts;
  if (facts.filesFault && !readable && dataFailures >= attempts)
    return { do: "giveUp", state: batch.files > 1 ? "SPLIT" : "FAILED", job, error, failures, dataFailures };
  const nextMs = nowMs + 1000 * pauseSeconds(failures, limits);
  return { do: "retry", job, error, transformed, failures, dataFailures, nextMs };
}
