import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { tlsOnly } from "./access";
import type { Settings } from "./settings";

const DAY_SECONDS = 86_400;

/** Keeps, for two weeks, calls of a Lambda that failed on their last try or never arrived. */
export class DeadLetters extends pulumi.ComponentResource {
  readonly queue: aws.sqs.Queue;

  constructor(name: string, args: Pick<Settings, "tags">, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:operations:DeadLetters", name, {}, opts);
    const own = { parent: this };
    this.queue = new aws.sqs.Queue(
      name,
      { messageRetentionSeconds: 14 * DAY_SECONDS, sqsManagedSseEnabled: true, tags: args.tags },
      own,
    );
    const { partition } = aws.getPartitionOutput({}, own);
    const { region } = aws.getRegionOutput({}, own);
    const { accountId } = aws.getCallerIdentityOutput({}, own);
    new aws.sqs.QueuePolicy(
      `${name}-policy`,
      {
        queueUrl: this.queue.url,
        policy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              // Lambdas and the schedule write with their roles; EventBridge's rules have none.
              Sid: "RulesOfThisAccount",
              Effect: "Allow",
              Principal: { Service: "events.amazonaws.com" },
              Action: "sqs:SendMessage",
              Resource: this.queue.arn,
              Condition: {
                ArnLike: {
                  "aws:SourceArn": pulumi.interpolate`arn:${partition}:events:${region}:${accountId}:rule/*`,
                },
              },
            },
            tlsOnly("sqs:*", this.queue.arn),
          ],
        }),
      },
      own,
    );
    this.registerOutputs({ queueUrl: this.queue.url });
  }
}
