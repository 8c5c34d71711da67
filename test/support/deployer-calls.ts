import type { Registration } from "../../local/provider/program";
import type { Call } from "./permissions";
import type { Whereabouts } from "./program-record";

/**
 * Actions that a policy can't bind to one of our resources, with what it must allow instead. By "Actions, resources,
 * and condition keys" of each service in AWS's Service Authorization Reference, unless a line says otherwise.
 */
const UNBOUND: Record<string, (at: Whereabouts) => string> = {
  // No resource; the condition key lambda:FunctionArn can limit it.
  "lambda:CreateEventSourceMapping": () => "*",
  // No resource: it lists.
  "logs:DescribeLogGroups": () => "*",
  // The topic is optional: a request that names only the subscription has none.
  "sns:GetSubscriptionAttributes": () => "*",
  "sns:SetSubscriptionAttributes": () => "*",
  "sns:Unsubscribe": () => "*",
  // It lists, so it is checked against all alarms, also with names (Amazon CloudWatch User Guide, "CloudWatch
  // permissions reference").
  "cloudwatch:DescribeAlarms": ({ partition, region, accountId }) =>
    `arn:${partition}:cloudwatch:${region}:${accountId}:alarm:*`,
};

interface Row {
  /** The ARN, after the partition, of a resource with this name. */
  arn: (name: string, at: Whereabouts) => string | string[];
  /** The actions of AWS's provider for this type: create, read, update, tag and delete. */
  actions: string;
}

const regional =
  (service: string, prefix: string): Row["arn"] =>
  (name, { region, accountId }) =>
    `${service}:${region}:${accountId}:${prefix}${name}`;
const bucket: Row["arn"] = (name) => `s3:::${name}`;
const object: Row["arn"] = (name) => `s3:::${name}/a/key`;
const lambda = regional("lambda", "function:");
const inCatalog =
  (...parts: ((database: string) => string)[]): Row["arn"] =>
  (name, { region, accountId }) =>
    ["catalog", ...parts.map((part) => part(name))].map((part) => `glue:${region}:${accountId}:${part}`);
const database = (name: string) => `database/${name}`;
const table = (name: string) => `table/${name}/listens`;
const userFunction = (name: string) => `userDefinedFunction/${name}/any`;

