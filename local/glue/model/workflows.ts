import { randomBytes } from "node:crypto";
import type { CreateWorkflowRequest, Trigger, Workflow, WorkflowRun } from "@aws-sdk/client-glue";
import { alreadyExists, illegalState, invalidInput, notFound, tooManyRuns } from "../errors";
import { downstream, due, graph, jobNames, nodeId, startTrigger, statistics } from "./graph";
import { given } from "./jobs";
import { isEnded, type JobRuns, type RunChange } from "./runs";
import type { TagStore } from "./tags";
import type { TriggerStore, WorkflowSide } from "./triggers";
import type { KeptRuns, RunEntry } from "./workflow-runs";

type Properties = Record<string, string>;

interface Entry {
  workflow: Workflow;
  /** Newest first. */
  readonly runs: RunEntry[];
}

/** Delay between the end of the last job and of the workflow run. Glue's is longer: callers must expect one. */
const TRAIL_MS = 300;

/** Holds the workflows, and advances their runs whenever a job ends. */
export class Workflows implements WorkflowSide {
  private readonly entries = new Map<string, Entry>();

  constructor(
    private readonly triggers: TriggerStore,
    private readonly jobRuns: JobRuns,
    private readonly tags: TagStore,
    private readonly kept: KeptRuns,
    private readonly log: (line: string) => void,
  ) {
    jobRuns.onChange((change) => this.afterJob(change));
  }

  exists(name: string): boolean {
    return this.entries.has(name);
  }

  create(request: CreateWorkflowRequest): string {
    const name = request.Name!;
    if (this.entries.has(name)) throw alreadyExists(`Workflow with name '${name}' already exists`);
    if (request.MaxConcurrentRuns !== undefined && request.MaxConcurrentRuns < 1)
      throw invalidInput("Max Concurrent Runs must be 1 at least.");
    this.tags.create("workflow", name, request.Tags);
    const now = new Date();
    const { Description, DefaultRunProperties, MaxConcurrentRuns } = request;
    const asked = given({ Description, DefaultRunProperties, MaxConcurrentRuns });
    const workflow = { Name: name, ...asked, CreatedOn: now, LastModifiedOn: now };
    this.entries.set(name, { workflow, runs: this.kept.of(name) });
    return name;
  }

  /** Changes only the given members. */
  update(request: CreateWorkflowRequest): void {
    const entry = this.entry(request.Name!);
    if (request.MaxConcurrentRuns !== undefined && request.MaxConcurrentRuns < 1)
      throw invalidInput("Max Concurrent Runs must be 1 at least.");
    const { Description, DefaultRunProperties, MaxConcurrentRuns } = request;
    const asked = given({ Description, DefaultRunProperties, MaxConcurrentRuns });
    entry.workflow = { ...entry.workflow, ...asked, LastModifiedOn: new Date() };
  }

  /** Deletes a workflow with its triggers, not its jobs. Deleting a missing workflow is no error. */
  delete(name: string): void {
    for (const { timer } of this.entries.get(name)?.runs ?? []) clearTimeout(timer);
    this.entries.delete(name);
    this.tags.delete("workflow", name);
    for (const trigger of this.triggers.ofWorkflow(name)) this.triggers.delete(trigger.Name!);
  }

  names(): string[] {
    return [...this.entries.keys()].sort();
  }

  view(name: string, includeGraph = false): Workflow {
    const { workflow, runs } = this.entry(name);
    const last = runs[0] && { LastRun: this.viewRun(runs[0], includeGraph) };
    const drawn = includeGraph ? { Graph: graph(name, this.triggers.ofWorkflow(name)) } : {};
    return { ...workflow, ...last, ...drawn };
  }

  run(name: string, runId: string, includeGraph = false): WorkflowRun {
    return this.viewRun(this.runEntry(name, runId), includeGraph);
  }

  runs(name: string, includeGraph = false): WorkflowRun[] {
    return this.entry(name).runs.map((each) => this.viewRun(each, includeGraph));
  }

  properties(name: string, runId: string): Properties {
    return { ...this.runEntry(name, runId).run.WorkflowRunProperties };
  }

  /** Adds to a run's properties. An existing key gets the new value. */
  putProperties(name: string, runId: string, properties: Properties): void {
    const { run } = this.runEntry(name, runId);
    run.WorkflowRunProperties = { ...run.WorkflowRunProperties, ...properties };
  }

