import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  type QueueAttributeName,
  SetQueueAttributesCommand,
} from "@aws-sdk/client-sqs";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, notFound, unless } from "./kind";

const queue = kind<aws.sqs.QueueArgs>({
  inputs: ["name", "messageRetentionSeconds", "sqsManagedSseEnabled", "tags"],
  name: "name",
  async put({ name: QueueName = "", messageRetentionSeconds, sqsManagedSseEnabled, tags }, { clients: { sqs } }) {
    const Attributes = {
      MessageRetentionPeriod: String(messageRetentionSeconds ?? 345_600),
      SqsManagedSseEnabled: String(sqsManagedSseEnabled ?? true),
    };
    // A queue that exists with other attributes is an error; one that is asked for without any is given.
    const { QueueUrl } = await unless(
      ["QueueNameExists", "QueueAlreadyExists"],
      () => sqs.send(new CreateQueueCommand({ QueueName, Attributes, tags })),
      () => sqs.send(new CreateQueueCommand({ QueueName })),
    );
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
