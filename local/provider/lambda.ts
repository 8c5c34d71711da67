import { createHash } from "node:crypto";
import {
  AddPermissionCommand,
  type Architecture,
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  DeleteEventSourceMappingCommand,
  DeleteFunctionCommand,
  DeleteFunctionEventInvokeConfigCommand,
  GetEventSourceMappingCommand,
  GetFunctionCommand,
  GetFunctionEventInvokeConfigCommand,
  GetPolicyCommand,
  ListEventSourceMappingsCommand,
  type LoggingConfig,
  PutFunctionEventInvokeConfigCommand,
  RemovePermissionCommand,
  type Runtime,
  UpdateEventSourceMappingCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import type * as aws from "@pulumi/aws";
import { bytesOf } from "./archive";
import { type Kind, kind, notFound, unless } from "./kind";

const lambdaFunction = kind<aws.lambda.FunctionArgs>({
  inputs: [
    "name",
    "description",
    "code",
    "handler",
    "role",
    "runtime",
    "architectures",
    "memorySize",
    "timeout",
    "environment.variables",
    "loggingConfig.logFormat",
    "loggingConfig.logGroup",
    "loggingConfig.applicationLogLevel",
    "loggingConfig.systemLogLevel",
    "tags",
  ],
  name: "name",
  async put(args, { clients: { lambda }, root, functionVariables, region }) {
    const FunctionName = args.name ?? "";
    const ZipFile = await bytesOf(args.code, root);
    const Architectures = args.architectures as Architecture[] | undefined;
    const configuration = {
      FunctionName,
      Role: args.role,
      Runtime: args.runtime as Runtime,
      Handler: args.handler,
      Description: args.description,
      MemorySize: args.memorySize,
      Timeout: args.timeout,
      // The emulator sends its functions' calls to itself. A variable for one service overrides that.
      Environment: { Variables: { ...args.environment?.variables, ...functionVariables } },
      LoggingConfig: args.loggingConfig && {
        LogFormat: args.loggingConfig.logFormat as LoggingConfig["LogFormat"],
        LogGroup: args.loggingConfig.logGroup,
        ApplicationLogLevel: args.loggingConfig.applicationLogLevel as LoggingConfig["ApplicationLogLevel"],
        SystemLogLevel: args.loggingConfig.systemLogLevel as LoggingConfig["SystemLogLevel"],
      },
    };
    await unless(
      ["ResourceConflictException"],
      () =>
        lambda.send(new CreateFunctionCommand({ ...configuration, Architectures, Code: { ZipFile }, Tags: args.tags })),
      async () => {
        await lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile, Architectures }));
        await lambda.send(new UpdateFunctionConfigurationCommand(configuration));
      },
    );
    const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName }));
    const arn = Configuration?.FunctionArn ?? "";
    return {
      id: FunctionName,
      outs: {
        arn,
        invokeArn: `arn:aws:apigateway:${region}:lambda:path/2015-03-31/functions/${arn}/invocations`,
        qualifiedArn: `${arn}:$LATEST`,
        version: "$LATEST",
        sourceCodeHash: createHash("sha256").update(ZipFile).digest("base64"),
        sourceCodeSize: ZipFile.length,
        tagsAll: args.tags ?? {},
      },
    };
  },
  exists: (FunctionName, _, { clients: { lambda } }) => lambda.send(new GetFunctionCommand({ FunctionName })),
  async actual(FunctionName, _, { clients: { lambda }, functionVariables }) {
    const { Configuration: now } = await lambda.send(new GetFunctionCommand({ FunctionName }));
    const variables = Object.entries(now?.Environment?.Variables ?? {}).filter(
      ([name]) => !(name in functionVariables),
    );
    return {
      role: now?.Role ?? "",
      handler: now?.Handler,
      description: now?.Description,
      memorySize: now?.MemorySize,
      timeout: now?.Timeout,
      environment: { variables: Object.fromEntries(variables) },
    };
  },
  remove: (FunctionName, _, { clients: { lambda } }) => lambda.send(new DeleteFunctionCommand({ FunctionName })),
});

