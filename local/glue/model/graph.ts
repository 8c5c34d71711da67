import { createHash } from "node:crypto";
import type { Edge, JobRun, JobRunState, Node, Predicate, Trigger, WorkflowRunStatistics } from "@aws-sdk/client-glue";

/** End states of a workflow run's jobs so far, by job name. */
export type Outcomes = ReadonlyMap<string, JobRunState>;

/** Whether the watched jobs ended as the predicate asks. Without `Logical`, all conditions must hold. */
export function holds(predicate: Predicate | undefined, outcomes: Outcomes): boolean {
  const met = (predicate?.Conditions ?? []).map((each) => outcomes.get(each.JobName ?? "") === each.State);
  return met.length > 0 && (predicate?.Logical === "ANY" ? met.some(Boolean) : met.every(Boolean));
}

/** The start trigger of a workflow: the one that is not conditional. */
export const startTrigger = (triggers: readonly Trigger[]) => triggers.find((each) => each.Type !== "CONDITIONAL");

/** Conditional triggers to fire now: active, not yet fired in this run, and with a predicate that holds. */
export function due(triggers: readonly Trigger[], fired: ReadonlySet<string>, outcomes: Outcomes): Trigger[] {
  return triggers.filter(
    (each) =>
      each.Type === "CONDITIONAL" &&
      each.State === "ACTIVATED" &&
      !fired.has(each.Name!) &&
      holds(each.Predicate, outcomes),
  );
}

/** Jobs that triggers start, in the order of the triggers, each once. */
export function jobNames(triggers: readonly Trigger[]): string[] {
  return [...new Set(triggers.flatMap((each) => (each.Actions ?? []).map((action) => action.JobName!)))];
}

/** The given jobs and all jobs that can follow them. */
export function downstream(triggers: readonly Trigger[], from: readonly string[]): Set<string> {
  const reached = new Set(from);
  for (let size = -1; size !== reached.size; ) {
    size = reached.size;
    for (const trigger of triggers) {
      if (!(trigger.Predicate?.Conditions ?? []).some((each) => reached.has(each.JobName!))) continue;
      for (const action of trigger.Actions ?? []) reached.add(action.JobName!);
    }
  }
  return reached;
}

/** A node's id: the same in every run and in the workflow itself. */
export function nodeId(workflow: string, type: "JOB" | "TRIGGER", name: string): string {
  return `wnode_${createHash("sha256")
    .update(JSON.stringify([workflow, type, name]))
    .digest("hex")}`;
}

/**
 * The graph of a workflow: a node for each trigger and for each job that a trigger names, edges from triggers to the
 * jobs that they start, and from jobs to the triggers that watch them.
 * @param runsOf the runs to show in a job's node; without it, the graph is the workflow's own
 */
export function graph(workflow: string, triggers: readonly Trigger[], runsOf?: (job: string) => JobRun[]) {
  const watched = triggers.flatMap((each) => (each.Predicate?.Conditions ?? []).map((condition) => condition.JobName!));
  const jobs = [...new Set([...jobNames(triggers), ...watched])];
  const id = (type: "JOB" | "TRIGGER", name: string) => nodeId(workflow, type, name);
  const Nodes: Node[] = [
    ...triggers.map((Trigger): Node => {
      const Name = Trigger.Name!;
      return { Type: "TRIGGER", Name, UniqueId: id("TRIGGER", Name), TriggerDetails: { Trigger } };
    }),
    ...jobs.map((Name): Node => {
      const JobDetails = runsOf ? { JobRuns: runsOf(Name) } : {};
      return { Type: "JOB", Name, UniqueId: id("JOB", Name), JobDetails };
    }),
  ];
  const Edges: Edge[] = triggers.flatMap((trigger) => {
    const node = id("TRIGGER", trigger.Name!);
    const before = new Set((trigger.Predicate?.Conditions ?? []).map((each) => each.JobName!));
    const after = new Set((trigger.Actions ?? []).map((each) => each.JobName!));
    return [
      ...[...before].map((job) => ({ SourceId: id("JOB", job), DestinationId: node })),
      ...[...after].map((job) => ({ SourceId: node, DestinationId: id("JOB", job) })),
    ];
  });
  return { Nodes, Edges };
}

/**
 * Counts of a workflow run. TotalActions counts all actions in its graph, started or not. Of a job with several
 * attempts, the last one counts.
 */
export function statistics(total: number, lastAttempts: readonly JobRun[]): WorkflowRunStatistics {
  const count = (...states: JobRunState[]) => lastAttempts.filter((run) => states.includes(run.JobRunState!)).length;
  return {
    TotalActions: total,
    TimeoutActions: count("TIMEOUT"),
    FailedActions: count("FAILED"),
    StoppedActions: count("STOPPED"),
    SucceededActions: count("SUCCEEDED"),
    RunningActions: count("STARTING", "RUNNING", "STOPPING"),
    ErroredActions: count("ERROR"),
    WaitingActions: count("WAITING"),
  };
}
