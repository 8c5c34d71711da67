import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  type QueueAttributeName,
  SetQueueAttributesCommand,
} from "@aws-sdk/client-sqs";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, notFound } from "./kind";

const queue = kind<aws.sqs.QueueArgs>({
  inputs: [
    "name",
    "messageRetentionSeconds",
    "visibilityTimeoutSeconds",
    "redrivePolicy",
    "sqsManagedSseEnabled",
    "tags",
  ],
  name: "name",
  async put(args, { clients: { sqs } }) {
    const { name: QueueName = "", tags } = args;
    const Attributes = {
      MessageRetentionPeriod: String(args.messageRetentionSeconds ?? 345_600),
      VisibilityTimeout: String(args.visibilityTimeoutSeconds ?? 30),
      // An empty text removes a queue's policy.
      RedrivePolicy: args.redrivePolicy ?? "",
      SqsManagedSseEnabled: String(args.sqsManagedSseEnabled ?? true),
    };
    // CreateQueue fails if the queue exists with other attributes. Without attributes it returns the existing queue.
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName, tags }));
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes }));
    const { Attributes: actual } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
    );
    return { id: QueueUrl ?? "", outs: { arn: actual?.QueueArn, url: QueueUrl, tagsAll: tags ?? {} } };
  },
  exists: (QueueUrl, _, { clients: { sqs } }) => sqs.send(new GetQueueAttributesCommand({ QueueUrl })),
  remove: (QueueUrl, _, { clients: { sqs } }) => sqs.send(new DeleteQueueCommand({ QueueUrl })),
});

const queuePolicy = kind<aws.sqs.QueuePolicyArgs>({
  inputs: ["queueUrl", "policy"],
  fixed: ["queueUrl"],
  async put({ queueUrl: QueueUrl, policy }, { clients: { sqs } }) {
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy: String(policy) } }));
    return { id: QueueUrl };
  },
  async exists(QueueUrl, _, { clients: { sqs } }) {
    const AttributeNames: QueueAttributeName[] = ["Policy"];
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
    if (!Attributes?.Policy) throw notFound(`the queue ${QueueUrl} has no policy`);
  },
  remove: (QueueUrl, _, { clients: { sqs } }) =>
    sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy: "" } })),
});

export const sqsKinds: Record<string, Kind> = {
  "aws:sqs/queue:Queue": queue,
  "aws:sqs/queuePolicy:QueuePolicy": queuePolicy,
};
