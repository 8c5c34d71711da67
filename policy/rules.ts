import type * as aws from "@pulumi/aws";
import type { PolicyResource, ResourceValidationPolicy, StackValidationPolicy } from "@pulumi/policy";
import type { Unwrap } from "@pulumi/pulumi";
// Without a default import: Pulumi compiles the pack by options of its own.
import * as layout from "../layout.json";
import { reaches, refusesPlainHttp, statementsOf, tests } from "./documents";

type Say = (problem: string) => void;

/** A rule about each resource of a type. `check` says what is wrong, if anything is. */
function each<Args>(
  name: string,
  type: string,
  description: string,
  check: (resource: Unwrap<Args>, say: Say) => void,
): ResourceValidationPolicy {
  return {
    name,
    description,
    enforcementLevel: "mandatory",
    validateResource: (args, report) => {
      if (args.type === `aws:${type}`) check(args.props as Unwrap<Args>, report);
    },
  };
}

const bucketRules = [
  each<aws.s3.BucketPublicAccessBlockArgs>(
    "bucket-private",
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "A bucket lets nothing be public, by whatever way (S3.2, S3.3, S3.8).",
    (block, say) => {
      const ways = ["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"] as const;
      for (const way of ways) if (block[way] !== true) say(`${way} must be true`);
    },
  ),
  each<aws.s3.BucketServerSideEncryptionConfigurationArgs>(
    "bucket-encrypted",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "A bucket encrypts by S3's key or one of KMS; one of KMS as a bucket key, or each object costs a request.",
    ({ rules }, say) => {
      const [rule] = rules;
      const by = rule?.applyServerSideEncryptionByDefault?.sseAlgorithm;
      if (by !== "AES256" && by !== "aws:kms") say(`objects must be encrypted by AES256 or aws:kms, not by ${by}`);
      if (by === "aws:kms" && rule?.bucketKeyEnabled !== true) say("bucketKeyEnabled must be true");
    },
  ),
  each<aws.s3.BucketVersioningArgs>(
    "bucket-versioned",
    "s3/bucketVersioning:BucketVersioning",
    "A bucket keeps versions: a move deletes, and a deletion must be reparable.",
    ({ versioningConfiguration: { status } }, say) => {
      if (status !== "Enabled") say(`versioning must be Enabled, not ${status}`);
    },
  ),
  each<aws.s3.BucketLifecycleConfigurationArgs>(
    "bucket-tidy",
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "Old versions and uploads that were broken off go by themselves (S3.13).",
    ({ rules = [] }, say) => {
      const active = rules.filter(({ status }) => status === "Enabled");
      if (!active.some((rule) => rule.noncurrentVersionExpiration)) say("old versions must expire");
      if (!active.some((rule) => rule.abortIncompleteMultipartUpload)) say("broken-off uploads must be removed");
    },
  ),
  each<aws.s3.BucketPolicyArgs>(
    "bucket-tls-only",
    "s3/bucketPolicy:BucketPolicy",
    "A bucket refuses plain HTTP, itself and its objects, and lets nobody in from outside (S3.2, S3.3, S3.5).",
    ({ bucket, policy }, say) => {
      const own = [endingIn(":", bucket), endingIn(":", `${bucket}/*`)];
      if (!refusesPlainHttp(policy, "s3:*", own))
        say("s3:* on the bucket and its objects must be refused where aws:SecureTransport is false");
      for (const { effect, isForAnyone, isByExclusion } of statementsOf(policy))
        if (effect === "Allow" && (isForAnyone || isByExclusion)) say("nothing may be allowed to everybody");
    },
  ),
  each<aws.s3.BucketPolicyArgs>(
    "bucket-scripts-own",
    "s3/bucketPolicy:BucketPolicy",
    `A bucket lets no other account write below ${layout.scripts}: the jobs run what lies there, with their rights.`,
    ({ bucket, policy }, say) => {
      const refused = statementsOf(policy).filter(
        ({ effect, isForAnyone, resources, condition }) =>
          effect === "Deny" &&
          isForAnyone &&
          resources.some((one) => endingIn(":", `${bucket}/${layout.scripts}*`).test(one)) &&
          Object.keys(condition).length === 1 &&
          /^\d{12}$/.test(String(condition.StringNotEquals?.["aws:PrincipalAccount"])),
      );
      for (const action of ["s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObject", "s3:DeleteObjectVersion"])
        if (!refused.some(({ actions }) => actions.includes(action)))
          say(`${action} on ${layout.scripts}* must be refused to other accounts`);
    },
  ),
];

