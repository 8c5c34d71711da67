import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Context } from "aws-lambda";
import { curatedFolder, folderOf } from "../runtime/places";
import { createRole, type Grant, listing, objectsIn, usingKey } from "./access";
import type { DeadLetters } from "./dead-letters";
import type { Lake } from "./lake";
import type { Ledger } from "./ledger";
import { onlyWhatNodeLoads } from "./package";
import type { Settings } from "./settings";
import type { Workflow } from "./workflow";

/** The parts that both Lambdas work on. */
export interface PipelineArgs {
  lake: Lake;
  ledger: Ledger;
  workflow: Workflow;
  deadLetters: DeadLetters;
  settings: Settings;
}

// Longer than the minute for which archive watches a run that has just ended, and than the move of a typical batch.
export const FUNCTION_TIMEOUT_SECONDS = 300;

interface FunctionArgs extends PipelineArgs {
  /** Runs once per cold start and returns the handler. May capture only functions and plain constants. */
  callbackFactory: () => (event: unknown, context: Context) => Promise<unknown>;
  /** Permissions beyond those for settling. */
  grants: Grant[];
  /** How often Lambda itself repeats a failed call. */
  retries: number;
  maxEventAgeSeconds: number;
}

/**
 * A Lambda that settles batches, with its own role and log group. A call that fails on its last try becomes a dead
 * letter.
 */
export function createPipelineFunction(
  name: string,
  args: FunctionArgs,
  parent: pulumi.Resource,
): aws.lambda.CallbackFunction<unknown, unknown> {
  const { lake, ledger, workflow, deadLetters, settings } = args;
  const { tags } = settings;
  const logs = new aws.cloudwatch.LogGroup(
    `${name}-logs`,
    { retentionInDays: settings.logRetentionDays, tags },
    { parent },
  );
  const grants = [
    ...settlingGrants(args),
    ...args.grants,
    ...usingKey(settings),
    { actions: ["logs:CreateLogStream", "logs:PutLogEvents"], resources: [pulumi.interpolate`${logs.arn}:*`] },
    { actions: ["sqs:SendMessage"], resources: [deadLetters.queue.arn] },
  ];
  const { role, ready } = createRole(`${name}-role`, { service: "lambda.amazonaws.com", grants, tags }, parent);
  const fn = new aws.lambda.CallbackFunction<unknown, unknown>(
    name,
    {
      // Pulumi's type has a third parameter for handlers, which Node 24 no longer passes.
      callbackFactory: args.callbackFactory as () => aws.lambda.Callback<unknown, unknown>,
      role: role.arn,
      runtime: "nodejs24.x" as aws.lambda.Runtime,
      architectures: ["arm64"],
      memorySize: 512,
      timeout: FUNCTION_TIMEOUT_SECONDS,
      environment: {
        variables: {
          BUCKET: lake.bucket.bucket,
          LEDGER_TABLE: ledger.table.name,
          WORKFLOW: workflow.workflow.name,
          TRANSFORM_JOB: workflow.transform.name,
          PUBLISH_JOB: workflow.publish.name,
          LIMITS: JSON.stringify(settings.limits),
          METRICS_NAMESPACE: settings.metricsNamespace,
        },
      },
      loggingConfig: { logFormat: "JSON", applicationLogLevel: "INFO", systemLogLevel: "INFO", logGroup: logs.name },
      tags,
    },
    { parent, dependsOn: ready, transformations: [onlyWhatNodeLoads] },
  );
  new aws.lambda.FunctionEventInvokeConfig(
    `${name}-retries`,
    {
      functionName: fn.name,
      maximumRetryAttempts: args.retries,
      maximumEventAgeInSeconds: args.maxEventAgeSeconds,
      destinationConfig: { onFailure: { destination: deadLetters.queue.arn } },
    },
    { parent },
  );
  return fn;
}

/** Both Lambdas have the same permissions for a batch, so that either can finish the other's work. */
function settlingGrants({ lake, ledger, workflow }: PipelineArgs): Grant[] {
  const { bucket } = lake;
  // A file moves from incoming/ to another folder, and from failed/ back when a person asks for a retry.
  const sources = (["incoming", "failed"] as const).map(folderOf);
  const targets = (["incoming", "archived", "quarantinedFile", "failed"] as const).map(folderOf);
  const output = [curatedFolder(), folderOf("quarantinedRows"), folderOf("staged")];
  return [
    listing(bucket),
    {
      // A copy keeps its tags. Above 5 GB it is a multipart copy, which may have to be aborted.
      actions: ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"],
      resources: objectsIn(bucket, targets),
    },
    // The pipeline never deletes files from archive or quarantine.
    { actions: ["s3:GetObjectTagging", "s3:DeleteObject"], resources: objectsIn(bucket, sources) },
    { actions: ["s3:GetObject", "s3:PutObject"], resources: objectsIn(bucket, [folderOf("manifest")]) },
    // The output of a batch that is given up.
    { actions: ["s3:DeleteObject"], resources: objectsIn(bucket, output) },
    {
      actions: ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
      resources: [ledger.table.arn],
    },
    {
      actions: ["glue:GetWorkflowRun"],
      resources: [workflow.workflow.arn],
    },
  ];
}
