import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GlueClient } from "@aws-sdk/client-glue";
import { S3Client } from "@aws-sdk/client-s3";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { observedTick } from "../runtime/observe";
import { folderOf } from "../runtime/places";
import { connect } from "../runtime/world";
import { createRole, objectsIn } from "./access";
import { type Arrivals, GATHERING_SECONDS } from "./arrivals";
import { createPipelineFunction, type PipelineArgs } from "./function";

interface SenseArgs extends PipelineArgs {
  /** The queue that causes early ticks, if the stack has one. */
  arrivals?: Arrivals | undefined;
}

/**
 * Ticks on a schedule, and when files arrive if the stack says so. A tick settles the batch in flight; if there is
 * none, it claims the waiting files and starts the workflow.
 */
export class Sense extends pulumi.ComponentResource {
  readonly function: aws.lambda.Function;

  constructor(name: string, args: SenseArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:flow:Sense", name, {}, opts);
    const { arrivals } = args;
    const { schedule, tags } = args.settings;
    this.function = createPipelineFunction(
      name,
      {
        ...args,
        grants: [
          // The manifest of a claim that another tick beat.
          { actions: ["s3:DeleteObject"], resources: objectsIn(args.lake.bucket, [folderOf("manifest")]) },
          {
            actions: ["glue:GetWorkflowRuns", "glue:StartWorkflowRun", "glue:StopWorkflowRun"],
            resources: [args.workflow.workflow.arn],
          },
          ...(arrivals ? [arrivals.reading] : []),
        ],
        // The next tick finishes the work of a failed one; a late repeat would only disturb it.
        retries: 0,
        maxEventAgeSeconds: 300,
        callbackFactory: () => {
          const s3 = new S3Client({});
          const documents = DynamoDBDocumentClient.from(new DynamoDBClient({}));
          const world = connect({ s3, glue: new GlueClient({}), documents }, process.env);
          return (_event, context) => observedTick(world, context.getRemainingTimeInMillis());
        },
      },
      this,
    );
    const { role, ready } = createRole(
      `${name}-schedule-role`,
      {
        service: "scheduler.amazonaws.com",
        grants: [
          { actions: ["lambda:InvokeFunction"], resources: [this.function.arn] },
          { actions: ["sqs:SendMessage"], resources: [args.deadLetters.queue.arn] },
        ],
        tags,
      },
      this,
    );
    new aws.scheduler.Schedule(
      `${name}-schedule`,
      {
        description: "Calls sense, which looks for waiting music streams",
        scheduleExpression: schedule,
        scheduleExpressionTimezone: "UTC",
        flexibleTimeWindow: { mode: "OFF" },
        state: "ENABLED",
        target: {
          arn: this.function.arn,
          roleArn: role.arn,
          retryPolicy: { maximumRetryAttempts: 1, maximumEventAgeInSeconds: 300 },
          deadLetterConfig: { arn: args.deadLetters.queue.arn },
        },
      },
      { parent: this, dependsOn: ready },
    );
    if (arrivals) {
      new aws.lambda.EventSourceMapping(
        `${name}-arrivals`,
        {
          eventSourceArn: arrivals.queue.arn,
          functionName: this.function.name,
          // The largest batch and the lowest concurrency that Lambda allows.
          batchSize: 10_000,
          maximumBatchingWindowInSeconds: GATHERING_SECONDS,
          scalingConfig: { maximumConcurrency: 2 },
          tags,
        },
        { parent: this },
      );
    }
    this.registerOutputs({ functionName: this.function.name });
  }
}
