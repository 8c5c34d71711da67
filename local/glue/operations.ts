import type {
  BatchStopJobRunResponse,
  CreateJobRequest,
  CreateTriggerRequest,
  CreateWorkflowRequest,
  JobUpdate,
  TriggerUpdate,
} from "@aws-sdk/client-glue";
import { invalidInput, notFound } from "./errors";
import { type JobStore, WORKER_TYPES } from "./jobs";
import { type PageRequest, page } from "./paging";
import {
  decimal,
  description,
  flag,
  list,
  map,
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
import { isEnded, type JobRuns, type RunRequest } from "./runs";
import type { TagStore } from "./tags";
import type { TriggerStore } from "./triggers";
import type { Workflows } from "./workflows";

const notification = shape({ NotifyDelayAfter: may(whole(1)) });
const timeout = whole(1);
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

const jobState = oneOf(
  ...["STARTING", "RUNNING", "STOPPING", "STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT", "ERROR", "WAITING", "EXPIRED"],
);

const actions = list(
  shape({
    JobName: may(name),
    Arguments: may(strings),
    Timeout: may(timeout),
    SecurityConfiguration: may(name),
    NotificationProperty: may(notification),
    CrawlerName: may(name),
  }),
);

const predicate = shape({
  Logical: may(oneOf("AND", "ANY")),
  Conditions: may(
    list(
      shape({
        LogicalOperator: may(oneOf("EQUALS")),
        JobName: may(name),
        State: may(jobState),
        CrawlerName: may(name),
        CrawlState: may(oneOf("RUNNING", "CANCELLING", "CANCELLED", "SUCCEEDED", "FAILED", "ERROR")),
      }),
      0,
      500,
    ),
  ),
});

const batching = shape({ BatchSize: must(whole(1, 100)), BatchWindow: may(whole(1, 900)) });
const properties = map(name, text());
const paging = (most: number) => ({ NextToken: may(text()), MaxResults: may(whole(1, most)) });
const arn = must(text({ min: 1, max: 10240, pattern: /^arn:aws(-(cn|us-gov|iso(-[bef])?))?:glue:.*/s }));
const names = must(list(name));

type Named = { Name: string };
type Filtered = PageRequest & { Tags?: Record<string, string>; DependentJobName?: string };
type OfRun = Named & { RunId: string; IncludeGraph?: boolean };

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
    // No job here keeps bookmarks: there never is one.
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

export function triggerOperations(triggers: TriggerStore, store: TagStore): Record<string, Operation> {
  const filtered = (request: Filtered) =>
    page(
      triggers.all(request.DependentJobName).filter((each) => store.has("trigger", each.Name!, request.Tags)),
      (each) => each.Name!,
      request,
      200,
    );
  return {
    CreateTrigger: operation(
      {
        Name: must(name),
        WorkflowName: may(name),
        Type: must(oneOf("SCHEDULED", "CONDITIONAL", "ON_DEMAND", "EVENT")),
        Schedule: may(text()),
        Predicate: may(predicate),
        Actions: must(actions),
        Description: may(description),
        StartOnCreation: may(flag),
        Tags: may(tags),
        EventBatchingCondition: may(batching),
      },
      (request: CreateTriggerRequest) => ({ Name: triggers.create(request) }),
    ),
    GetTrigger: operation({ Name: must(name) }, ({ Name }: Named) => ({ Trigger: triggers.get(Name) })),
    GetTriggers: operation({ DependentJobName: may(name), ...paging(200) }, (request: Filtered) => {
      const { items, token } = filtered(request);
      return { Triggers: items, NextToken: token };
    }),
    BatchGetTriggers: operation({ TriggerNames: names }, ({ TriggerNames }: { TriggerNames: string[] }) => ({
      Triggers: unique(TriggerNames).flatMap((each) => triggers.find(each) ?? []),
      TriggersNotFound: unique(TriggerNames).filter((each) => !triggers.find(each)),
    })),
    ListTriggers: operation({ DependentJobName: may(name), Tags: may(tags), ...paging(200) }, (request: Filtered) => {
      const { items, token } = filtered(request);
      return { TriggerNames: items.map((each) => each.Name!), NextToken: token };
    }),
    UpdateTrigger: operation(
      {
        Name: must(name),
        TriggerUpdate: must(
          shape({
            Name: may(name),
            Description: may(description),
            Schedule: may(text()),
            Actions: may(actions),
            Predicate: may(predicate),
            EventBatchingCondition: may(batching),
          }),
        ),
      },
      ({ Name, TriggerUpdate }: Named & { TriggerUpdate: TriggerUpdate }) => ({
        Trigger: triggers.update(Name, TriggerUpdate),
      }),
    ),
    DeleteTrigger: operation({ Name: must(name) }, ({ Name }: Named) => {
      triggers.delete(Name);
      return { Name };
    }),
    StartTrigger: operation({ Name: must(name) }, ({ Name }: Named) => {
      triggers.start(Name);
      return { Name };
    }),
    StopTrigger: operation({ Name: must(name) }, ({ Name }: Named) => {
      triggers.stop(Name);
      return { Name };
    }),
  };
}

export function workflowOperations(workflows: Workflows): Record<string, Operation> {
  const members = {
    Name: must(name),
    Description: may(text({ max: 120000 })),
    DefaultRunProperties: may(properties),
    MaxConcurrentRuns: may(whole()),
  };
  const ofRun = { Name: must(name), RunId: must(name) };
  return {
    CreateWorkflow: operation({ ...members, Tags: may(tags) }, (request: CreateWorkflowRequest) => ({
      Name: workflows.create(request),
    })),
    GetWorkflow: operation(
      { Name: must(name), IncludeGraph: may(flag) },
      ({ Name, IncludeGraph }: Named & { IncludeGraph?: boolean }) => ({
        Workflow: workflows.view(Name, IncludeGraph),
      }),
    ),
    BatchGetWorkflows: operation(
      { Names: must(list(name, 1, 25)), IncludeGraph: may(flag) },
      ({ Names, IncludeGraph }: { Names: string[]; IncludeGraph?: boolean }) => ({
        Workflows: unique(Names)
          .filter((each) => workflows.exists(each))
          .map((each) => workflows.view(each, IncludeGraph)),
        MissingWorkflows: unique(Names).filter((each) => !workflows.exists(each)),
      }),
    ),
    ListWorkflows: operation(paging(25), (request: PageRequest) => {
      const { items, token } = page(workflows.names(), (each) => each, request, 25);
      return { Workflows: items, NextToken: token };
    }),
    UpdateWorkflow: operation(members, (request: CreateWorkflowRequest) => {
      workflows.update(request);
      return { Name: request.Name };
    }),
    DeleteWorkflow: operation({ Name: must(name) }, ({ Name }: Named) => {
      workflows.delete(Name);
      return { Name };
    }),
    StartWorkflowRun: operation(
      { Name: must(name), RunProperties: may(properties) },
      ({ Name, RunProperties }: Named & { RunProperties?: Record<string, string> }) => ({
        RunId: workflows.start(Name, RunProperties),
      }),
    ),
    GetWorkflowRun: operation({ ...ofRun, IncludeGraph: may(flag) }, ({ Name, RunId, IncludeGraph }: OfRun) => ({
      Run: workflows.run(Name, RunId, IncludeGraph),
    })),
    GetWorkflowRuns: operation(
      { Name: must(name), IncludeGraph: may(flag), ...paging(1000) },
      (request: Named & PageRequest & { IncludeGraph?: boolean }) => {
        const runs = workflows.runs(request.Name, request.IncludeGraph);
        const { items, token } = page(runs, (run) => run.WorkflowRunId!, request, 1000);
        return { Runs: items, NextToken: token };
      },
    ),
    GetWorkflowRunProperties: operation(ofRun, ({ Name, RunId }: OfRun) => ({
      RunProperties: workflows.properties(Name, RunId),
    })),
    PutWorkflowRunProperties: operation(
      { ...ofRun, RunProperties: must(properties) },
      ({ Name, RunId, RunProperties }: OfRun & { RunProperties: Record<string, string> }) => {
        workflows.putProperties(Name, RunId, RunProperties);
        return {};
      },
    ),
    StopWorkflowRun: operation(ofRun, ({ Name, RunId }: OfRun) => {
      workflows.stop(Name, RunId);
      return {};
    }),
    ResumeWorkflowRun: operation(
      { ...ofRun, NodeIds: must(list(name)) },
      ({ Name, RunId, NodeIds }: OfRun & { NodeIds: string[] }) => workflows.resume(Name, RunId, NodeIds),
    ),
  };
}

export function tagOperations(store: TagStore): Record<string, Operation> {
  return {
    TagResource: operation(
      { ResourceArn: arn, TagsToAdd: must(tags) },
      ({ ResourceArn, TagsToAdd }: { ResourceArn: string; TagsToAdd: Record<string, string> }) => {
        if (Object.keys(TagsToAdd).some((key) => key.toLowerCase().startsWith("aws:")))
          throw invalidInput("Tag keys starting with 'aws:' are reserved for system use");
        store.add(ResourceArn, TagsToAdd);
        return {};
      },
    ),
    UntagResource: operation(
      { ResourceArn: arn, TagsToRemove: must(list(text({ min: 1, max: 128 }), 0, 50)) },
      ({ ResourceArn, TagsToRemove }: { ResourceArn: string; TagsToRemove: string[] }) => {
        store.remove(ResourceArn, TagsToRemove);
        return {};
      },
    ),
    GetTags: operation({ ResourceArn: arn }, ({ ResourceArn }: { ResourceArn: string }) => ({
      Tags: store.get(ResourceArn),
    })),
  };
}

const unique = (values: readonly string[]) => [...new Set(values)];
