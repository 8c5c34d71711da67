import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GlueClient } from "@aws-sdk/client-glue";
import { S3Client } from "@aws-sdk/client-s3";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { settle } from "../runtime/settle";
import { connect } from "../runtime/world";
import { createPipelineFunction, type PipelineArgs } from "./function";

/**
 * Runs when a workflow run ends: moves the batch's files to a dated folder, plans the next attempt, or isolates them.
 */
export class Archive extends pulumi.ComponentResource {
  readonly function: aws.lambda.Function;

  constructor(name: string, args: PipelineArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:flow:Archive", name, {}, opts);
    const { workflow, deadLetters, settings } = args;
    this.function = createPipelineFunction(
      name,
      {
        ...args,
        grants: [],
        retries: 2,
        maxEventAgeSeconds: 3600,
        callbackFactory: () => {
          const s3 = new S3Client({});
          const documents = DynamoDBDocumentClient.from(new DynamoDBClient({}));
          const world = connect({ s3, glue: new GlueClient({}), documents }, process.env);
          return (_event, context) => settle(world, context.getRemainingTimeInMillis());
        },
      },
      this,
    );
    // Glue sends events about jobs, not workflows: a run ends when publish succeeds, or when either job fails.
    const rule = new aws.cloudwatch.EventRule(
      `${name}-rule`,
      {
        description: "A workflow run of the music streams ended",
        eventPattern: pulumi.jsonStringify({
          source: ["aws.glue"],
          "detail-type": ["Glue Job State Change"],
          detail: {
            $or: [
              { jobName: [workflow.publish.name], state: ["SUCCEEDED"] },
              {
                jobName: [workflow.transform.name, workflow.publish.name],
                state: ["FAILED", "TIMEOUT", "STOPPED"],
              },
            ],
          },
        }),
        state: "ENABLED",
        tags: settings.tags,
      },
      { parent: this },
    );
    const permission = new aws.lambda.Permission(
      `${name}-permission`,
      {
        action: "lambda:InvokeFunction",
        function: this.function.name,
        principal: "events.amazonaws.com",
        sourceArn: rule.arn,
      },
      { parent: this },
    );
    new aws.cloudwatch.EventTarget(
      `${name}-target`,
      {
        rule: rule.name,
        arn: this.function.arn,
        retryPolicy: { maximumRetryAttempts: 3, maximumEventAgeInSeconds: 3600 },
        deadLetterConfig: { arn: deadLetters.queue.arn },
      },
      { parent: this, dependsOn: [permission] },
    );
    this.registerOutputs({ functionName: this.function.name });
  }
}
