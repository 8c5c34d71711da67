import type * as aws from "@pulumi/aws";
// Without a default import: Pulumi compiles the pack with its own options.
import * as layout from "../layout.json";
import { endingIn, refusesPlainHttp, statementsOf } from "./documents";
import { each } from "./rule";

export const bucketRules = [
  each<aws.s3.BucketPublicAccessBlockArgs>(
    "bucket-private",
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "A bucket blocks every way of public access (S3.2, S3.3, S3.8).",
    (block, say) => {
      const ways = ["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"] as const;
      for (const way of ways) if (block[way] !== true) say(`${way} must be true`);
    },
  ),
  each<aws.s3.BucketServerSideEncryptionConfigurationArgs>(
    "bucket-encrypted",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "A bucket encrypts with S3's key or a KMS key; with a KMS key it uses a bucket key, or each object costs a request.",
    ({ rules }, say) => {
      const [rule] = rules;
      const by = rule?.applyServerSideEncryptionByDefault?.sseAlgorithm;
      if (by !== "AES256" && by !== "aws:kms") say(`objects must be encrypted with AES256 or aws:kms, not with ${by}`);
      if (by === "aws:kms" && rule?.bucketKeyEnabled !== true) say("bucketKeyEnabled must be true");
    },
  ),
  each<aws.s3.BucketVersioningArgs>(
    "bucket-versioned",
    "s3/bucketVersioning:BucketVersioning",
    "A bucket keeps versions: a move deletes, and someone must be able to undo a deletion.",
    ({ versioningConfiguration: { status } }, say) => {
      if (status !== "Enabled") say(`versioning must be Enabled, not ${status}`);
    },
  ),
  each<aws.s3.BucketLifecycleConfigurationArgs>(
    "bucket-tidy",
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "Old versions and incomplete uploads expire (S3.13).",
    ({ rules = [] }, say) => {
      const active = rules.filter(({ status }) => status === "Enabled");
      if (!active.some((rule) => rule.noncurrentVersionExpiration)) say("old versions must expire");
      if (!active.some((rule) => rule.abortIncompleteMultipartUpload)) say("incomplete uploads must be aborted");
    },
  ),
  each<aws.s3.BucketPolicyArgs>(
    "bucket-tls-only",
    "s3/bucketPolicy:BucketPolicy",
    "A bucket and its objects refuse plain HTTP, and the bucket lets in nobody from outside (S3.2, S3.3, S3.5).",
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

export const tableRules = [
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
    "A table scales with its load, and costs nothing without any (DynamoDB.1).",
    ({ billingMode }, say) => {
      if (billingMode !== "PAY_PER_REQUEST") say(`billingMode must be PAY_PER_REQUEST, not ${billingMode}`);
    },
  ),
];
