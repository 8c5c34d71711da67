import type { BatchStopJobRunResponse, CreateJobRequest, JobUpdate } from "@aws-sdk/client-glue";
import { notFound } from "../errors";
import { type JobStore, WORKER_TYPES } from "../model/jobs";
import { isEnded, type JobRuns, type RunRequest } from "../model/runs";
import type { TagStore } from "../model/tags";
import { type Filtered, names, notification, paging, timeout, unique } from "./members";
import { type PageRequest, page } from "./paging";
import {
  decimal,
  description,
  flag,
  list,
  may,
  must,
  name,
  type Operation,
  oneOf,
  operation,
  shape,
  strings,
  tags,
  text,
  whole,
} from "./requests";

const version = text({ min: 1, max: 255, pattern: /^((\w+\.)+\w+|auto)$/ });

const machines = {
  AllocatedCapacity: may(whole()),
  MaxCapacity: may(decimal),
  WorkerType: may(oneOf(...WORKER_TYPES)),
  NumberOfWorkers: may(whole()),
};

const jobMembers = {
  JobMode: may(oneOf("SCRIPT", "VISUAL", "NOTEBOOK")),
  JobRunQueuingEnabled: may(flag),
  Description: may(description),
  LogUri: may(text()),
  ExecutionProperty: may(shape({ MaxConcurrentRuns: may(whole()) })),
  DefaultArguments: may(strings),
  NonOverridableArguments: may(strings),
  Connections: may(shape({ Connections: may(list(text({ max: 255 }), 0, 1000)) })),
  MaxRetries: may(whole()),
  Timeout: may(timeout),
  SecurityConfiguration: may(name),
  NotificationProperty: may(notification),
  GlueVersion: may(version),
  ExecutionClass: may(oneOf("FLEX", "STANDARD")),
  MaintenanceWindow: may(text({ pattern: /^(Sun|Mon|Tue|Wed|Thu|Fri|Sat):([01]?[0-9]|2[0-3])$/ })),
  ...machines,
};

const command = shape({
  Name: may(text()),
  ScriptLocation: may(text({ max: 400000 })),
  PythonVersion: may(text({ pattern: /^([2-3]|3[.]9)$/ })),
  Runtime: may(text({ max: 64 })),
});

/** The operations on jobs and their runs. */
export function jobOperations(jobs: JobStore, runs: JobRuns, store: TagStore): Record<string, Operation> {
  return {
    CreateJob: operation(
      { Name: must(name), Role: must(text()), Command: must(command), Tags: may(tags), ...jobMembers },
      (request: CreateJobRequest) => ({ Name: jobs.create(request) }),
    ),
    GetJob: operation({ JobName: must(name) }, ({ JobName }: { JobName: string }) => ({
      Job: jobs.entry(JobName).job,
    })),
    GetJobs: operation(paging(1000), (request: PageRequest) => {
      const { items, token } = page(jobs.all(), (job) => job.Name!, request, 1000);
      return { Jobs: items, NextToken: token };
    }),
    BatchGetJobs: operation({ JobNames: names }, ({ JobNames }: { JobNames: string[] }) => ({
      Jobs: unique(JobNames).flatMap((each) => jobs.find(each)?.job ?? []),
      JobsNotFound: unique(JobNames).filter((each) => !jobs.find(each)),
    })),
    ListJobs: operation({ ...paging(1000), Tags: may(tags) }, (request: Filtered) => {
      const tagged = jobs.all().filter((job) => store.has("job", job.Name!, request.Tags));
      const { items, token } = page(tagged, (job) => job.Name!, request, 1000);
      return { JobNames: items.map((job) => job.Name!), NextToken: token };
    }),
    UpdateJob: operation(
      { JobName: must(name), JobUpdate: must(shape({ Role: may(text()), Command: may(command), ...jobMembers })) },
      ({ JobName, JobUpdate }: { JobName: string; JobUpdate: JobUpdate }) => {
        jobs.update(JobName, JobUpdate);
        return { JobName };
      },
    ),
    DeleteJob: operation({ JobName: must(name) }, ({ JobName }: { JobName: string }) => {
      jobs.delete(JobName);
      return { JobName };
    }),
    StartJobRun: operation(
      {
        JobName: must(name),
        JobRunId: may(name),
        JobRunQueuingEnabled: may(flag),
        Arguments: may(strings),
        Timeout: may(timeout),
        SecurityConfiguration: may(name),
        NotificationProperty: may(notification),
        ExecutionClass: may(oneOf("FLEX", "STANDARD")),
        ...machines,
      },
      (request: RunRequest) => ({ JobRunId: runs.start(request).Id }),
    ),
    GetJobRun: operation(
      { JobName: must(name), RunId: must(name), PredecessorsIncluded: may(flag) },
      (request: { JobName: string; RunId: string; PredecessorsIncluded?: boolean }) => ({
        JobRun: runs.view(jobs.run(request.JobName, request.RunId), request.PredecessorsIncluded),
      }),
    ),
    GetJobRuns: operation({ JobName: must(name), ...paging(200) }, (request: PageRequest & { JobName: string }) => {
      const { items, token } = page(jobs.entry(request.JobName).runs, (run) => run.Id!, request, 200);
      return { JobRuns: items.map((run) => runs.view(run)), NextToken: token };
    }),
    BatchStopJobRun: operation(
      { JobName: must(name), JobRunIds: must(list(name, 1, 25)) },
      (request: { JobName: string; JobRunIds: string[] }) => batchStop(jobs, runs, request.JobName, request.JobRunIds),
    ),
    // The local Glue keeps no bookmarks.
    GetJobBookmark: operation({ JobName: must(text()), RunId: may(text()) }, ({ JobName }: { JobName: string }) => {
      throw notFound(`Continuation for job ${JobName} not found`);
    }),
    ResetJobBookmark: operation({ JobName: must(text()), RunId: may(text()) }, ({ JobName }: { JobName: string }) => {
      throw notFound(`Continuation for job ${JobName} not found`);
    }),
  };
}

function batchStop(jobs: JobStore, runs: JobRuns, JobName: string, ids: readonly string[]): BatchStopJobRunResponse {
  const stopped: { JobName: string; JobRunId: string }[] = [];
  const Errors: NonNullable<BatchStopJobRunResponse["Errors"]> = [];
  for (const JobRunId of unique(ids)) {
    const fail = (ErrorCode: string, ErrorMessage: string) =>
      Errors.push({ JobName, JobRunId, ErrorDetail: { ErrorCode, ErrorMessage } });
    const run = jobs.find(JobName)?.runs.find((each) => each.Id === JobRunId);
    if (!run) fail("EntityNotFoundException", `Job Run ${JobRunId} of job ${JobName} not found.`);
    else if (isEnded(run) || !runs.stop(JobRunId))
      fail("InvalidInputException", `Job Run ${JobRunId} can't be stopped: it is ${run.JobRunState}.`);
    else stopped.push({ JobName, JobRunId });
  }
  return { SuccessfulSubmissions: stopped, Errors };
}
