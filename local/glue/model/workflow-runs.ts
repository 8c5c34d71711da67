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

  constructor(
    private readonly file: string | undefined,
    private readonly log: (line: string) => void,
  ) {
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

  /** A run that can't be kept goes on all the same. */
  write(entry: RunEntry): void {
    if (this.file === undefined) return;
    try {
      appendFileSync(this.file, line(entry));
    } catch (error) {
      this.log(`workflow run ${entry.run.WorkflowRunId} is not kept: ${(error as Error).message}`);
    }
  }
}

const line = ({ run, triggers, attempts }: RunEntry) => `${JSON.stringify({ run, triggers, attempts })}\n`;

/** A run from its line; nothing for a line that was cut off. */
function parse(text: string): RunEntry[] {
  try {
    const { run, triggers, attempts } = JSON.parse(text);
    for (const one of [run, ...attempts]) revive(one);
    return [{ run, triggers, attempts, scope: new Set(jobNames(triggers)), fired: new Set(), outcomes: new Map() }];
  } catch {
    return [];
  }
}

/** JSON has no dates. Arguments and properties below may have any names, so only a run's own members are times. */
function revive(run: Record<string, unknown>): void {
  for (const name of ["StartedOn", "CompletedOn", "LastModifiedOn"])
    if (name in run) run[name] = new Date(run[name] as string);
}

function ended(entry: RunEntry): RunEntry {
  const now = new Date();
  const stopped: JobRun = { JobRunState: "STOPPED", CompletedOn: now, ErrorMessage: CLOSED };
  for (const run of entry.attempts) if (!isEnded(run)) Object.assign(run, stopped);
  const isOver = entry.run.CompletedOn !== undefined;
  if (!isOver) Object.assign(entry.run, { Status: "STOPPED", CompletedOn: now } satisfies WorkflowRun);
  return entry;
}