const permission = kind<aws.lambda.PermissionArgs>({
  inputs: ["statementId", "action", "function", "principal", "sourceArn", "sourceAccount"],
  name: "statementId",
  fixed: ["action", "function", "principal", "sourceArn", "sourceAccount"],
  async put(args, { clients: { lambda } }) {
    const FunctionName = String(args.function);
    const StatementId = args.statementId ?? "";
    const add = () =>
      lambda.send(
        new AddPermissionCommand({
          FunctionName,
          StatementId,
          Action: args.action,
          Principal: args.principal,
          SourceArn: args.sourceArn,
          SourceAccount: args.sourceAccount,
        }),
      );
    await unless(["ResourceConflictException"], add, async () => {
      await lambda.send(new RemovePermissionCommand({ FunctionName, StatementId }));
      await add();
    });
    return { id: StatementId };
  },
  async exists(StatementId, args, { clients: { lambda } }) {
    const { Policy } = await lambda.send(new GetPolicyCommand({ FunctionName: String(args.function) }));
    const { Statement } = JSON.parse(Policy ?? '{"Statement":[]}') as { Statement: { Sid: string }[] };
    if (!Statement.some(({ Sid }) => Sid === StatementId)) throw notFound(`no permission ${StatementId}`);
  },
  remove: (StatementId, args, { clients: { lambda } }) =>
    lambda.send(new RemovePermissionCommand({ FunctionName: String(args.function), StatementId })),
});

const eventInvokeConfig = kind<aws.lambda.FunctionEventInvokeConfigArgs>({
  inputs: [
    "functionName",
    "maximumRetryAttempts",
    "maximumEventAgeInSeconds",
    "destinationConfig.onFailure.destination",
  ],
  fixed: ["functionName"],
  async put(args, { clients: { lambda } }) {
    await lambda.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName: args.functionName,
        MaximumRetryAttempts: args.maximumRetryAttempts,
        MaximumEventAgeInSeconds: args.maximumEventAgeInSeconds,
        DestinationConfig: args.destinationConfig && {
          OnFailure: { Destination: args.destinationConfig.onFailure?.destination },
        },
      }),
    );
    return { id: args.functionName };
  },
  exists: (FunctionName, _, { clients: { lambda } }) =>
    lambda.send(new GetFunctionEventInvokeConfigCommand({ FunctionName })),
  remove: (FunctionName, _, { clients: { lambda } }) =>
    lambda.send(new DeleteFunctionEventInvokeConfigCommand({ FunctionName })),
});

const eventSourceMapping = kind<aws.lambda.EventSourceMappingArgs>({
  // The emulator ignores the batching window, and passes at most ten messages.
  inputs: [
    "eventSourceArn",
    "functionName",
    "batchSize",
    "maximumBatchingWindowInSeconds",
    "scalingConfig.maximumConcurrency",
    "tags",
  ],
  fixed: ["eventSourceArn"],
  async put(args, { clients: { lambda } }) {
    const { eventSourceArn: EventSourceArn, functionName: FunctionName, tags } = args;
    const settings = {
      FunctionName,
      BatchSize: args.batchSize,
      MaximumBatchingWindowInSeconds: args.maximumBatchingWindowInSeconds,
      ScalingConfig: args.scalingConfig && { MaximumConcurrency: args.scalingConfig.maximumConcurrency },
    };
    // Lambda generates the name, so source and function identify an existing mapping.
    const { EventSourceMappings = [] } = await lambda.send(
      new ListEventSourceMappingsCommand({ EventSourceArn, FunctionName }),
    );
    const made = EventSourceMappings[0]
      ? await lambda.send(new UpdateEventSourceMappingCommand({ UUID: EventSourceMappings[0].UUID, ...settings }))
      : await lambda.send(new CreateEventSourceMappingCommand({ EventSourceArn, ...settings, Tags: tags }));
    const outs = { arn: made.EventSourceMappingArn, functionArn: made.FunctionArn, uuid: made.UUID };
    return { id: made.UUID ?? "", outs: { ...outs, tagsAll: tags ?? {} } };
  },
  exists: (UUID, _, { clients: { lambda } }) => lambda.send(new GetEventSourceMappingCommand({ UUID })),
  remove: (UUID, _, { clients: { lambda } }) => lambda.send(new DeleteEventSourceMappingCommand({ UUID })),
});

export const lambdaKinds: Record<string, Kind> = {
  "aws:lambda/eventSourceMapping:EventSourceMapping": eventSourceMapping,
  "aws:lambda/function:Function": lambdaFunction,
  "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": eventInvokeConfig,
  "aws:lambda/permission:Permission": permission,
};
