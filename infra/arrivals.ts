import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { folderOf } from "../runtime/places";
import { type Grant, tlsOnly } from "./access";
import type { DeadLetters } from "./dead-letters";
import { FUNCTION_TIMEOUT_SECONDS } from "./function";
import type { Lake } from "./lake";
import type { Settings } from "./settings";
import type { Workflow } from "./workflow";

interface ArrivalsArgs {
  lake: Lake;
  workflow: Workflow;
  deadLetters: DeadLetters;
  settings: Pick<Settings, "tags">;
}

/** How long Lambda gathers messages before it calls sense once for all. */
export const GATHERING_SECONDS = 20;

// A message does not cause all errors of a function, so AWS advises five tries before it becomes a dead letter. Between
// tries it should be hidden for six times the function's timeout plus the gathering time (AWS Lambda Developer Guide,
// "Creating and configuring an Amazon SQS event source mapping").
const TRIES = 5;
const HIDDEN_SECONDS = 6 * FUNCTION_TIMEOUT_SECONDS + GATHERING_SECONDS;

/**
 * A queue of reasons for an early tick: a file arrived, or a run ended (files may have arrived during it). Lambda
 * gathers messages, because each tick lists all of incoming/. Nothing depends on a message: the schedule finds every
 * file too.
 */
export class Arrivals extends pulumi.ComponentResource {
  readonly queue: aws.sqs.Queue;

  constructor(name: string, args: ArrivalsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:flow:Arrivals", name, {}, opts);
    const { lake, workflow, deadLetters, settings } = args;
    const { tags } = settings;
    const own = { parent: this };
    this.queue = new aws.sqs.Queue(
      name,
      {
        // Longer than all tries take.
        messageRetentionSeconds: 4 * 3600,
        visibilityTimeoutSeconds: HIDDEN_SECONDS,
        redrivePolicy: pulumi.jsonStringify({ deadLetterTargetArn: deadLetters.queue.arn, maxReceiveCount: TRIES }),
        sqsManagedSseEnabled: true,
        tags,
      },
      own,
    );
    // One setting holds all notifications of a bucket: a second resource of this type would overwrite it.
    new aws.s3.BucketNotification(`${name}-notification`, { bucket: lake.bucket.bucket, eventbridge: true }, own);
    const rules = {
      file: new aws.cloudwatch.EventRule(
        `${name}-file`,
        {
          description: "A music stream arrived, or was restored",
          eventPattern: pulumi.jsonStringify({
            source: ["aws.s3"],
            "detail-type": ["Object Created", "Object Restore Completed"],
            detail: { bucket: { name: [lake.bucket.bucket] }, object: { key: waitingKeys() } },
          }),
          state: "ENABLED",
          tags,
        },
        own,
      ),
      run: new aws.cloudwatch.EventRule(
        `${name}-run`,
        {
          description: "A workflow run of the music streams succeeded",
          eventPattern: pulumi.jsonStringify({
            source: ["aws.glue"],
            "detail-type": ["Glue Job State Change"],
            detail: { jobName: [workflow.publish.name], state: ["SUCCEEDED"] },
          }),
          state: "ENABLED",
          tags,
        },
        own,
      ),
    };
    const policy = new aws.sqs.QueuePolicy(
      `${name}-policy`,
      { queueUrl: this.queue.url, policy: onlyFrom(Object.values(rules), this.queue) },
      own,
    );
    for (const [reason, rule] of Object.entries(rules)) {
      new aws.cloudwatch.EventTarget(
        `${name}-${reason}-target`,
        {
          rule: rule.name,
          arn: this.queue.arn,
          retryPolicy: { maximumRetryAttempts: 3, maximumEventAgeInSeconds: 300 },
          deadLetterConfig: { arn: deadLetters.queue.arn },
        },
        { parent: this, dependsOn: [policy] },
      );
    }
    this.registerOutputs({ queueUrl: this.queue.url });
  }

  /** The permissions with which Lambda takes messages for a function; it uses the function's role. */
  get reading(): Grant {
    return {
      actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
      resources: [this.queue.arn],
    };
  }
}

/**
 * The keys that a claim takes, as EventBridge patterns. Only a wildcard can say "starts and ends with", and it respects
 * case: the schedule finds names in mixed case such as `a.Csv`.
 */
function waitingKeys(): { wildcard: string }[] {
  return [".csv", ".csv.gz"]
    .flatMap((suffix) => [suffix, suffix.toUpperCase()])
    .map((suffix) => ({ wildcard: `${folderOf("incoming")}*${suffix}` }));
}

function onlyFrom(rules: aws.cloudwatch.EventRule[], queue: aws.sqs.Queue): pulumi.Output<string> {
  return pulumi.jsonStringify({
    Version: "2012-10-17",
    Statement: [
      {
        Sid: "TheseRules",
        Effect: "Allow",
        Principal: { Service: "events.amazonaws.com" },
        Action: "sqs:SendMessage",
        Resource: queue.arn,
        Condition: { ArnEquals: { "aws:SourceArn": rules.map(({ arn }) => arn) } },
      },
      tlsOnly("sqs:*", queue.arn),
    ],
  });
}