/** What Pulumi's AWS provider calls for each type of resource, and on what. */
const TYPES: Record<string, Row[]> = {
  "cloudwatch/dashboard:Dashboard": [
    {
      arn: (name, { accountId }) => `cloudwatch::${accountId}:dashboard/${name}`,
      actions: "cloudwatch: PutDashboard GetDashboard DeleteDashboards",
    },
  ],
  "cloudwatch/eventRule:EventRule": [
    {
      arn: regional("events", "rule/"),
      actions: "events: PutRule DescribeRule DeleteRule ListTagsForResource TagResource UntagResource",
    },
  ],
  "cloudwatch/eventTarget:EventTarget": [
    { arn: regional("events", "rule/"), actions: "events: PutTargets ListTargetsByRule RemoveTargets" },
  ],
  "cloudwatch/logGroup:LogGroup": [
    {
      arn: regional("logs", "log-group:"),
      actions:
        "logs: CreateLogGroup DescribeLogGroups PutRetentionPolicy DeleteLogGroup ListTagsForResource TagResource UntagResource",
    },
  ],
  "cloudwatch/metricAlarm:MetricAlarm": [
    {
      arn: regional("cloudwatch", "alarm:"),
      actions: "cloudwatch: PutMetricAlarm DescribeAlarms DeleteAlarms ListTagsForResource TagResource UntagResource",
    },
  ],
  "dynamodb/table:Table": [
    {
      arn: regional("dynamodb", "table/"),
      actions:
        "dynamodb: CreateTable DescribeTable UpdateTable DeleteTable DescribeContinuousBackups UpdateContinuousBackups DescribeTimeToLive ListTagsOfResource TagResource UntagResource",
    },
  ],
  "glue/catalogDatabase:CatalogDatabase": [
    { arn: inCatalog(database), actions: "glue: CreateDatabase GetDatabase UpdateDatabase" },
    { arn: inCatalog(database, table, userFunction), actions: "glue: DeleteDatabase" },
    {
      arn: (name, { region, accountId }) => `glue:${region}:${accountId}:${database(name)}`,
      actions: "glue: GetTags TagResource UntagResource",
    },
  ],
  "glue/catalogTable:CatalogTable": [
    {
      arn: inCatalog(database, table),
      actions: "glue: CreateTable GetTable UpdateTable DeleteTable GetPartitionIndexes",
    },
  ],
  "glue/job:Job": [
    {
      arn: regional("glue", "job/"),
      actions: "glue: CreateJob GetJob UpdateJob DeleteJob GetTags TagResource UntagResource",
    },
  ],
  "glue/trigger:Trigger": [
    {
      arn: regional("glue", "trigger/"),
      actions:
        "glue: CreateTrigger GetTrigger UpdateTrigger DeleteTrigger StartTrigger StopTrigger GetTags TagResource UntagResource",
    },
  ],
  "glue/workflow:Workflow": [
    {
      arn: regional("glue", "workflow/"),
      actions: "glue: CreateWorkflow GetWorkflow UpdateWorkflow DeleteWorkflow GetTags TagResource UntagResource",
    },
  ],
  "iam/role:Role": [
    {
      arn: (name, { accountId }) => `iam::${accountId}:role/${name}`,
      actions:
        "iam: CreateRole GetRole UpdateRole UpdateAssumeRolePolicy DeleteRole TagRole UntagRole ListRolePolicies ListAttachedRolePolicies ListInstanceProfilesForRole PassRole",
    },
  ],
  "iam/rolePolicy:RolePolicy": [
    {
      arn: (name, { accountId }) => `iam::${accountId}:role/${name}`,
      actions: "iam: PutRolePolicy GetRolePolicy DeleteRolePolicy",
    },
  ],
  "lambda/eventSourceMapping:EventSourceMapping": [
    {
      arn: (_, { region, accountId }) => `lambda:${region}:${accountId}:event-source-mapping:1234abcd`,
      actions:
        "lambda: CreateEventSourceMapping GetEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping ListTags TagResource UntagResource",
    },
  ],
  "lambda/function:Function": [
    {
      arn: lambda,
      actions:
        "lambda: CreateFunction GetFunction GetFunctionConfiguration GetFunctionCodeSigningConfig ListVersionsByFunction UpdateFunctionCode UpdateFunctionConfiguration DeleteFunction ListTags TagResource UntagResource",
    },
  ],
  "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": [
    {
      arn: lambda,
      actions: "lambda: PutFunctionEventInvokeConfig GetFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig",
    },
  ],
  "lambda/permission:Permission": [{ arn: lambda, actions: "lambda: AddPermission GetPolicy RemovePermission" }],
  "s3/bucket:Bucket": [
    {
      arn: bucket,
      actions:
        "s3: CreateBucket ListBucket ListBucketVersions DeleteBucket GetBucketTagging PutBucketTagging GetBucketAcl GetBucketCORS GetBucketWebsite GetAccelerateConfiguration GetBucketRequestPayment GetBucketLogging GetReplicationConfiguration GetBucketObjectLockConfiguration",
    },
    { arn: object, actions: "s3: DeleteObject DeleteObjectVersion" },
  ],
  "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": [
    { arn: bucket, actions: "s3: PutLifecycleConfiguration GetLifecycleConfiguration" },
  ],
  "s3/bucketNotification:BucketNotification": [
    { arn: bucket, actions: "s3: PutBucketNotification GetBucketNotification" },
  ],
  "s3/bucketObjectv2:BucketObjectv2": [
    { arn: object, actions: "s3: PutObject GetObject GetObjectTagging PutObjectTagging DeleteObject" },
  ],
  "s3/bucketOwnershipControls:BucketOwnershipControls": [
    { arn: bucket, actions: "s3: PutBucketOwnershipControls GetBucketOwnershipControls" },
  ],
  "s3/bucketPolicy:BucketPolicy": [{ arn: bucket, actions: "s3: PutBucketPolicy GetBucketPolicy DeleteBucketPolicy" }],
  "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": [
    { arn: bucket, actions: "s3: PutBucketPublicAccessBlock GetBucketPublicAccessBlock" },
  ],
  "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": [
    { arn: bucket, actions: "s3: PutEncryptionConfiguration GetEncryptionConfiguration" },
  ],
  "s3/bucketVersioning:BucketVersioning": [{ arn: bucket, actions: "s3: PutBucketVersioning GetBucketVersioning" }],
  "scheduler/schedule:Schedule": [
    {
      // The default group, because neither program nor provider names one. There are reports that a policy must allow
      // the whole group, and not only a schedule's name.
      arn: (_, { region, accountId }) => `scheduler:${region}:${accountId}:schedule/default/*`,
      actions: "scheduler: CreateSchedule GetSchedule UpdateSchedule DeleteSchedule",
    },
  ],
  "sns/topic:Topic": [
    {
      arn: regional("sns", ""),
      actions:
        "sns: CreateTopic GetTopicAttributes SetTopicAttributes DeleteTopic ListTagsForResource TagResource UntagResource",
    },
  ],
  "sns/topicPolicy:TopicPolicy": [{ arn: regional("sns", ""), actions: "sns: SetTopicAttributes GetTopicAttributes" }],
  "sns/topicSubscription:TopicSubscription": [
    {
      arn: regional("sns", ""),
      actions: "sns: Subscribe GetSubscriptionAttributes SetSubscriptionAttributes Unsubscribe",
    },
  ],
  "sqs/queue:Queue": [
    {
      arn: regional("sqs", ""),
      actions: "sqs: CreateQueue GetQueueAttributes SetQueueAttributes DeleteQueue ListQueueTags TagQueue UntagQueue",
    },
  ],
  "sqs/queuePolicy:QueuePolicy": [{ arn: regional("sqs", ""), actions: "sqs: SetQueueAttributes GetQueueAttributes" }],
};

