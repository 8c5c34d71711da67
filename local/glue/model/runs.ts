import { randomBytes } from "node:crypto";
import type { Job, JobRun, JobRunState, NotificationProperty, Predecessor } from "@aws-sdk/client-glue";
import { GlueError, invalidInput, notFound, tooManyRuns } from "../errors";
import { resolvedArguments } from "../run/arguments";
import { type Launcher, logGroup } from "../run/launch";
import { type Capacity, capacity, given, type JobStore } from "./jobs";

/** Settings of a run, from a caller or a trigger. */
export interface RunRequest extends Capacity {
  JobName: string;
  JobRunId?: string | undefined;
  JobRunQueuingEnabled?: boolean | undefined;
  Arguments?: Record<string, string> | undefined;
  Timeout?: number | undefined;
  SecurityConfiguration?: string | undefined;
  NotificationProperty?: NotificationProperty | undefined;
  ExecutionClass?: string | undefined;
}

/** What started a run. Empty for a caller of StartJobRun. */
export interface Origin {
  readonly trigger?: string;
  readonly workflow?: { readonly name: string; readonly runId: string };
  readonly predecessors?: readonly Predecessor[];
}

/** A change of a run's state. `retried`: it failed, and another attempt follows. */
export interface RunChange {
  readonly run: JobRun;
  readonly origin: Origin;
  readonly retried: boolean;
}

interface Live {
  readonly job: Job;
  readonly run: JobRun;
  readonly origin: Origin;
  readonly abort: AbortController;
  startedMs?: number;
  done?: Promise<void>;
}

type Cause = "stop" | "timeout" | "close";

const ENDS: readonly JobRunState[] = ["SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"];
/** The message of a run that ended with the local Glue. */
export const CLOSED = "The local Glue ended during the run.";
export const isEnded = (run: JobRun) => ENDS.includes(run.JobRunState!);

/** The longest time that setTimeout takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Starts, watches and ends the runs of jobs. */
export class JobRuns {
  private readonly live = new Map<string, Live>();
  private readonly listeners: ((change: RunChange) => void)[] = [];
  private closed = false;

  constructor(
    private readonly jobs: JobStore,
    private readonly launcher: Launcher,
    private readonly minuteMs: number,
    private readonly log: (line: string) => void,
  ) {}

  onChange(listener: (change: RunChange) => void): void {
    this.listeners.push(listener);
  }

  /** @throws GlueError when the job is missing, can't run here, or has reached its concurrency limit */
  start(request: RunRequest, origin: Origin = {}): JobRun {
    const entry = this.jobs.find(request.JobName);
    if (!entry) throw notFound("Failed to start job run due to missing metadata");
    const { job } = entry;
    const command = job.Command?.Name;
    if (command !== "glueetl" && command !== "pythonshell")
      throw invalidInput(`The local Glue runs glueetl and pythonshell jobs, not ${command}`);
    if (this.closed) throw new GlueError("InternalServiceException", "The local Glue is closing.");
    const previous = request.JobRunId === undefined ? undefined : this.jobs.run(request.JobName, request.JobRunId);
    if (previous && !isEnded(previous)) throw invalidInput(`Job Run ${previous.Id} has not ended.`);
    const run = this.newRun(job, request, origin, previous);
    if (this.isFull(job)) {
      if (!run.JobRunQueuingEnabled) throw tooManyRuns(`Concurrent runs exceeded for ${job.Name}`);
      run.JobRunState = "WAITING";
      run.StateDetail = `Concurrent runs exceeded for ${job.Name}`;
    }
    this.admit({ job, run, origin, abort: new AbortController() });
    return run;
  }

  /** Adds a run that could not be started to the history, in state ERROR. */
  refused(request: RunRequest, origin: Origin, why: string): JobRun {
    const entry = this.jobs.find(request.JobName);
    const now = new Date();
    const blank: JobRun = { Id: newRunId(), Attempt: 0, JobName: request.JobName, StartedOn: now };
    const ids = given({ TriggerName: origin.trigger, Arguments: request.Arguments });
    const run: JobRun = {
      ...blank,
      ...ids,
      JobRunState: "ERROR",
      CompletedOn: now,
      LastModifiedOn: now,
      ErrorMessage: why,
    };
    entry?.runs.unshift(run);
    this.notify({ run, origin, retried: false });
    return run;
  }

