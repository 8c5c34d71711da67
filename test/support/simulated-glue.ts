// biome-ignore-all lint/suspicious/noExplicitAny: the SDK's commands come in every shape; what is read of them is what the runtime sends.

import { awsError, type Command } from "./simulated-s3";

/** How a run is to end. `lost`: Glue forgets the run. */
export type Ending = {
  kind:
    | "good"
    | "transformFailsEarly"
    | "transformFailsLate"
    | "transformTimesOut"
    | "publishFails"
    | "publishAbsent"
    | "stopped"
    | "error"
    | "lost";
};

export interface SimulatedRun {
  id: string;
  properties: Record<string, string>;
  startedAt: Date;
  status: "RUNNING" | "COMPLETED" | "STOPPED" | "ERROR";
  jobs: { name: string; state: string; error?: string }[];
}

/** What the jobs do to bucket and metrics; each says whether it succeeded. */
export interface Jobs {
  transform(run: SimulatedRun, early: boolean, late: boolean): { ok: boolean; error: string };
  publish(run: SimulatedRun, cut: boolean): void;
}

/** A Glue workflow in memory: one run at a time, newest first in small pages, ends when a test says how. */
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
    const transform = (early: boolean, late: boolean) => {
      const { ok, error } = this.jobs.transform(run, early, late);
      run.jobs = [{ name: "transform", state: ok ? "SUCCEEDED" : "FAILED", ...(ok ? {} : { error }) }];
      return ok;
    };
    const publish = (cut: boolean) => {
      this.jobs.publish(run, cut);
      run.jobs.push({
        name: "publish",
        state: cut ? "FAILED" : "SUCCEEDED",
        ...(cut ? { error: "publish fell" } : {}),
      });
    };
    // Glue says COMPLETED whether or not its jobs succeeded.
    run.status = "COMPLETED";
    if (kind === "stopped") run.status = "STOPPED";
    if (kind === "error") {
      run.status = "ERROR";
      run.jobs = [];
    }
    if (kind === "stopped") run.jobs = [{ name: "transform", state: "STOPPED" }];
    if (kind === "good" && transform(false, false)) publish(false);
    if (kind === "transformFailsEarly") transform(true, false);
    if (kind === "transformFailsLate") transform(false, true);
    if (kind === "transformTimesOut") {
      transform(false, true);
      run.jobs[0]!.state = "TIMEOUT";
    }
    if (kind === "publishFails" && transform(false, false)) publish(true);
    if (kind === "publishAbsent") transform(false, false);
    if (kind === "lost") {
      if (transform(false, false)) publish(true);
      this.runs.splice(this.runs.indexOf(run), 1);
    }
    return true;
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
        };
        this.runs.unshift(run);
        this.started.push(run);
        return { RunId: run.id };
      }
      case "GetWorkflowRunCommand": {
        const run = this.runs.find(({ id }) => id === input.RunId);
        if (!run) throw awsError("EntityNotFoundException");
        return { Run: described(run, input.IncludeGraph) };
      }
      case "GetWorkflowRunsCommand": {
        const from = Number(input.NextToken ?? 0);
        const page = this.runs.slice(from, from + this.pageSize);
        const more = from + page.length < this.runs.length;
        return {
          Runs: page.map((run) => described(run, false)),
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

function described(run: SimulatedRun, graph: boolean) {
  const count = (...states: string[]) => run.jobs.filter(({ state }) => states.includes(state)).length;
  const nodes = run.jobs.map(({ name, state, error }) => ({
    Type: "JOB",
    Name: name,
    JobDetails: { JobRuns: [{ Attempt: 0, JobRunState: state, ErrorMessage: error }] },
  }));
  return {
    WorkflowRunId: run.id,
    WorkflowRunProperties: run.properties,
    StartedOn: run.startedAt,
    Status: run.status,
    Statistics: {
      TotalActions: run.jobs.length,
      SucceededActions: count("SUCCEEDED"),
      FailedActions: count("FAILED"),
      TimeoutActions: count("TIMEOUT"),
      StoppedActions: count("STOPPED"),
      ErroredActions: 0,
      RunningActions: count("RUNNING"),
      WaitingActions: 0,
    },
    ...(graph ? { Graph: { Nodes: [{ Type: "TRIGGER", Name: "start" }, ...nodes] } } : {}),
  };
}