/**
 * What a deployer needs for the resources that a program registered, from its creation to its deletion. A generated
 * name is the resource's own with a suffix.
 *
 * @throws Error for a type that TYPES does not have
 */
export function deployerCalls(role: string, made: Registration[], at: Whereabouts): Call[] {
  return made.flatMap(({ type, name, inputs }) => {
    const rows = TYPES[type.replace(/^aws:/, "")];
    if (!rows) throw new Error(`TYPES of deployer-calls.ts has no ${type}: say what AWS's provider calls for it`);
    const given = inputs.dashboardName ?? inputs.databaseName ?? inputs.name;
    const physical = typeof given === "string" ? given : `${name}-0a1b2c3`;
    const calls = rows.flatMap(({ arn, actions }) => {
      const resources = [arn(physical, at)].flat().map((rest) => `arn:${at.partition}:${rest}`);
      const [service, ...names] = actions.split(" ");
      return names.flatMap((each) => {
        const action = `${service}${each}`;
        const unbound = UNBOUND[action]?.(at);
        return (unbound === undefined ? resources : [unbound]).map((resource) => ({ role, action, resource }));
      });
    });
    return [...calls, ...keyCalls(role, type, inputs)];
  });
}

/**
 * What the stack's key asks of a deployer: DynamoDB makes grants in its name (Amazon DynamoDB Developer Guide,
 * "Authorizing use of your KMS key"), and S3 encrypts the scripts that it uploads with the bucket's key, and decrypts
 * them when the provider reads them (Amazon S3 User Guide, "Using server-side encryption with AWS KMS keys").
 */
function keyCalls(role: string, type: string, inputs: Registration["inputs"]): Call[] {
  const { kmsKeyArn } = (inputs.serverSideEncryption ?? {}) as { kmsKeyArn?: string };
  const [rule] = (inputs.rules ?? []) as { applyServerSideEncryptionByDefault?: { kmsMasterKeyId?: string } }[];
  const bucketKey = rule?.applyServerSideEncryptionByDefault?.kmsMasterKeyId;
  const calls = (resource: string, ...names: string[]) =>
    names.map((each) => ({ role, action: `kms:${each}`, resource }));
  if (type.endsWith(":Table") && kmsKeyArn) return calls(kmsKeyArn, "DescribeKey", "CreateGrant");
  if (type.endsWith(":BucketServerSideEncryptionConfiguration") && bucketKey)
    return calls(bucketKey, "GenerateDataKey", "Decrypt");
  return [];
}
