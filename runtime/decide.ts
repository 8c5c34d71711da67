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
  | { do: "archive" }
  | { do: "divide" }
  | { do: "isolate" }
  | { do: "putBack" }
  | { do: "release" };

/** What is to be done next about the batch in flight. Total: every state and every fact has an answer. */
export function decide(batch: Batch, facts: RunFacts | undefined, limits: Limits, nowMs: number): Action {
  switch (batch.state) {
    case "CLAIMED":
      return { do: "start" };
    case "REPLAY":
      return { do: batch.prepared ? "start" : "prepare" };
    case "RETRY": {
      const nextMs = Date.parse(batch.nextAttemptAt ?? "");
      // The pause's own length bounds the wait: a clock that was ahead when it wrote must not hold the batch for hours.
      const longestMs = 1000 * pauseSeconds(batch.failures ?? 1, limits);
      return nextMs > nowMs && nextMs <= nowMs + longestMs ? { do: "wait", untilMs: nextMs } : { do: "start" };
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

/** Whether a tick would start the batch: it has no run yet, or its pause after a failure is over. */
export function isDue(batch: { state: string; nextAttemptAt?: string | null }, nowMs: number): boolean {
  if (batch.state === "CLAIMED") return true;
  return batch.state === "RETRY" && !(Date.parse(batch.nextAttemptAt ?? "") > nowMs);
}

/** Pause before the next attempt after `failures` in a row, in seconds. */
export function pauseSeconds(failures: number, limits: Limits): number {
  return Math.min(limits.retryPauseSeconds * 2 ** Math.max(0, failures - 1), limits.maxRetryPauseSeconds);
}

function afterRun(batch: Batch, facts: RunFacts, limits: Limits, nowMs: number): Action {
  if (facts.outcome === "running") return { do: "wait" };
  if (facts.outcome === "succeeded") return { do: "accept", report: facts.report, publishReport: facts.publishReport };

  const { job, error } = facts;
  const failures = (batch.failures ?? 0) + 1;
  const dataFailures = (batch.dataFailures ?? 0) + (facts.filesFault ? 1 : 0);
  // Files that were read to the end once, in this batch or before a replay, are not what fails; and their rows may be in
  // the metrics, from where only a run that works takes them back. Such a batch is tried until it works.
  const transformed = facts.transformed || batch.transformed === true;
  const readable = transformed || batch.replay === true;
  // A half of a batch that failed so often has a bad file with even chances: it is halved at once, and a bad file among a
  // thousand is found in ten failures, not thirty. The single file at the end has all its attempts.
  const attempts = batch.parent !== undefined && batch.files > 1 ? 1 : limits.maxAttempts;
  if (facts.filesFault && !readable && dataFailures >= attempts)
    return { do: "giveUp", state: batch.files > 1 ? "SPLIT" : "FAILED", job, error, failures, dataFailures };
  const nextMs = nowMs + 1000 * pauseSeconds(failures, limits);
  return { do: "retry", job, error, transformed, failures, dataFailures, nextMs };
}
