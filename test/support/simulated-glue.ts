// biome-ignore-all lint/suspicious/noExplicitAny: the SDK's commands come in every shape; the runtime sends these.

import { awsError, type Command } from "./simulated-s3";

/** The outcome of a run: what each job does, and Glue's report of it. */
interface Outcome {
  /** `early`: fails before it reads a file; `late`: after it wrote a part of its output. Absent: never starts. */
  transform?: "good" | "early" | "late";
  transformState?: string;
  /** `cut`: fails after it wrote a part of the items. Absent: never starts. */
  publish?: "good" | "cut";
  publishState?: string;
  /** Glue reports COMPLETED whether or not the jobs succeeded. */
  status?: "STOPPED" | "ERROR";
  /** The status stays RUNNING for a while. */
  trails?: true;
  /** Glue does not find the run within half a minute after its start. */
  unseen?: true;
  /** The counts of actions are not those of the jobs. */
  miscounts?: true;
  /** Glue forgets the run. */
  forgotten?: true;
  /** The report of transform does not add up. */
  lies?: true;
}

const OUTCOMES = {
  good: { transform: "good", publish: "good" },
  goodAndTrails: { transform: "good", publish: "good", trails: true },
  goodAndUnseen: { transform: "good", publish: "good", unseen: true },
  goodAndMiscounted: { transform: "good", publish: "good", miscounts: true },
  reportLies: { transform: "good", publish: "good", lies: true },
  transformFailsEarly: { transform: "early", transformState: "FAILED" },
  transformFailsLate: { transform: "late", transformState: "FAILED" },
  transformTimesOut: { transform: "late", transformState: "TIMEOUT" },
  transformStops: { transform: "late", transformState: "STOPPED" },
  transformErrors: { transform: "late", transformState: "ERROR" },
  publishFails: { transform: "good", publish: "cut", publishState: "FAILED" },
  publishTimesOut: { transform: "good", publish: "cut", publishState: "TIMEOUT" },
  publishStops: { transform: "good", publish: "cut", publishState: "STOPPED" },
  publishErrors: { transform: "good", publish: "cut", publishState: "ERROR" },
  publishAbsent: { transform: "good" },
  stopped: { transform: "late", transformState: "STOPPED", status: "STOPPED" },
  error: { status: "ERROR" },
  lost: { transform: "good", publish: "cut", publishState: "FAILED", forgotten: true },
} satisfies Record<string, Outcome>;

/** The chosen ending of a run. */
export type Ending = { kind: keyof typeof OUTCOMES };

export const ENDINGS = Object.keys(OUTCOMES) as Ending["kind"][];

/** The delay of a run's status behind its jobs. */
const TRAIL_MS = 20_000;
const UNSEEN_MS = 30_000;

export interface SimulatedRun {
  id: string;
  properties: Record<string, string>;
  startedAt: Date;
  status: "RUNNING" | "COMPLETED" | "STOPPED" | "ERROR";
  jobs: { name: string; state: string; error?: string }[];
  trailsUntil?: number;
  unseenUntil?: number;
  miscounts?: true;
  /** The list of forgotten listeners that its transform reads: as early as can be. */
  forgotten: ReadonlySet<string>;
}

/** The jobs' effects on bucket and metrics; each reports whether it succeeded. */
export interface Jobs {
  transform(run: SimulatedRun, early: boolean, late: boolean): { ok: boolean; error: string };
  publish(run: SimulatedRun, cut: boolean): void;
  lie?(run: SimulatedRun): void;
  forgotten?(): ReadonlySet<string>;
}

/** A Glue workflow in memory: one run at a time, listed newest first in small pages. Tests end its runs. */
export class SimulatedGlue {
  readonly runs: SimulatedRun[] = [];
  readonly started: SimulatedRun[] = [];

  constructor(
    private readonly now: () => number,
    private readonly jobs: Jobs,
    readonly pageSize = 2,
  ) {}

  current(): SimulatedRun | undefined {
    return this.runs.find(({ status }) => status === "RUNNING");
  }

  /** Ends the current run; false when there is none. */
  finish({ kind }: Ending): boolean {
    const run = this.current();
    if (!run) return false;
    const outcome: Outcome = OUTCOMES[kind];
    run.status = outcome.status ?? "COMPLETED";
    run.jobs = outcome.transform ? this.work(run, outcome) : [];
    if (outcome.trails) run.trailsUntil = this.now() + TRAIL_MS;
    if (outcome.unseen) run.unseenUntil = run.startedAt.getTime() + UNSEEN_MS;
    if (outcome.miscounts) run.miscounts = true;
    if (outcome.forgotten) this.runs.splice(this.runs.indexOf(run), 1);
    return true;
  }