  /** Stops a run. @returns false when it has ended or does not exist */
  stop(runId: string): boolean {
    const live = this.live.get(runId);
    if (!live) return false;
    if (live.run.JobRunState === "WAITING") {
      this.end(live, "STOPPED");
    } else if (live.run.JobRunState !== "STOPPING") {
      this.change(live, "STOPPING");
      live.abort.abort("stop" satisfies Cause);
    }
    return true;
  }

  /** A run as the API shows it now. */
  view(run: JobRun, predecessors = false): JobRun {
    const live = this.live.get(run.Id!);
    const { PredecessorRuns: before, ...shown } = run;
    if (live?.startedMs !== undefined) shown.ExecutionTime = Math.floor((Date.now() - live.startedMs) / 1000);
    return predecessors && before ? { ...shown, PredecessorRuns: before } : shown;
  }

  /** Ends every run, by force if needed. When this resolves, no process of a job is left. */
  async close(): Promise<void> {
    this.closed = true;
    for (const live of [...this.live.values()]) {
      if (live.run.JobRunState === "WAITING") this.end(live, "STOPPED");
      else live.abort.abort("close" satisfies Cause);
    }
    await Promise.all([...this.live.values()].map((live) => live.done));
  }

  private newRun(job: Job, request: RunRequest, origin: Origin, previous?: JobRun): JobRun {
    const asksCapacity = [request.AllocatedCapacity, request.MaxCapacity, request.WorkerType, request.NumberOfWorkers];
    const machines = asksCapacity.some((each) => each !== undefined)
      ? capacity(job.Command!.Name!, sized(job, request))
      : sized(job, {});
    const now = new Date();
    const args = resolvedArguments(job, request.Arguments);
    return given({
      Id: newRunId(),
      Attempt: 0,
      PreviousRunId: previous?.Id,
      TriggerName: origin.trigger,
      JobName: job.Name,
      JobMode: job.JobMode,
      JobRunQueuingEnabled: request.JobRunQueuingEnabled ?? job.JobRunQueuingEnabled,
      StartedOn: now,
      LastModifiedOn: now,
      JobRunState: "STARTING",
      Arguments: request.Arguments,
      PredecessorRuns: origin.predecessors?.length ? [...origin.predecessors] : undefined,
      ExecutionTime: 0,
      Timeout: request.Timeout ?? job.Timeout,
      SecurityConfiguration: request.SecurityConfiguration ?? job.SecurityConfiguration,
      NotificationProperty: request.NotificationProperty ?? job.NotificationProperty,
      LogGroupName: logGroup(job, args),
      GlueVersion: job.GlueVersion,
      ExecutionClass: request.ExecutionClass ?? job.ExecutionClass ?? (isShell(job) ? undefined : "STANDARD"),
      MaintenanceWindow: job.MaintenanceWindow,
      ...machines,
    }) as JobRun;
  }

  private isFull(job: Job): boolean {
    const atOnce = this.jobs.find(job.Name)?.job.ExecutionProperty?.MaxConcurrentRuns ?? 1;
    const running = [...this.live.values()].filter(
      (each) => each.job.Name === job.Name && each.run.JobRunState !== "WAITING",
    );
    return running.length >= atOnce;
  }

  private admit(live: Live): void {
    this.live.set(live.run.Id!, live);
    this.jobs.find(live.job.Name)?.runs.unshift(live.run);
    this.notify({ run: live.run, origin: live.origin, retried: false });
    if (live.run.JobRunState !== "WAITING") live.done = this.perform(live);
  }

  private async perform(live: Live): Promise<void> {
    const { job, run, origin, abort } = live;
    const timeout = run.Timeout ?? 2880;
    let timer: NodeJS.Timeout | undefined;
    const onStarted = () => {
      if (abort.signal.aborted) return;
      live.startedMs = Date.now();
      const limitMs = Math.min(timeout * this.minuteMs, LONGEST_TIMER_MS);
      timer = setTimeout(() => abort.abort("timeout" satisfies Cause), limitMs);
      this.change(live, "RUNNING");
    };
    const facts = given({ runId: run.Id!, workflow: origin.workflow }) as { runId: string };
    const failure = await this.launcher
      .run({ job, arguments: run.Arguments ?? {}, facts, timeoutMinutes: timeout }, abort.signal, onStarted)
      .catch((error: Error) => error.message);
    clearTimeout(timer);
    const cause = abort.signal.aborted ? (abort.signal.reason as Cause) : undefined;
    if (cause === "timeout") this.end(live, "TIMEOUT", `Job run timed out after ${run.Timeout} minutes`);
    else if (cause) this.end(live, "STOPPED", cause === "close" ? CLOSED : undefined);
    else if (failure === undefined) this.end(live, "SUCCEEDED");
    else this.end(live, "FAILED", failure);
  }