/** A pattern for ARNs that end in a name, behind a separator. */
function endingIn(separator: string, name: unknown): RegExp {
  return new RegExp(`${separator}${String(name).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
}

const tableRules = [
  each<aws.dynamodb.TableArgs>(
    "table-restorable",
    "dynamodb/table:Table",
    "A table can be restored to any second of the last weeks (DynamoDB.2).",
    (table, say) => {
      if (table.pointInTimeRecovery?.enabled !== true) say("point-in-time recovery must be enabled");
    },
  ),
  each<aws.dynamodb.TableArgs>(
    "table-paid-by-request",
    "dynamodb/table:Table",
    "A table grows with what comes, and costs nothing while nothing does (DynamoDB.1).",
    ({ billingMode }, say) => {
      if (billingMode !== "PAY_PER_REQUEST") say(`billingMode must be PAY_PER_REQUEST, not ${billingMode}`);
    },
  ),
];

// What knows no resources, so that only a condition can bound it.
const WITHOUT_RESOURCE = ["cloudwatch:PutMetricData"];

const roleRules = [
  each<aws.iam.RoleArgs>(
    "role-of-one-service",
    "iam/role:Role",
    "A role is assumed by one service, for this account.",
    ({ assumeRolePolicy }, say) => {
      for (const statement of statementsOf(assumeRolePolicy)) {
        if (statement.services.length !== 1) say("exactly one service may assume the role, and nobody else");
        if (!tests(statement, "aws:SourceAccount", "aws:SourceArn")) say("the trust must be bound to the account");
      }
    },
  ),
  each<aws.iam.RolePolicyArgs>(
    "role-least-privilege",
    "iam/rolePolicy:RolePolicy",
    "A role's policy names actions, and resources that are its own (IAM.1, IAM.21).",
    ({ policy }, say) => {
      for (const { effect, actions, resources, condition, isByExclusion } of statementsOf(policy)) {
        if (effect !== "Allow") continue;
        if (isByExclusion) say("what is allowed must be named, not what is left out");
        for (const action of actions) if (action.includes("*")) say(`the action ${action} must be named in full`);
        const isBound = actions.every((one) => WITHOUT_RESOURCE.includes(one)) && Object.keys(condition).length > 0;
        for (const resource of resources) {
          if (/^(\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:\*)$/.test(resource) && !isBound)
            say(`${actions}: ${resource} is too much`);
        }
      }
    },
  ),
  each<aws.iam.RolePolicyArgs>(
    "role-leaves-scripts",
    "iam/rolePolicy:RolePolicy",
    `No role may write below ${layout.scripts}: what runs must not change what runs.`,
    ({ policy }, say) => {
      for (const { effect, actions, resources } of statementsOf(policy)) {
        const writes = actions.filter((one) => /^s3:(Put|Delete|Restore|Replicate|ObjectOwner|Bypass)/i.test(one));
        if (effect !== "Allow" || writes.length === 0) continue;
        for (const resource of resources) if (reaches(resource, layout.scripts)) say(`${writes}: not on ${resource}`);
      }
    },
  ),
  each<aws.iam.RolePolicyArgs>(
    "role-passes-to-one-service",
    "iam/rolePolicy:RolePolicy",
    "A role may hand on another one to a service that is named, and to no other.",
    ({ policy }, say) => {
      for (const { effect, actions, condition } of statementsOf(policy)) {
        if (effect !== "Allow" || !actions.includes("iam:PassRole")) continue;
        const service = condition.StringEquals?.["iam:PassedToService"];
        if (typeof service !== "string") say("iam:PassRole must be bound by iam:PassedToService");
      }
    },
  ),
  each<aws.iam.RolePolicyAttachmentArgs>(
    "role-no-managed-policy",
    "iam/rolePolicyAttachment:RolePolicyAttachment",
    "A role has a policy of its own; managed ones allow more than any one part needs.",
    ({ policyArn }, say) => say(`${policyArn} must not be attached`),
  ),
];

const RUNTIMES = ["nodejs24.x", "nodejs26.x"];

const functionRules = [
  each<aws.lambda.FunctionArgs>(
    "function-runtime",
    "lambda/function:Function",
    "A function's runtime is named, and one that AWS still keeps (Lambda.2).",
    ({ runtime }, say) => {
      if (!RUNTIMES.includes(String(runtime))) say(`the runtime must be one of ${RUNTIMES}, not ${runtime}`);
    },
  ),
  each<aws.lambda.FunctionArgs>(
    "function-logs",
    "lambda/function:Function",
    "A function logs JSON into a group of the stack; a group that Lambda makes keeps logs for ever.",
    ({ loggingConfig }, say) => {
      if (loggingConfig?.logFormat !== "JSON") say("logFormat must be JSON");
      if (!loggingConfig?.logGroup) say("logGroup must name a group of the stack");
    },
  ),
  each<aws.lambda.PermissionArgs>(
    "function-called-by-known",
    "lambda/permission:Permission",
    "Who may call a function is named by its ARN or account, not by its service alone, and is not everybody (Lambda.1).",
    ({ principal, sourceArn, sourceAccount }, say) => {
      if (principal === "*") say("principal must be a service, not everybody");
      if (!sourceArn && !sourceAccount) say("sourceArn or sourceAccount must be set");
    },
  ),
  each<aws.lambda.FunctionEventInvokeConfigArgs>(
    "function-failures-kept",
    "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
    "Calls of a function are tried again for a while only, and kept when they fail to the last.",
    (config, say) => {
      if (!config.destinationConfig?.onFailure?.destination) say("onFailure must name a queue");
      if (config.maximumRetryAttempts === undefined) say("maximumRetryAttempts must be set");
      if (!(Number(config.maximumEventAgeInSeconds) <= 3600)) say("maximumEventAgeInSeconds must be an hour at most");
    },
  ),
];

const SPARK_VERSIONS = /^([5-9]|\d{2,})\.\d+$/;

const glueRules = [
  each<aws.glue.JobArgs>(
    "job-bounded",
    "glue/job:Job",
    "A job runs once at a time and ends in time; the ledger tries again, not Glue.",
    ({ timeout, maxRetries, executionProperty }, say) => {
      if (!timeout) say("timeout must be set");
      if (maxRetries !== 0) say("maxRetries must be 0");
      if (executionProperty?.maxConcurrentRuns !== 1) say("maxConcurrentRuns must be 1");
    },
  ),
  each<aws.glue.JobArgs>(
    "job-version",
    "glue/job:Job",
    "A job runs on a version that Glue supports: Spark 5.0 or later, Python shell 3.9 (Glue.4).",
    ({ command, glueVersion }, say) => {
      if (command.name === "pythonshell") {
        if (command.pythonVersion !== "3.9") say(`pythonVersion must be 3.9, not ${command.pythonVersion}`);
      } else if (!SPARK_VERSIONS.test(glueVersion ?? "")) say(`glueVersion must be 5.0 or later, not ${glueVersion}`);
    },
  ),
  each<aws.glue.TriggerArgs>(
    "trigger-not-fired",
    "glue/trigger:Trigger",
    "An ON_DEMAND trigger is not enabled, or each deploy starts a run.",
    ({ type, enabled }, say) => {
      if (type === "ON_DEMAND" && enabled !== false) say("enabled must be false");
    },
  ),
  each<aws.glue.WorkflowArgs>(
    "workflow-one-run",
    "glue/workflow:Workflow",
    "Two runs at a time would write the same days.",
    ({ maxConcurrentRuns }, say) => {
      if (maxConcurrentRuns !== 1) say(`maxConcurrentRuns must be 1, not ${maxConcurrentRuns}`);
    },
  ),
];

const operationRules = [
  each<aws.cloudwatch.LogGroupArgs>(
    "logs-expire",
    "cloudwatch/logGroup:LogGroup",
    "Logs are kept for a time that the stack sets, not for ever (CloudWatch.16).",
    ({ retentionInDays }, say) => {
      if (!retentionInDays) say("retentionInDays must be set");
    },
  ),
  each<aws.scheduler.ScheduleArgs>(
    "schedule-bounded",
    "scheduler/schedule:Schedule",
    "A call that can't be delivered is dropped soon, since the next one does its work, and kept as a dead letter.",
    ({ target }, say) => {
      if (!target.deadLetterConfig?.arn) say("deadLetterConfig must name a queue");
      if (!(Number(target.retryPolicy?.maximumEventAgeInSeconds) <= 3600)) say("events must be an hour old at most");
    },
  ),
  each<aws.cloudwatch.EventTargetArgs>(
    "event-kept",
    "cloudwatch/eventTarget:EventTarget",
    "An event that can't be delivered is kept as a dead letter.",
    ({ deadLetterConfig }, say) => {
      if (!deadLetterConfig?.arn) say("deadLetterConfig must name a queue");
    },
  ),
  each<aws.sqs.QueueArgs>(
    "queue-encrypted",
    "sqs/queue:Queue",
    "A queue encrypts what it keeps (SQS.1).",
    ({ sqsManagedSseEnabled, kmsMasterKeyId }, say) => {
      if (sqsManagedSseEnabled !== true && !kmsMasterKeyId) say("sqsManagedSseEnabled must be true");
    },
  ),
  each<aws.sqs.QueuePolicyArgs>(
    "queue-tls-only",
    "sqs/queuePolicy:QueuePolicy",
    "A queue refuses plain HTTP, and services that don't say for whom they come.",
    ({ queueUrl, policy }, say) => {
      const own = [endingIn(":", String(queueUrl).replace(/^.*\//, ""))];
      if (!refusesPlainHttp(policy, "sqs:*", own)) say("sqs:* must be refused where aws:SecureTransport is false");
      sayWhatIsUnbound(policy, say);
    },
  ),
  each<aws.sns.TopicPolicyArgs>(
    "topic-tls-only",
    "sns/topicPolicy:TopicPolicy",
    "A topic refuses plain HTTP, and services that don't say for whom they come.",
    ({ arn, policy }, say) => {
      // SNS takes no sns:* in a topic's policy; what it takes over plain HTTP at all is Publish.
      if (!refusesPlainHttp(policy, "sns:Publish", [arn]))
        say("sns:Publish must be refused where aws:SecureTransport is false");
      sayWhatIsUnbound(policy, say);
    },
  ),
  each<aws.cloudwatch.MetricAlarmArgs>(
    "alarm-told",
    "cloudwatch/metricAlarm:MetricAlarm",
    "An alarm tells somebody, and says what to do.",
    ({ alarmActions, alarmDescription }, say) => {
      if (!alarmActions?.length) say("alarmActions must name a topic");
      if (!/docs\/operations\.md#[a-z-]+$/.test(alarmDescription ?? "")) say("the description must lead to the manual");
    },
  ),
];

function sayWhatIsUnbound(policy: unknown, say: Say): void {
  for (const statement of statementsOf(policy)) {
    const isBound = tests(statement, "aws:SourceArn", "aws:SourceAccount");
    if (statement.effect === "Allow" && !isBound) say("what is allowed must be bound to the account");
  }
}

const TAGGED =
  /^aws:(s3\/bucket:|dynamodb\/table:|lambda\/function:|iam\/role:|glue\/(job|workflow|trigger):|sqs\/queue:|sns\/topic:|cloudwatch\/(logGroup|metricAlarm|eventRule):)/;

const tagRule: ResourceValidationPolicy = {
  name: "tagged",
  description: "What costs money says which project and stack it belongs to.",
  enforcementLevel: "mandatory",
  validateResource: ({ type, props }, report) => {
    if (!TAGGED.test(type)) return;
    for (const key of ["project", "stack"]) if (!props.tags?.[key]) report(`the tag ${key} is missing`);
  },
};

const BUCKET_GUARDS = [
  "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
  "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
  "s3/bucketVersioning:BucketVersioning",
  "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
  "s3/bucketPolicy:BucketPolicy",
];

/** The role by which something acts. */
const ROLE_OF: Record<string, (props: PolicyResource["props"]) => unknown> = {
  "aws:lambda/function:Function": ({ role }) => role,
  "aws:glue/job:Job": ({ roleArn }) => roleArn,
  "aws:scheduler/schedule:Schedule": ({ target }) => target?.roleArn,
};

/** Whether what holds data is kept from being deleted with it. */
const PROTECTED: Record<string, (props: PolicyResource["props"]) => boolean> = {
  "aws:s3/bucket:Bucket": ({ forceDestroy }) => forceDestroy !== true,
  "aws:dynamodb/table:Table": ({ deletionProtectionEnabled }) => deletionProtectionEnabled === true,
};

// What a rule about one resource can't see: that another one is missing.
const stackRules: StackValidationPolicy[] = [
  {
    name: "bucket-guarded",
    description: "Each bucket has all that the rules about buckets look at.",
    enforcementLevel: "mandatory",
    validateStack: ({ resources }, report) => {
      for (const bucket of resources.filter(({ type }) => type === "aws:s3/bucket:Bucket")) {
        for (const guard of BUCKET_GUARDS) {
          const isThere = resources.some(
            ({ type, props }) => type === `aws:${guard}` && props.bucket === bucket.props.bucket,
          );
          if (!isThere) report(`the bucket ${bucket.name} has no ${guard.split(":")[1]}`, bucket.urn);
        }
      }
    },
  },
  {
    name: "topic-guarded",
    description: "Each topic and queue has a policy, which the rules about them look at.",
    enforcementLevel: "mandatory",
    validateStack: ({ resources }, report) => {
      for (const { type, name, urn, props } of resources) {
        const isTopic = type === "aws:sns/topic:Topic";
        if (!isTopic && type !== "aws:sqs/queue:Queue") continue;
        const isGuarded = resources.some((one) =>
          isTopic
            ? one.type === "aws:sns/topicPolicy:TopicPolicy" && one.props.arn === props.arn
            : one.type === "aws:sqs/queuePolicy:QueuePolicy" && one.props.queueUrl === props.url,
        );
        if (!isGuarded) report(`${name} has no policy`, urn);
      }
    },
  },
  {
    name: "role-own",
    description: "Each function, job and schedule has a role of its own.",
    enforcementLevel: "mandatory",
    validateStack: ({ resources }, report) => {
      const users = new Map<unknown, string>();
      for (const { type, name, urn, props } of resources) {
        const role = ROLE_OF[type]?.(props);
        if (role === undefined) continue;
        const other = users.get(role);
        if (other !== undefined) report(`${name} shares the role of ${other}`, urn);
        users.set(role, name);
      }
    },
  },
  {
    name: "data-protected",
    description:
      "Where one holder of data is protected from deletion, all are; on the stack prod they must be (DynamoDB.6).",
    enforcementLevel: "mandatory",
    validateStack: ({ resources }, report) => {
      const holders = resources.flatMap(({ type, name, urn, props }) => {
        const isProtected = PROTECTED[type]?.(props);
        return isProtected === undefined ? [] : [{ name, urn, isProtected, isProd: props.tags?.stack === "prod" }];
      });
      const isAsked = holders.some(({ isProtected, isProd }) => isProtected || isProd);
      for (const { name, urn, isProtected } of holders)
        if (isAsked && !isProtected) report(`${name} must be protected from deletion`, urn);
    },
  },
  {
    name: "key-usable",
    description: "Where a key of KMS encrypts a bucket, who reads and writes its objects may use that key.",
    enforcementLevel: "mandatory",
    validateStack: ({ resources }, report) => {
      const keys = resources
        .filter(({ type }) => type === `aws:${BUCKET_GUARDS[1]}`)
        .map(({ props }) => props.rules?.[0]?.applyServerSideEncryptionByDefault?.kmsMasterKeyId)
        .filter((key) => key !== undefined);
      for (const { name, urn, props } of resources.filter(({ type }) => type === "aws:iam/rolePolicy:RolePolicy")) {
        const statements = statementsOf(props.policy).filter(({ effect }) => effect === "Allow");
        for (const [action, use] of [
          ["s3:GetObject", "kms:Decrypt"],
          ["s3:PutObject", "kms:GenerateDataKey"],
        ] as const) {
          if (!statements.some(({ actions }) => actions.includes(action))) continue;
          for (const key of keys)
            if (!statements.some(({ actions, resources: on }) => actions.includes(use) && on.includes(key)))
              report(`${name} allows ${action} without ${use} on ${key}`, urn);
        }
      }
    },
  },
  {
    name: "function-watched",
    description: "Each function's errors raise an alarm, and its failed calls are kept.",
    enforcementLevel: "mandatory",
    validateStack: ({ resources }, report) => {
      const of = (type: string) => resources.filter((one) => one.type === `aws:${type}`);
      for (const fn of of("lambda/function:Function")) {
        const isWatched = of("cloudwatch/metricAlarm:MetricAlarm").some(
          ({ props }) => props.metricName === "Errors" && props.dimensions?.FunctionName === fn.props.name,
        );
        if (!isWatched) report(`no alarm watches the errors of the function ${fn.name}`, fn.urn);
        const isKept = of("lambda/functionEventInvokeConfig:FunctionEventInvokeConfig").some(
          ({ props }) => props.functionName === fn.props.name,
        );
        if (!isKept) report(`nothing says what becomes of failed calls of the function ${fn.name}`, fn.urn);
      }
    },
  },
];

/** What every stack must hold to, checked before anything is deployed. */
export const rules: (ResourceValidationPolicy | StackValidationPolicy)[] = [
  ...bucketRules,
  ...tableRules,
  ...roleRules,
  ...functionRules,
  ...glueRules,
  ...operationRules,
  tagRule,
  ...stackRules,
];
