import * as cloudwatch from "@aws-sdk/client-cloudwatch";
import * as logs from "@aws-sdk/client-cloudwatch-logs";
import * as dynamodb from "@aws-sdk/client-dynamodb";
import * as events from "@aws-sdk/client-eventbridge";
import * as glue from "@aws-sdk/client-glue";
import * as iam from "@aws-sdk/client-iam";
import * as lambda from "@aws-sdk/client-lambda";
import * as s3 from "@aws-sdk/client-s3";
import * as sns from "@aws-sdk/client-sns";
import * as sqs from "@aws-sdk/client-sqs";
import type { Clients } from "./clients";
import { type Properties, tagList } from "./kind";

type Tags = Record<string, string>;

/** How to read and change tags in a service. */
interface Tagging {
  /** How the service identifies a resource, if not by its ARN. */
  by?: "id";
  read(at: string, clients: Clients): Promise<Tags>;
  set(at: string, tags: Tags, clients: Clients): Promise<unknown>;
  remove(at: string, keys: string[], clients: Clients): Promise<unknown>;
}

const onGlue: Tagging = {
  read: async (ResourceArn, { glue: client }) =>
    (await client.send(new glue.GetTagsCommand({ ResourceArn }))).Tags ?? {},
  set: (ResourceArn, TagsToAdd, { glue: client }) =>
    client.send(new glue.TagResourceCommand({ ResourceArn, TagsToAdd })),
  remove: (ResourceArn, TagsToRemove, { glue: client }) =>
    client.send(new glue.UntagResourceCommand({ ResourceArn, TagsToRemove })),
};

const onLambda: Tagging = {
  read: async (Resource, { lambda: client }) =>
    (await client.send(new lambda.ListTagsCommand({ Resource }))).Tags ?? {},
  set: (Resource, Tags, { lambda: client }) => client.send(new lambda.TagResourceCommand({ Resource, Tags })),
  remove: (Resource, TagKeys, { lambda: client }) =>
    client.send(new lambda.UntagResourceCommand({ Resource, TagKeys })),
};