  private work(run: SimulatedRun, outcome: Outcome): SimulatedRun["jobs"] {
    const { ok, error } = this.jobs.transform(run, outcome.transform === "early", outcome.transform === "late");
    if (!ok) return [{ name: "transform", state: outcome.transformState ?? "FAILED", error }];
    const done = [{ name: "transform", state: "SUCCEEDED" }];
    if (outcome.lies) this.jobs.lie?.(run);
    if (!outcome.publish) return done;
    const cut = outcome.publish === "cut";
    this.jobs.publish(run, cut);
    return [
      ...done,
      cut
        ? { name: "publish", state: outcome.publishState!, error: "publish fell" }
        : { name: "publish", state: "SUCCEEDED" },
    ];
  }

  async send(command: Command): Promise<unknown> {
    const input: Record<string, any> = command.input;
    switch (command.constructor.name) {
      case "StartWorkflowRunCommand": {
        if (this.current()) throw awsError("ConcurrentRunsExceededException");
        const run: SimulatedRun = {
          id: `wr_${this.started.length + 1}`,
          properties: { ...input.RunProperties },
          startedAt: new Date(this.now()),
          status: "RUNNING",
          jobs: [{ name: "transform", state: "RUNNING" }],
          forgotten: this.jobs.forgotten?.() ?? new Set(),
        };
        this.runs.unshift(run);
        this.started.push(run);
        return { RunId: run.id };
      }
      case "GetWorkflowRunCommand": {
        const run = this.runs.find(({ id }) => id === input.RunId);
        if (!run || this.now() < (run.unseenUntil ?? 0)) throw awsError("EntityNotFoundException");
        return { Run: described(run, input.IncludeGraph, this.now()) };
      }
      case "GetWorkflowRunsCommand": {
        const from = Number(input.NextToken ?? 0);
        const page = this.runs.slice(from, from + this.pageSize);
        const more = from + page.length < this.runs.length;
        return {
          Runs: page.map((run) => described(run, false, this.now())),
          ...(more ? { NextToken: String(from + page.length) } : {}),
        };
      }
      case "StopWorkflowRunCommand": {
        const run = this.runs.find(({ id }) => id === input.RunId);
        if (run?.status !== "RUNNING") throw awsError("IllegalWorkflowStateException");
        this.finish({ kind: "stopped" });
        return {};
      }
      default:
        throw new Error(`the simulated Glue does not know ${command.constructor.name}`);
    }
  }
}

/** As Glue reports it: DPU seconds of a job that scales, the capacity of one that does not. */
const USED: Record<string, object> = {
  transform: { Id: "jr_1", ExecutionTime: 70, DPUSeconds: 110.5, MaxCapacity: 2 },
  publish: { Id: "jr_2", ExecutionTime: 20, MaxCapacity: 1 },
};

function described(run: SimulatedRun, graph: boolean, nowMs: number) {
  const count = (...states: string[]) => run.jobs.filter(({ state }) => states.includes(state)).length;
  const nodes = run.jobs.map(({ name, state, error }) => ({
    Type: "JOB",
    Name: name,
    JobDetails: { JobRuns: [{ Attempt: 0, JobRunState: state, ErrorMessage: error, ...USED[name] }] },
  }));
  return {
    WorkflowRunId: run.id,
    WorkflowRunProperties: run.properties,
    StartedOn: run.startedAt,
    Status: nowMs < (run.trailsUntil ?? 0) ? "RUNNING" : run.status,
    Statistics: {
      TotalActions: run.jobs.length + (run.miscounts ? 9 : 0),
      SucceededActions: count("SUCCEEDED"),
      FailedActions: count("FAILED") + (run.miscounts ? 6 : 0),
      TimeoutActions: count("TIMEOUT"),
      StoppedActions: count("STOPPED"),
      ErroredActions: count("ERROR"),
      RunningActions: count("RUNNING"),
      WaitingActions: 0,
    },
    ...(graph ? { Graph: { Nodes: [{ Type: "TRIGGER", Name: "start" }, ...nodes] } } : {}),
  };
}