  /** Starts a run. @throws GlueError without a start trigger, or when the concurrency limit is reached */
  start(name: string, properties: Properties = {}): string {
    const entry = this.entry(name);
    const triggers = structuredClone(this.triggers.ofWorkflow(name));
    const first = startTrigger(triggers);
    if (!first) throw invalidInput(`Workflow ${name} has no start trigger.`);
    if (this.isFull(entry)) throw tooManyRuns(`Concurrent runs exceeded for workflow: ${name}.`);
    const run = this.newRun(entry, triggers, new Set(jobNames(triggers)), properties);
    this.fire(run, first);
    this.settle(run);
    return run.run.WorkflowRunId!;
  }

  startOnSchedule(name: string): void {
    const entry = this.entry(name);
    if (!this.isFull(entry)) {
      this.start(name);
      return;
    }
    const added = this.newRun(entry, structuredClone(this.triggers.ofWorkflow(name)), new Set(), {});
    const message = `Concurrent runs exceeded for workflow: ${name}.`;
    Object.assign(added.run, { Status: "ERROR", CompletedOn: new Date(), ErrorMessage: message } satisfies WorkflowRun);
    this.kept.write(added);
  }

  stop(name: string, runId: string): void {
    const entry = this.runEntry(name, runId);
    if (entry.run.Status !== "RUNNING")
      throw illegalState(`Workflow run ${runId} is ${entry.run.Status}, not RUNNING.`);
    clearTimeout(entry.timer);
    this.change(entry, "STOPPING");
    for (const run of entry.attempts) if (!isEnded(run)) this.jobRuns.stop(run.Id!);
    this.settle(entry);
  }

  /**
   * Runs the given job nodes of a completed run again in a new run, with all jobs that follow them ("Repairing and
   * resuming a workflow run"). All other jobs count with their earlier end state.
   */
  resume(name: string, runId: string, nodeIds: readonly string[]): { RunId: string; NodeIds: string[] } {
    const entry = this.entry(name);
    const before = this.runEntry(name, runId);
    if (before.run.Status !== "COMPLETED")
      throw illegalState(`Workflow run ${runId} is ${before.run.Status}, not COMPLETED.`);
    const chosen = nodeIds.map((id) => {
      const job = [...new Set(before.attempts.map((run) => run.JobName!))].find(
        (each) => nodeId(name, "JOB", each) === id,
      );
      if (!job) throw invalidInput(`Node ${id} is no job that was run in workflow run ${runId}.`);
      return job;
    });
    if (chosen.length === 0) throw invalidInput("No node to resume.");
    if (this.isFull(entry)) throw tooManyRuns(`Concurrent runs exceeded for workflow: ${name}.`);
    const again = downstream(before.triggers, chosen);
    const resumed = this.newRun(entry, before.triggers, again, { ...before.run.WorkflowRunProperties }, runId);
    for (const [job, outcome] of before.outcomes) if (!again.has(job)) resumed.outcomes.set(job, outcome);
    // Triggers that only start jobs outside of the new run must not fire.
    for (const trigger of before.triggers)
      if (!trigger.Actions?.some((action) => again.has(action.JobName!))) resumed.fired.add(trigger.Name!);
    const roots = [...new Set(chosen)].filter(
      (job) => !chosen.some((other) => other !== job && downstream(before.triggers, [other]).has(job)),
    );
    for (const job of roots) {
      const started = before.attempts.find((run) => run.JobName === job)!;
      const trigger = before.triggers.find((each) => each.Name === started.TriggerName)!;
      resumed.fired.add(trigger.Name!);
      this.fire(resumed, { ...trigger, Actions: trigger.Actions!.filter((action) => action.JobName === job) });
    }
    this.settle(resumed);
    return { RunId: resumed.run.WorkflowRunId!, NodeIds: roots.map((job) => nodeId(name, "JOB", job)) };
  }

  close(): void {
    for (const { runs } of this.entries.values()) for (const { timer } of runs) clearTimeout(timer);
  }

  private newRun(
    entry: Entry,
    triggers: readonly Trigger[],
    scope: Set<string>,
    properties: Properties,
    previous?: string,
  ) {
    const run: WorkflowRun = given({
      Name: entry.workflow.Name,
      WorkflowRunId: `wr_${randomBytes(32).toString("hex")}`,
      PreviousRunId: previous,
      WorkflowRunProperties: { ...entry.workflow.DefaultRunProperties, ...properties },
      StartedOn: new Date(),
      Status: "RUNNING" as const,
    });
    const added: RunEntry = { run, triggers, scope, fired: new Set(), attempts: [], outcomes: new Map() };
    entry.runs.unshift(added);
    this.log(`workflow ${run.Name} ${run.WorkflowRunId} RUNNING`);
    return added;
  }

