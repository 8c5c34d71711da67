import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import type { JobRun, JobRunState, Predecessor, Trigger, WorkflowRun } from "@aws-sdk/client-glue";
import { jobNames } from "./graph";
import { CLOSED, isEnded } from "./runs";

/** A run of a workflow. `triggers` are copies from its start: later changes don't affect the run. */
export interface RunEntry {
  readonly run: WorkflowRun;
  readonly triggers: readonly Trigger[];
  /** Jobs that this run can start: all, or those to resume and those that follow them. */
  readonly scope: ReadonlySet<string>;
  readonly fired: Set<string>;
  readonly attempts: JobRun[];
  readonly outcomes: Map<string, { state: JobRunState; run: Predecessor }>;
  timer?: NodeJS.Timeout;
}

/** So many runs are kept from one start to the next. */
const MOST_KEPT = 100;

/**
 * Keeps workflow runs and their job runs in a file, a line for each change of one. The next start reads it: what was at
 * work when the last one ended, in whatever way, is STOPPED. Without a file it keeps nothing.
 */
export class KeptRuns {
  private readonly earlier: RunEntry[];

  constructor(private readonly file: string | undefined) {
    const lines = file !== undefined && existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
    const newest = new Map<string, RunEntry>();
    for (const entry of lines.flatMap(parse)) newest.set(entry.run.WorkflowRunId!, entry);
    this.earlier = [...newest.values()].slice(-MOST_KEPT).map(ended);
    if (file !== undefined) writeFileSync(file, this.earlier.map(line).join(""), { mode: 0o600 });
  }

  /** The runs of a workflow in earlier starts, newest first. */
  of(name: string): RunEntry[] {
    return this.earlier.filter(({ run }) => run.Name === name).reverse();
  }

  write(entry: RunEntry): void {
    if (this.file !== undefined) appendFileSync(this.file, line(entry));
  }
}

const line = ({ run, triggers, attempts }: RunEntry) => `${JSON.stringify({ run, triggers, attempts })}\n`;

/** A run from its line; nothing for a line that was cut off. */
function parse(text: string): RunEntry[] {
  try {
    const { run, triggers, attempts } = JSON.parse(text, revive);
    return [{ run, triggers, attempts, scope: new Set(jobNames(triggers)), fired: new Set(), outcomes: new Map() }];
  } catch {
    return [];
  }
}

/** Glue's names of times end in "On", and no other member's name does. */
const revive = (key: string, value: unknown) => (/On$/.test(key) ? new Date(value as string) : value);

function ended(entry: RunEntry): RunEntry {
  const now = new Date();
  const stopped: JobRun = {
    JobRunState: "STOPPED",
    CompletedOn: now,
    ErrorMessage: CLOSED,
  };
  for (const run of entry.attempts) if (!isEnded(run)) Object.assign(run, stopped);
  const isOver = entry.run.CompletedOn !== undefined;
  if (!isOver) Object.assign(entry.run, { Status: "STOPPED", CompletedOn: now } satisfies WorkflowRun);
  return entry;
}
