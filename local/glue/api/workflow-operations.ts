import type { CreateWorkflowRequest } from "@aws-sdk/client-glue";
import type { Workflows } from "../model/workflows";
import { type Named, paging, unique } from "./members";
import { type PageRequest, page } from "./paging";
import { flag, list, map, may, must, name, type Operation, operation, tags, text, whole } from "./requests";

const properties = map(name, text());
type OfRun = Named & { RunId: string; IncludeGraph?: boolean };

/** The operations on workflows and their runs. */
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