const TAGGING: Record<string, Tagging> = {
  "aws:cloudwatch/eventRule:EventRule": {
    read: async (ResourceARN, { events: client }) =>
      byKey((await client.send(new events.ListTagsForResourceCommand({ ResourceARN }))).Tags),
    set: (ResourceARN, tags, { events: client }) =>
      client.send(new events.TagResourceCommand({ ResourceARN, Tags: tagList(tags) })),
    remove: (ResourceARN, TagKeys, { events: client }) =>
      client.send(new events.UntagResourceCommand({ ResourceARN, TagKeys })),
  },
  "aws:cloudwatch/logGroup:LogGroup": {
    read: async (resourceArn, { logs: client }) =>
      (await client.send(new logs.ListTagsForResourceCommand({ resourceArn }))).tags ?? {},
    set: (resourceArn, tags, { logs: client }) => client.send(new logs.TagResourceCommand({ resourceArn, tags })),
    remove: (resourceArn, tagKeys, { logs: client }) =>
      client.send(new logs.UntagResourceCommand({ resourceArn, tagKeys })),
  },
  "aws:cloudwatch/metricAlarm:MetricAlarm": {
    read: async (ResourceARN, { cloudwatch: client }) =>
      byKey((await client.send(new cloudwatch.ListTagsForResourceCommand({ ResourceARN }))).Tags),
    set: (ResourceARN, tags, { cloudwatch: client }) =>
      client.send(new cloudwatch.TagResourceCommand({ ResourceARN, Tags: tagList(tags) })),
    remove: (ResourceARN, TagKeys, { cloudwatch: client }) =>
      client.send(new cloudwatch.UntagResourceCommand({ ResourceARN, TagKeys })),
  },
  "aws:dynamodb/table:Table": {
    read: async (ResourceArn, { dynamodb: client }) =>
      byKey((await client.send(new dynamodb.ListTagsOfResourceCommand({ ResourceArn }))).Tags),
    set: (ResourceArn, tags, { dynamodb: client }) =>
      client.send(new dynamodb.TagResourceCommand({ ResourceArn, Tags: tagList(tags) })),
    remove: (ResourceArn, TagKeys, { dynamodb: client }) =>
      client.send(new dynamodb.UntagResourceCommand({ ResourceArn, TagKeys })),
  },
  "aws:glue/catalogDatabase:CatalogDatabase": onGlue,
  "aws:glue/job:Job": onGlue,
  "aws:glue/trigger:Trigger": onGlue,
  "aws:glue/workflow:Workflow": onGlue,
  "aws:iam/role:Role": {
    by: "id",
    read: async (RoleName, { iam: client }) =>
      byKey((await client.send(new iam.ListRoleTagsCommand({ RoleName }))).Tags),
    set: (RoleName, tags, { iam: client }) => client.send(new iam.TagRoleCommand({ RoleName, Tags: tagList(tags) })),
    remove: (RoleName, TagKeys, { iam: client }) => client.send(new iam.UntagRoleCommand({ RoleName, TagKeys })),
  },
  "aws:lambda/eventSourceMapping:EventSourceMapping": onLambda,
  "aws:lambda/function:Function": onLambda,
  "aws:s3/bucket:Bucket": {
    by: "id",
    read: async (Bucket, { s3: client }) =>
      byKey((await client.send(new s3.GetBucketTaggingCommand({ Bucket }))).TagSet),
    // The bucket's kind has set all of them: S3 has no call for a single tag.
    set: async () => undefined,
    remove: async () => undefined,
  },
  "aws:sns/topic:Topic": {
    read: async (ResourceArn, { sns: client }) =>
      byKey((await client.send(new sns.ListTagsForResourceCommand({ ResourceArn }))).Tags),
    set: (ResourceArn, tags, { sns: client }) =>
      client.send(new sns.TagResourceCommand({ ResourceArn, Tags: tagList(tags) })),
    remove: (ResourceArn, TagKeys, { sns: client }) =>
      client.send(new sns.UntagResourceCommand({ ResourceArn, TagKeys })),
  },
  "aws:sqs/queue:Queue": {
    by: "id",
    read: async (QueueUrl, { sqs: client }) =>
      (await client.send(new sqs.ListQueueTagsCommand({ QueueUrl }))).Tags ?? {},
    set: (QueueUrl, Tags, { sqs: client }) => client.send(new sqs.TagQueueCommand({ QueueUrl, Tags })),
    remove: (QueueUrl, TagKeys, { sqs: client }) => client.send(new sqs.UntagQueueCommand({ QueueUrl, TagKeys })),
  },
};

/** The tags that a resource has now. `props` are all of its properties: its inputs, and what AWS added. */
export function readTags(type: string, id: string, props: Properties, clients: Clients): Promise<Tags> {
  const { tagging, at } = find(type, id, props);
  return tagging.read(at, clients);
}

/** Sets a resource's tags to those of its properties, and no others. Most services take tags only in a create. */
export async function putTags(type: string, id: string, props: Properties, clients: Clients): Promise<void> {
  const wanted = (props.tags ?? {}) as Tags;
  const { tagging, at } = find(type, id, props);
  const now = await tagging.read(at, clients);
  const surplus = Object.keys(now).filter((key) => !(key in wanted));
  const missing = Object.entries(wanted).filter(([key, value]) => now[key] !== value);
  if (surplus.length > 0) await tagging.remove(at, surplus, clients);
  if (missing.length > 0) await tagging.set(at, Object.fromEntries(missing), clients);
}

function find(type: string, id: string, props: Properties): { tagging: Tagging; at: string } {
  const tagging = TAGGING[type];
  if (!tagging) throw new Error(`the local cloud can't tag a ${type}`);
  return { tagging, at: tagging.by === "id" ? id : String(props.arn) };
}

function byKey(list: { Key?: string | undefined; Value?: string | undefined }[] = []): Tags {
  return Object.fromEntries(list.map(({ Key = "", Value = "" }) => [Key, Value]));
}
