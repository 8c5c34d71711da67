import type { JobRun } from "@aws-sdk/client-glue";
import type { Batch } from "../../runtime/batch";
import { folderOf } from "../../runtime/places";
import { colours } from "../../terminal/colours";
import { count, counted, printable, size } from "../../terminal/format";

export type StepState = "waiting" | "running" | "done" | "failed";

/** One of the four steps of a batch, as a line of the progress display. */
export interface Step {
  name: "sense" | "transform" | "publish" | "archive";
  state: StepState;
  /** How long it took, or has taken so far, in milliseconds. */
  elapsedMs?: number;
  detail?: string;
}

export interface StepFacts {
  batch: Batch;
  /** Job runs of the batch's current attempt. */
  transform?: JobRun;
  publish?: JobRun;
  nowMs: number;
}

const endedBadly = ["FAILED", "TIMEOUT", "STOPPED", "ERROR", "EXPIRED"];
const settledStates = ["ARCHIVED", "FAILED", "SPLIT"];

/** The batch's four steps, from its ledger item and its job runs. */
export function stepsOf(facts: StepFacts): Step[] {
  const { batch } = facts;
  const claimed = `${counted(batch.files, "file")}, ${size(batch.bytes)}`;
  const startedMs = Date.parse(batch.startedAt ?? "");
  const sense: Step = {
    name: "sense",
    state: batch.state === "CLAIMED" ? "running" : "done",
    elapsedMs: (startedMs || facts.nowMs) - Date.parse(batch.claimedAt),
    detail: `claimed ${claimed}`,
  };
  return [sense, jobStep("transform", facts), jobStep("publish", facts), archiveStep(facts)];
}

function jobStep(name: "transform" | "publish", facts: StepFacts): Step {
  const run = facts[name];
  const isPast = ["PROCESSED", ...settledStates].includes(facts.batch.state);
  const report = isPast || run?.JobRunState === "SUCCEEDED" ? reportOf(name, facts.batch) : undefined;
  // Glue is asked only about the run in flight. Afterwards the ledger has the reports.
  if (!run) return report ? { name, state: "done", detail: report } : { name, state: "waiting" };
  const state: StepState =
    run.JobRunState === "SUCCEEDED" ? "done" : endedBadly.includes(run.JobRunState ?? "") ? "failed" : "running";
  const began = run.StartedOn?.getTime() ?? facts.nowMs;
  const ended = state === "running" ? facts.nowMs : (run.CompletedOn?.getTime() ?? facts.nowMs);
  const detail = state === "failed" ? run.ErrorMessage : report;
  return { name, state, elapsedMs: ended - began, ...(detail && { detail }) };
}

function reportOf(name: "transform" | "publish", batch: Batch): string | undefined {
  if (name === "publish") {
    const report = batch.publishReport;
    return (
      report &&
      `${counted(report.itemsWritten, "item")} written, ${count(report.itemsUnchanged)} unchanged, ${count(report.itemsRemoved)} removed`
    );
  }
  const report = batch.report;
  if (!report) return undefined;
  const quarantined = Object.values(report.rowsQuarantined).reduce((sum, rows) => sum + rows, 0);
  const files = report.filesQuarantined ? `, ${counted(report.filesQuarantined, "file")} quarantined` : "";
  return `${counted(report.rowsRead, "row")}: ${count(report.rowsKept)} kept, ${count(report.rowsDuplicate)} duplicate, ${count(quarantined)} quarantined${files}`;
}

function archiveStep({ batch, nowMs }: StepFacts): Step {
  if (batch.state === "PROCESSED")
    return { name: "archive", state: "running", elapsedMs: nowMs - Date.parse(batch.updatedAt) };
  if (batch.state === "ARCHIVED") return { name: "archive", state: "done", detail: movesOf(batch) };
  if (batch.state === "FAILED" || batch.state === "SPLIT")
    return { name: "archive", state: "failed", detail: batch.error ?? batch.state };
  return { name: "archive", state: "waiting" };
}

function movesOf(batch: Batch): string {
  const { moved = 0, quarantined = 0, left = 0, missing = 0 } = batch.moves ?? {};
  const parts = [`${count(moved)} to ${folderOf("archived")}${batch.day ?? ""}`];
  if (quarantined) parts.push(`${count(quarantined)} to ${folderOf("quarantinedFile")}`);
  if (left) parts.push(`${count(left)} overwritten since the claim, for the next batch`);
  if (missing) parts.push(`${count(missing)} deleted since the claim`);
  return parts.join(", ");
}

const marks: Record<StepState, string> = {
  waiting: colours.dim("·"),
  running: colours.cyan("▸"),
  done: colours.green("✔"),
  failed: colours.red("✖"),
};

/** A batch as lines for a terminal: a title, and a line for each step. */
export function batchLines(batch: Batch, steps: Step[]): string[] {
  const attempt = batch.attempt > 1 ? `, attempt ${batch.attempt}` : "";
  const lines = [`${colours.bold(`Batch ${batch.batchId}`)}  ${batch.state}${attempt}`, ...steps.map(stepLine)];
  if (batch.state === "RETRY")
    lines.push(
      colours.yellow(`  ${printable(batch.error ?? "failed")}`),
      `  next attempt at ${batch.nextAttemptAt ?? "the next tick"}`,
    );
  return lines;
}

export function stepLine(step: Step): string {
  const elapsed = step.elapsedMs === undefined ? "" : `${(Math.max(0, step.elapsedMs) / 1000).toFixed(1)} s`;
  return `  ${marks[step.state]} ${step.name.padEnd(10)} ${step.state.padEnd(8)} ${elapsed.padStart(8)}  ${printable(step.detail ?? "")}`.trimEnd();
}

/** The steps that changed, for output that can't be redrawn. */
export function stepChanges(before: Step[] | undefined, after: Step[]): Step[] {
  return after.filter(
    (step, at) =>
      step.state !== "waiting" && (step.state !== before?.[at]?.state || step.detail !== before?.[at]?.detail),
  );
}