  private fire(entry: RunEntry, trigger: Trigger): void {
    entry.fired.add(trigger.Name!);
    const watched = (trigger.Predicate?.Conditions ?? []).map((each) => entry.outcomes.get(each.JobName!)?.run);
    const predecessors = watched.filter((each) => each !== undefined);
    const workflow = { name: entry.run.Name!, runId: entry.run.WorkflowRunId! };
    const Actions = (trigger.Actions ?? []).filter((action) => entry.scope.has(action.JobName!));
    this.triggers.fire({ ...trigger, Actions }, { workflow, predecessors });
  }

  /** Records every attempt of a job in a run. The last attempt decides what follows. */
  private afterJob({ run, origin, retried }: RunChange): void {
    const { workflow } = origin;
    const entry =
      workflow && this.entries.get(workflow.name)?.runs.find((each) => each.run.WorkflowRunId === workflow.runId);
    if (!entry) return;
    if (!entry.attempts.includes(run)) entry.attempts.push(run);
    this.kept.write(entry);
    // Another attempt is a new job run: a stopping workflow run must stop it too.
    if (entry.run.Status === "STOPPING" && !isEnded(run)) queueMicrotask(() => this.jobRuns.stop(run.Id!));
    if (retried || !isEnded(run)) return;
    const ended = { JobName: run.JobName, RunId: run.Id };
    entry.outcomes.set(run.JobName!, { state: run.JobRunState!, run: ended });
    // Later, because the trigger's other actions start first.
    queueMicrotask(() => this.settle(entry));
  }

  /** Fires the due triggers. Ends the run, after a delay, when nothing runs and nothing is due. */
  private settle(entry: RunEntry): void {
    const { Status: status } = entry.run;
    if (status !== "RUNNING" && status !== "STOPPING") return;
    const states = new Map([...entry.outcomes].map(([job, { state }]) => [job, state]));
    if (status === "RUNNING") for (const trigger of due(entry.triggers, entry.fired, states)) this.fire(entry, trigger);
    if (entry.attempts.some((run) => !isEnded(run))) return;
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => this.finish(entry), TRAIL_MS).unref();
  }

  private finish(entry: RunEntry): void {
    if (entry.attempts.some((run) => !isEnded(run))) return;
    entry.run.CompletedOn = new Date();
    this.change(entry, entry.run.Status === "STOPPING" ? "STOPPED" : "COMPLETED");
  }

  private change(entry: RunEntry, status: "COMPLETED" | "STOPPING" | "STOPPED"): void {
    entry.run.Status = status;
    this.kept.write(entry);
    this.log(`workflow ${entry.run.Name} ${entry.run.WorkflowRunId} ${status}`);
  }

  private isFull({ workflow, runs }: Entry): boolean {
    const running = runs.filter(({ run }) => run.Status === "RUNNING" || run.Status === "STOPPING");
    return workflow.MaxConcurrentRuns !== undefined && running.length >= workflow.MaxConcurrentRuns;
  }

  private viewRun(entry: RunEntry, includeGraph: boolean): WorkflowRun {
    const name = entry.run.Name!;
    const actions = entry.triggers
      .flatMap((each) => each.Actions ?? [])
      .filter((each) => entry.scope.has(each.JobName!));
    const retried = new Set(entry.attempts.map((run) => run.PreviousRunId));
    const last = entry.attempts.filter((run) => !retried.has(run.Id));
    const runsOf = (job: string) =>
      entry.attempts.filter((run) => run.JobName === job).map((run) => this.jobRuns.view(run, true));
    return {
      ...entry.run,
      Statistics: statistics(actions.length, last),
      ...(includeGraph ? { Graph: graph(name, entry.triggers, runsOf) } : {}),
    };
  }

  private entry(name: string): Entry {
    const entry = this.entries.get(name);
    if (!entry) throw notFound(`Workflow ${name} not found.`);
    return entry;
  }

  private runEntry(name: string, runId: string): RunEntry {
    const run = this.entry(name).runs.find((each) => each.run.WorkflowRunId === runId);
    if (!run) throw notFound(`Workflow run ${runId} of workflow ${name} not found.`);
    return run;
  }
}
