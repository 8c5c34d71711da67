import type { CreateJobRequest, Job, JobRun, JobUpdate, WorkerType } from "@aws-sdk/client-glue";
import { duplicate, invalidInput, notFound } from "../errors";
import type { TagStore } from "./tags";

/** DPUs of a worker ("Adding jobs in AWS Glue", worker types); the R types are memory DPUs. */
const WORKER_DPUS: Record<string, number> = {
  Standard: 1,
  "G.025X": 0.25,
  "G.1X": 1,
  "G.2X": 2,
  "G.4X": 4,
  "G.8X": 8,
  "G.12X": 12,
  "G.16X": 16,
  "R.1X": 1,
  "R.2X": 2,
  "R.4X": 4,
  "R.8X": 8,
  "Z.2X": 2,
};

export const WORKER_TYPES = Object.keys(WORKER_DPUS);

/** The capacity settings of a job, which a run of it may override. */
export interface Capacity {
  AllocatedCapacity?: number | undefined;
  MaxCapacity?: number | undefined;
  WorkerType?: WorkerType | undefined;
  NumberOfWorkers?: number | undefined;
}

/** A record without its undefined members. */
export function given<T extends object>(record: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/**
 * The capacity that Glue would allocate. Rules of "Job structure" in the Jobs API: MaxCapacity and WorkerType exclude
 * each other; a Python shell job has 0.0625 or 1 DPU and no workers; a Spark job has at least 2 DPU.
 */
export function capacity(command: string, asked: Capacity): Capacity {
  const { WorkerType: worker, NumberOfWorkers: count } = asked;
  if (asked.AllocatedCapacity !== undefined && asked.MaxCapacity !== undefined)
    throw invalidInput("Please set only Allocated Capacity or Max Capacity.");
  const dpus = asked.MaxCapacity ?? asked.AllocatedCapacity;
  if (command === "pythonshell") {
    if (worker !== undefined) throw invalidInput("Worker Type is not supported for Job Command pythonshell");
    if (count !== undefined) throw invalidInput("Number Of Workers is not supported for Job Command pythonshell");
    if (dpus !== undefined && dpus !== 0.0625 && dpus !== 1)
      throw invalidInput("Max Capacity of a pythonshell job must be 0.0625 or 1.0");
    return { MaxCapacity: dpus ?? 0.0625, AllocatedCapacity: Math.floor(dpus ?? 0) };
  }
  if (dpus !== undefined) {
    if (worker !== undefined || count !== undefined)
      throw invalidInput("Please do not set Max Capacity if using Worker Type and Number of Workers.");
    if (dpus < 2) throw invalidInput(`Max Capacity of a ${command} job must be 2.0 at least`);
    return { MaxCapacity: dpus, AllocatedCapacity: Math.floor(dpus) };
  }
  if ((worker === undefined) !== (count === undefined))
    throw invalidInput("Worker Type and Number of Workers must be set together.");
  const workers = count ?? 10;
  const type = worker ?? "G.1X";
  // The type of the first Glue versions takes one worker too.
  const least = type === "Standard" ? 1 : 2;
  if (workers < least) throw invalidInput(`Number of Workers must be ${least} at least.`);
  const total = workers * (WORKER_DPUS[type] ?? 1);
  return { WorkerType: type, NumberOfWorkers: workers, MaxCapacity: total, AllocatedCapacity: Math.floor(total) };
}

/** The default timeout in minutes ("Job structure", Timeout): 480 from Glue 5.0 on, 2,880 before; none for streams. */
function defaultTimeout(command: string, version: string): number {
  if (command === "gluestreaming") return 0;
  return Number.parseFloat(version) >= 5 || version === "auto" ? 480 : 2880;
}

/** A job as Glue stores it: the request with Glue's defaults. @throws GlueError InvalidInputException */
function definition(jobName: string, asked: JobUpdate | CreateJobRequest, created: Date, now: Date): Job {
  const command = asked.Command?.Name;
  if (!asked.Command || !command) throw invalidInput("Command name must be set.");
  if (!asked.Role) throw invalidInput("Role must be set.");
  if (!asked.Command.ScriptLocation) throw invalidInput("Script location must be set.");
  const python = asked.Command.PythonVersion ?? "3";
  const spark = command !== "pythonshell";
  const version = asked.GlueVersion ?? (spark ? "6.0" : python === "3.9" ? "3.0" : "1.0");
  if (asked.ExecutionClass && !spark)
    throw invalidInput("Execution Class is not supported for Job Command pythonshell");
  const retries = asked.MaxRetries ?? 0;
  if (retries < 0 || retries > 10) throw invalidInput("Max Retries must be between 0 and 10.");
  const runs = asked.ExecutionProperty?.MaxConcurrentRuns ?? 1;
  if (runs < 1) throw invalidInput("Max Concurrent Runs must be 1 at least.");
  const size = JSON.stringify([asked.DefaultArguments, asked.NonOverridableArguments]).length;
  if (size > 260 * 1024) throw invalidInput("Job arguments are larger than 260 KB.");
  return given({
    Name: jobName,
    JobMode: asked.JobMode ?? "SCRIPT",
    JobRunQueuingEnabled: asked.JobRunQueuingEnabled ?? false,
    Description: asked.Description,
    LogUri: asked.LogUri,
    Role: asked.Role,
    CreatedOn: created,
    LastModifiedOn: now,
    ExecutionProperty: { MaxConcurrentRuns: runs },
    Command: { ...asked.Command, PythonVersion: python },
    DefaultArguments: asked.DefaultArguments,
    NonOverridableArguments: asked.NonOverridableArguments,
    Connections: asked.Connections,
    MaxRetries: retries,
    Timeout: asked.Timeout ?? defaultTimeout(command, version),
    SecurityConfiguration: asked.SecurityConfiguration,
    NotificationProperty: asked.NotificationProperty,
    GlueVersion: version,
    ExecutionClass: asked.ExecutionClass,
    CodeGenConfigurationNodes: asked.CodeGenConfigurationNodes,
    SourceControlDetails: asked.SourceControlDetails,
    MaintenanceWindow: asked.MaintenanceWindow,
    ...capacity(command, asked),
  });
}

/** A job, and its runs with the newest first. */
export interface JobEntry {
  job: Job;
  readonly asked: string;
  readonly runs: JobRun[];
}

/** Holds the jobs in memory. They are lost when the local Glue ends. */
export class JobStore {
  private readonly entries = new Map<string, JobEntry>();

  constructor(private readonly tags: TagStore) {}

  create(request: CreateJobRequest): string {
    const jobName = request.Name!;
    const { Tags: tags, ...rest } = request;
    const asked = JSON.stringify(rest);
    const existing = this.entries.get(jobName);
    if (existing) throw duplicate("Job", jobName, existing.asked === asked);
    const now = new Date();
    const job = definition(jobName, request, now, now);
    this.tags.create("job", jobName, tags);
    this.entries.set(jobName, { job, asked, runs: [] });
    return jobName;
  }

  /** Overwrites the whole definition, as UpdateJob does. Runs in progress keep the old one. */
  update(jobName: string, update: JobUpdate): void {
    const entry = this.entry(jobName);
    entry.job = definition(jobName, update, entry.job.CreatedOn!, new Date());
  }

  /** Deleting a missing job is no error. */
  delete(jobName: string): void {
    this.entries.delete(jobName);
    this.tags.delete("job", jobName);
  }

  find(jobName: string | undefined): JobEntry | undefined {
    return this.entries.get(jobName ?? "");
  }

  entry(jobName: string): JobEntry {
    const entry = this.entries.get(jobName);
    if (!entry) throw notFound(`Job ${jobName} not found.`);
    return entry;
  }

  run(jobName: string, runId: string): JobRun {
    const run = this.entry(jobName).runs.find((each) => each.Id === runId);
    if (!run) throw notFound(`Job Run ${runId} of job ${jobName} not found.`);
    return run;
  }

  all(): Job[] {
    return [...this.entries.values()].map((entry) => entry.job).sort((a, b) => (a.Name! < b.Name! ? -1 : 1));
  }
}
