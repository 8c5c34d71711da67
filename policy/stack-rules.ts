import type { PolicyResource, StackValidationPolicy } from "@pulumi/policy";
import { statementsOf } from "./documents";

const BUCKET_GUARDS = [
  "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
  "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
  "s3/bucketVersioning:BucketVersioning",
  "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
  "s3/bucketPolicy:BucketPolicy",
];

/** The role that a resource uses. */
const ROLE_OF: Record<string, (props: PolicyResource["props"]) => unknown> = {
  "aws:lambda/function:Function": ({ role }) => role,
  "aws:glue/job:Job": ({ roleArn }) => roleArn,
  "aws:scheduler/schedule:Schedule": ({ target }) => target?.roleArn,
};

/** Whether a resource with data is protected from deletion. */
const PROTECTED: Record<string, (props: PolicyResource["props"]) => boolean> = {
  "aws:s3/bucket:Bucket": ({ forceDestroy }) => forceDestroy !== true,
  "aws:dynamodb/table:Table": ({ deletionProtectionEnabled }) => deletionProtectionEnabled === true,
};

/** Rules for the whole stack: a rule for one resource can't see that another one is missing. */
export const stackRules: StackValidationPolicy[] = [
  {
    name: "bucket-guarded",
    description: "Each bucket has all the settings that the rules for buckets check.",
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
    description: "Each topic and queue has a policy, which the rules for them check.",
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
    description: "Each function, job and schedule has its own role.",
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
      "If one resource with data is protected from deletion, all are; on the stack prod they must be (DynamoDB.6).",
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
    description: "If a KMS key encrypts a bucket, every role that reads or writes its objects may use the key.",
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
        if (!isKept) report(`the function ${fn.name} has no setting for failed calls`, fn.urn);
      }
    },
  },
];
