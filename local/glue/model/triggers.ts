import type {
  Action,
  CreateTriggerRequest,
  JobRun,
  JobRunState,
  Predecessor,
  Trigger,
  TriggerUpdate,
} from "@aws-sdk/client-glue";
import { duplicate, type GlueError, invalidInput, notFound } from "../errors";
import { holds } from "./graph";
import { given, type JobStore } from "./jobs";
import type { JobRuns, Origin, RunChange } from "./runs";
import { isEnded } from "./runs";
import { parseSchedule } from "./schedule";
import type { TagStore } from "./tags";

/** States that a condition can wait for ("Condition structure"). */
const AWAITED: readonly string[] = ["SUCCEEDED", "STOPPED", "FAILED", "TIMEOUT"];

interface Entry {
  trigger: Trigger;
  readonly asked: string;
  /** For a conditional trigger outside of workflows: end states of the watched jobs since it last fired. */
  outcomes: Map<string, { state: JobRunState; run: Predecessor }>;
}

/** What triggers need from the workflows that they belong to. */
export interface WorkflowSide {
  exists(workflow: string): boolean;
  /** Starts a run of a workflow by its start trigger. @throws GlueError when its concurrency limit is reached */
  start(workflow: string): void;
  /** The same, but above the concurrency limit it adds a run in state ERROR. */
  startOnSchedule(workflow: string): void;
}

/** Holds the triggers in memory, and fires those outside of workflow runs. */
export class TriggerStore {
  private readonly entries = new Map<string, Entry>();

  constructor(
    private readonly jobs: JobStore,
    private readonly runs: JobRuns,
    private readonly tags: TagStore,
    private readonly workflows: () => WorkflowSide,
    private readonly log: (line: string) => void,
  ) {
    runs.onChange((change) => this.afterRun(change));
  }

  create(request: CreateTriggerRequest): string {
    const name = request.Name!;
    const { Tags: tags, ...rest } = request;
    const asked = JSON.stringify(rest);
    const existing = this.entries.get(name);
    if (existing) throw duplicate("Trigger", name, existing.asked === asked);
    const type = request.Type!;
    if (type === "EVENT") throw invalidInput("The local Glue does not support triggers of type EVENT.");
    if (type === "ON_DEMAND" && request.StartOnCreation)
      throw invalidInput("Start on creation is not supported for triggers of type ON_DEMAND.");
    const trigger: Trigger = given({
      Name: name,
      WorkflowName: request.WorkflowName,
      Type: type,
      State: request.StartOnCreation ? ("ACTIVATED" as const) : ("CREATED" as const),
      Description: request.Description,
      Schedule: request.Schedule,
      Actions: request.Actions,
      Predicate: request.Predicate,
    });
    this.check(trigger);
    this.tags.create("trigger", name, tags);
    this.entries.set(name, { trigger, asked, outcomes: new Map() });
    return name;
  }

  /** Overwrites the whole definition ("TriggerUpdate structure"); type, workflow and state stay. */
  update(name: string, update: TriggerUpdate): Trigger {
    const entry = this.entry(name);
    const { Type, State, WorkflowName } = entry.trigger;
    const { Description, Schedule, Actions, Predicate } = update;
    if (!Actions?.length) throw invalidInput("Trigger must have at least one action.");
    const trigger: Trigger = given({
      Name: name,
      WorkflowName,
      Type,
      State,
      Description,
      Schedule,
      Actions,
      Predicate,
    });
    this.check(trigger);
    entry.trigger = trigger;
    entry.outcomes.clear();
    return trigger;
  }

  /** Deleting a missing trigger is no error. */
  delete(name: string): void {
    this.entries.delete(name);
    this.tags.delete("trigger", name);
  }

  get(name: string): Trigger {
    return this.entry(name).trigger;
  }

  find(name: string): Trigger | undefined {
    return this.entries.get(name)?.trigger;
  }

  /** All triggers, or those that start a given job. */
  all(dependentJob?: string): Trigger[] {
    if (dependentJob !== undefined) this.jobs.entry(dependentJob);
    return [...this.entries.values()]
      .map((entry) => entry.trigger)
      .filter((each) => dependentJob === undefined || each.Actions?.some((action) => action.JobName === dependentJob))
      .sort((a, b) => (a.Name! < b.Name! ? -1 : 1));
  }

  ofWorkflow(workflow: string): Trigger[] {
    return this.all().filter((each) => each.WorkflowName === workflow);
  }

  /** Fires an ON_DEMAND trigger, which stays CREATED; activates the others ("AWS Glue triggers"). */
  start(name: string): void {
    const { trigger } = this.entry(name);
    if (trigger.Type !== "ON_DEMAND") trigger.State = "ACTIVATED";
    else if (trigger.WorkflowName) this.workflows().start(trigger.WorkflowName);
    else for (const action of trigger.Actions!) this.startAction(action, { trigger: name });
  }

  stop(name: string): void {
    const { trigger, outcomes } = this.entry(name);
    if (trigger.Type === "ON_DEMAND") throw invalidInput(`Trigger ${name} of type ON_DEMAND can't be deactivated.`);
    trigger.State = "DEACTIVATED";
    outcomes.clear();
  }

