import {
  CreateJobCommand,
  CreateTriggerCommand,
  CreateWorkflowCommand,
  DeleteJobCommand,
  DeleteTriggerCommand,
  DeleteWorkflowCommand,
  type ExecutionClass,
  GetJobCommand,
  GetTriggerCommand,
  GetWorkflowCommand,
  type JobRunState,
  type Logical,
  type LogicalOperator,
  StartTriggerCommand,
  StopTriggerCommand,
  type TriggerType,
  UpdateJobCommand,
  UpdateTriggerCommand,
  UpdateWorkflowCommand,
  type WorkerType,
} from "@aws-sdk/client-glue";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, unless } from "./kind";

const EXISTS = ["AlreadyExistsException", "IdempotentParameterMismatchException"];

const job = kind<aws.glue.JobArgs>({
  inputs: [
    "name",
    "roleArn",
    "description",
    "glueVersion",
    "command.name",
    "command.pythonVersion",
    "command.scriptLocation",
    "workerType",
    "numberOfWorkers",
    "maxCapacity",
    "executionClass",
    "timeout",
    "maxRetries",
    "executionProperty.maxConcurrentRuns",
    "defaultArguments",
    "nonOverridableArguments",
    "tags",
  ],
  name: "name",
  sticky: ["workerType", "numberOfWorkers", "maxCapacity"],
  async put(args, { clients: { glue }, region, account }) {
    const Name = args.name ?? "";
    const definition = {
      Role: args.roleArn,
      Description: args.description,
      GlueVersion: args.glueVersion,
      Command: {
        Name: args.command.name,
        PythonVersion: args.command.pythonVersion,
        ScriptLocation: args.command.scriptLocation,
      },
      WorkerType: args.workerType as WorkerType | undefined,
      NumberOfWorkers: args.numberOfWorkers,
      MaxCapacity: args.maxCapacity,
      ExecutionClass: args.executionClass as ExecutionClass | undefined,
      Timeout: args.timeout,
      MaxRetries: args.maxRetries,
      ExecutionProperty: { MaxConcurrentRuns: args.executionProperty?.maxConcurrentRuns ?? 1 },
      DefaultArguments: args.defaultArguments,
      NonOverridableArguments: args.nonOverridableArguments,
    };
    await unless(
      EXISTS,
      () => glue.send(new CreateJobCommand({ Name, ...definition, Tags: args.tags })),
      () => glue.send(new UpdateJobCommand({ JobName: Name, JobUpdate: definition })),
    );
    return { id: Name, outs: { arn: `arn:aws:glue:${region}:${account}:job/${Name}`, tagsAll: args.tags ?? {} } };
  },
  exists: (JobName, _, { clients: { glue } }) => glue.send(new GetJobCommand({ JobName })),
  async actual(JobName, _, { clients: { glue } }) {
    const { Job: now } = await glue.send(new GetJobCommand({ JobName }));
    return {
      roleArn: now?.Role ?? "",
      description: now?.Description,
      glueVersion: now?.GlueVersion,
      workerType: now?.WorkerType,
      numberOfWorkers: now?.NumberOfWorkers,
      timeout: now?.Timeout,
      maxRetries: now?.MaxRetries,
      defaultArguments: now?.DefaultArguments,
    };
  },
  remove: (JobName, _, { clients: { glue } }) => glue.send(new DeleteJobCommand({ JobName })),
});

const workflow = kind<aws.glue.WorkflowArgs>({
  inputs: ["name", "description", "maxConcurrentRuns", "defaultRunProperties", "tags"],
  name: "name",
  async put(args, { clients: { glue }, region, account }) {
    const Name = args.name ?? "";
    const definition = {
      Name,
      Description: args.description,
      MaxConcurrentRuns: args.maxConcurrentRuns,
      DefaultRunProperties: args.defaultRunProperties,
    };
    await unless(
      EXISTS,
      () => glue.send(new CreateWorkflowCommand({ ...definition, Tags: args.tags })),
      () => glue.send(new UpdateWorkflowCommand(definition)),
    );
    return { id: Name, outs: { arn: `arn:aws:glue:${region}:${account}:workflow/${Name}`, tagsAll: args.tags ?? {} } };
  },
  exists: (Name, _, { clients: { glue } }) => glue.send(new GetWorkflowCommand({ Name })),
  remove: (Name, _, { clients: { glue } }) => glue.send(new DeleteWorkflowCommand({ Name })),
});

const trigger = kind<aws.glue.TriggerArgs>({
  inputs: [
    "name",
    "type",
    "workflowName",
    "description",
    "actions.jobName",
    "actions.arguments",
    "predicate.logical",
    "predicate.conditions.jobName",
    "predicate.conditions.logicalOperator",
    "predicate.conditions.state",
    "enabled",
    "tags",
  ],
  name: "name",
  fixed: ["type", "workflowName"],
  async put(args, { clients: { glue }, region, account }) {
    const Name = args.name ?? "";
    const definition = {
      Description: args.description,
      Actions: args.actions.map((action) => ({ JobName: action.jobName, Arguments: action.arguments })),
      Predicate: args.predicate && {
        Logical: args.predicate.logical as Logical | undefined,
        Conditions: args.predicate.conditions.map((condition) => ({
          JobName: condition.jobName,
          LogicalOperator: (condition.logicalOperator ?? "EQUALS") as LogicalOperator,
          State: condition.state as JobRunState | undefined,
        })),
      },
    };
    // Like the real provider, this fires an enabled ON_DEMAND trigger.
    const enabled = args.enabled ?? true;
    const onDemand = args.type === "ON_DEMAND";
    const create = async () => {
      await glue.send(
        new CreateTriggerCommand({
          Name,
          Type: args.type as TriggerType,
          WorkflowName: args.workflowName,
          ...definition,
          StartOnCreation: enabled && !onDemand,
          Tags: args.tags,
        }),
      );
      if (enabled && onDemand) await glue.send(new StartTriggerCommand({ Name }));
    };
    await unless(EXISTS, create, async () => {
      await glue.send(new UpdateTriggerCommand({ Name, TriggerUpdate: { Name, ...definition } }));
      if (onDemand) return;
      const { Trigger } = await glue.send(new GetTriggerCommand({ Name }));
      if (enabled && Trigger?.State !== "ACTIVATED") await glue.send(new StartTriggerCommand({ Name }));
      if (!enabled && Trigger?.State === "ACTIVATED") await glue.send(new StopTriggerCommand({ Name }));
    });
    const { Trigger } = await glue.send(new GetTriggerCommand({ Name }));
    const arn = `arn:aws:glue:${region}:${account}:trigger/${Name}`;
    return { id: Name, outs: { arn, state: Trigger?.State, tagsAll: args.tags ?? {} } };
  },
  exists: (Name, _, { clients: { glue } }) => glue.send(new GetTriggerCommand({ Name })),
  async actual(Name, { type }, { clients: { glue } }) {
    const { Trigger: now } = await glue.send(new GetTriggerCommand({ Name }));
    // An ON_DEMAND trigger is never active.
    return type === "ON_DEMAND" ? {} : { enabled: now?.State === "ACTIVATED" };
  },
  remove: (Name, _, { clients: { glue } }) => glue.send(new DeleteTriggerCommand({ Name })),
});

export const glueKinds: Record<string, Kind> = {
  "aws:glue/job:Job": job,
  "aws:glue/trigger:Trigger": trigger,
  "aws:glue/workflow:Workflow": workflow,
};