  private end(live: Live, state: JobRunState, message?: string): void {
    const { run, job } = live;
    if (live.startedMs !== undefined) run.ExecutionTime = Math.floor((Date.now() - live.startedMs) / 1000);
    if (run.ExecutionTime && reportsUse(job, run)) run.DPUSeconds = run.ExecutionTime * run.MaxCapacity!;
    run.CompletedOn = new Date();
    if (message !== undefined) run.ErrorMessage = message;
    delete run.StateDetail;
    this.live.delete(run.Id!);
    // Glue retries failures only, not timeouts and stops ("Job properties", retries).
    const retried = state === "FAILED" && run.Attempt! < (job.MaxRetries ?? 0) && !this.closed;
    this.change(live, state, retried);
    if (retried) this.retry(live);
    if (!this.closed) this.admitWaiting(job);
  }

  /** Starts the next attempt. It takes the failed attempt's place, so it can't exceed the concurrency limit. */
  private retry({ job, run, origin }: Live): void {
    const attempt = run.Attempt! + 1;
    const first = run.Id!.replace(/_attempt_\d+$/, "");
    const { CompletedOn: _, ErrorMessage: __, DPUSeconds: ___, ...again } = run;
    const now = new Date();
    const ids = { Id: `${first}_attempt_${attempt}`, Attempt: attempt, PreviousRunId: run.Id! };
    const next: JobRun = {
      ...again,
      ...ids,
      StartedOn: now,
      LastModifiedOn: now,
      JobRunState: "STARTING",
      ExecutionTime: 0,
    };
    this.admit({ job, run: next, origin, abort: new AbortController() });
  }

  private admitWaiting(job: Job): void {
    for (const live of [...this.live.values()]) {
      if (live.job.Name !== job.Name || live.run.JobRunState !== "WAITING") continue;
      if (this.isFull(job)) return;
      delete live.run.StateDetail;
      this.change(live, "STARTING");
      live.done = this.perform(live);
    }
  }

  private change(live: Live, state: JobRunState, retried = false): void {
    live.run.JobRunState = state;
    live.run.LastModifiedOn = new Date();
    this.notify({ run: live.run, origin: live.origin, retried });
  }

  private notify(change: RunChange): void {
    const { run } = change;
    const why = run.ErrorMessage ? `: ${run.ErrorMessage.split("\n")[0]}` : "";
    this.log(`job ${run.JobName} ${run.Id} ${run.JobRunState}${why}`);
    for (const listener of this.listeners) {
      try {
        listener(change);
      } catch (error) {
        this.log(`a listener of job runs failed: ${(error as Error).stack}`);
      }
    }
  }
}

/**
 * Whether Glue reports the DPU seconds of a run: with auto scaling, or with the class FLEX (API: JobRun). Here all
 * workers count from start to end.
 */
function reportsUse(job: Job, run: JobRun): boolean {
  const scales = resolvedArguments(job, run.Arguments)["--enable-auto-scaling"] === "true";
  return job.Command?.Name === "glueetl" && (scales || run.ExecutionClass === "FLEX");
}

/** The job's capacity, overridden by the run's. A run with MaxCapacity drops the job's workers, and the reverse. */
function sized(job: Job, asked: Capacity): Capacity {
  const { WorkerType, NumberOfWorkers, MaxCapacity, AllocatedCapacity } = job;
  if (asked.MaxCapacity !== undefined || asked.AllocatedCapacity !== undefined) return asked;
  if (asked.WorkerType !== undefined || asked.NumberOfWorkers !== undefined)
    return { WorkerType: asked.WorkerType ?? WorkerType, NumberOfWorkers: asked.NumberOfWorkers ?? NumberOfWorkers };
  return { WorkerType, NumberOfWorkers, MaxCapacity, AllocatedCapacity };
}

const newRunId = () => `jr_${randomBytes(32).toString("hex")}`;

const isShell = (job: Job) => job.Command?.Name === "pythonshell";
