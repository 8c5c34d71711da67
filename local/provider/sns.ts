import {
  CreateTopicCommand,
  DeleteTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  SetTopicAttributesCommand,
  SubscribeCommand,
  UnsubscribeCommand,
} from "@aws-sdk/client-sns";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, tagList } from "./kind";

const topic = kind<aws.sns.TopicArgs>({
  inputs: ["name", "tags"],
  name: "name",
  async put({ name: Name, tags }, { clients: { sns } }) {
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name, Tags: tagList(tags) }));
    return { id: TopicArn ?? "", outs: { arn: TopicArn, tagsAll: tags ?? {} } };
  },
  exists: (TopicArn, _, { clients: { sns } }) => sns.send(new GetTopicAttributesCommand({ TopicArn })),
  remove: (TopicArn, _, { clients: { sns } }) => sns.send(new DeleteTopicCommand({ TopicArn })),
});

const topicPolicy = kind<aws.sns.TopicPolicyArgs>({
  inputs: ["arn", "policy"],
  fixed: ["arn"],
  async put({ arn: TopicArn, policy }, { clients: { sns } }) {
    const AttributeValue = String(policy);
    await sns.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: "Policy", AttributeValue }));
    return { id: TopicArn };
  },
  exists: (TopicArn, _, { clients: { sns } }) => sns.send(new GetTopicAttributesCommand({ TopicArn })),
  // A topic always has a policy, which is deleted with the topic.
  remove: async () => undefined,
});

const subscription = kind<aws.sns.TopicSubscriptionArgs>({
  inputs: ["topic", "protocol", "endpoint"],
  fixed: ["topic", "protocol", "endpoint"],
  async put({ topic, protocol: Protocol, endpoint: Endpoint }, { clients: { sns } }) {
    const TopicArn = String(topic);
    const { SubscriptionArn } = await sns.send(
      new SubscribeCommand({ TopicArn, Protocol: String(Protocol), Endpoint, ReturnSubscriptionArn: true }),
    );
    return { id: SubscriptionArn ?? "", outs: { arn: SubscriptionArn } };
  },
  exists: (SubscriptionArn, _, { clients: { sns } }) =>
    sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn })),
  remove: (SubscriptionArn, _, { clients: { sns } }) => sns.send(new UnsubscribeCommand({ SubscriptionArn })),
});

export const snsKinds: Record<string, Kind> = {
  "aws:sns/topic:Topic": topic,
  "aws:sns/topicPolicy:TopicPolicy": topicPolicy,
  "aws:sns/topicSubscription:TopicSubscription": subscription,
};