  /** Fires the triggers that are scheduled for the minute of `time`. */
  tick(time: Date): void {
    for (const { trigger } of this.entries.values()) {
      if (trigger.Type !== "SCHEDULED" || trigger.State !== "ACTIVATED" || !parseSchedule(trigger.Schedule!)(time))
        continue;
      this.log(`trigger ${trigger.Name} fires by its schedule`);
      if (trigger.WorkflowName) this.workflows().startOnSchedule(trigger.WorkflowName);
      else this.fire(trigger, {});
    }
  }

  /** Starts a trigger's actions. A refused action becomes a run in state ERROR; the others still start. */
  fire(trigger: Trigger, origin: Omit<Origin, "trigger">): JobRun[] {
    return (trigger.Actions ?? []).map((action) => {
      const from = { ...origin, trigger: trigger.Name! };
      try {
        return this.startAction(action, from);
      } catch (error) {
        return this.runs.refused(request(action), from, (error as GlueError).message);
      }
    });
  }

  startAction(action: Action, origin: Origin): JobRun {
    return this.runs.start(request(action), origin);
  }

  /** Fires conditional triggers outside of workflows when a job ends that a trigger started. */
  private afterRun({ run, origin, retried }: RunChange): void {
    if (retried || !isEnded(run) || !origin.trigger || origin.workflow) return;
    for (const entry of this.entries.values()) {
      const { trigger, outcomes } = entry;
      if (trigger.Type !== "CONDITIONAL" || trigger.WorkflowName || trigger.State !== "ACTIVATED") continue;
      if (!trigger.Predicate?.Conditions?.some((each) => each.JobName === run.JobName)) continue;
      outcomes.set(run.JobName!, { state: run.JobRunState!, run: { JobName: run.JobName, RunId: run.Id } });
      if (!holds(trigger.Predicate, new Map([...outcomes].map(([job, { state }]) => [job, state])))) continue;
      const predecessors = [...outcomes.values()].map((outcome) => outcome.run);
      outcomes.clear();
      this.fire(trigger, { predecessors });
    }
  }

  private check(trigger: Trigger): void {
    const { Name, Type, Actions = [], Predicate, WorkflowName } = trigger;
    if (Actions.length === 0) throw invalidInput("Trigger must have at least one action.");
    for (const action of Actions) {
      if (action.CrawlerName) throw invalidInput("The local Glue does not run crawlers from triggers.");
      if (!action.JobName) throw invalidInput("An action must name a job.");
      if (!this.jobs.find(action.JobName)) throw notFound(`Job ${action.JobName} not found.`);
    }
    if (Type === "SCHEDULED") {
      if (!trigger.Schedule) throw invalidInput("A trigger of type SCHEDULED must have a schedule.");
      parseSchedule(trigger.Schedule);
    } else if (trigger.Schedule) throw invalidInput(`A trigger of type ${Type} can't have a schedule.`);
    if (Type === "CONDITIONAL") checkPredicate(Predicate, Actions);
    else if (Predicate?.Conditions?.length) throw invalidInput(`A trigger of type ${Type} can't have a predicate.`);
    if (WorkflowName === undefined) return;
    if (!this.workflows().exists(WorkflowName)) throw notFound(`Workflow ${WorkflowName} not found.`);
    const other = this.ofWorkflow(WorkflowName).find((each) => each.Type !== "CONDITIONAL" && each.Name !== Name);
    if (Type !== "CONDITIONAL" && other)
      throw invalidInput(`Workflow ${WorkflowName} already has the start trigger ${other.Name}.`);
  }

  private entry(name: string): Entry {
    const entry = this.entries.get(name);
    if (!entry) throw notFound(`Trigger ${name} not found.`);
    return entry;
  }
}

function checkPredicate(predicate: Trigger["Predicate"], actions: readonly Action[]): void {
  const conditions = predicate?.Conditions ?? [];
  if (conditions.length === 0)
    throw invalidInput("A trigger of type CONDITIONAL must have a predicate with conditions.");
  if (conditions.length > 1 && !predicate?.Logical) throw invalidInput("Logical cannot be null or empty");
  for (const condition of conditions) {
    if (!condition.LogicalOperator) throw invalidInput("Logical operator cannot be null or empty");
    if (condition.CrawlerName) throw invalidInput("The local Glue does not watch crawlers in triggers.");
    if (!condition.JobName) throw invalidInput("A condition must name a job.");
    if (!AWAITED.includes(condition.State ?? ""))
      throw invalidInput(`The state of a condition must be one of ${AWAITED.join(", ")}.`);
    if (actions.some((action) => action.JobName === condition.JobName))
      throw invalidInput(`Job cannot be a Predicate and Action: ${condition.JobName}`);
  }
}

function request(action: Action) {
  const { JobName, Arguments, Timeout, SecurityConfiguration, NotificationProperty } = action;
  return { JobName: JobName!, Arguments, Timeout, SecurityConfiguration, NotificationProperty };
}
