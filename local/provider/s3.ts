import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketEncryptionCommand,
  DeleteBucketLifecycleCommand,
  DeleteBucketOwnershipControlsCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  DeletePublicAccessBlockCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetPublicAccessBlockCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type LifecycleRule,
  ListObjectVersionsCommand,
  type ObjectOwnership,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketPolicyCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
  type ServerSideEncryption,
  type TransitionStorageClass,
} from "@aws-sdk/client-s3";
import type * as aws from "@pulumi/aws";
import { bytesOf } from "./archive";
import { type Kind, kind, notFound, tagList, unless } from "./kind";

const bucket = kind<aws.s3.BucketArgs>({
  inputs: ["bucket", "forceDestroy", "tags"],
  name: "bucket",
  async put({ bucket: Bucket = "", tags }, { clients: { s3 }, region }) {
    // us-east-1 is the only region that must not be named (Amazon S3 API reference, CreateBucket).
    const CreateBucketConfiguration =
      region === "us-east-1" ? undefined : { LocationConstraint: region as BucketLocationConstraint };
    await unless(
      ["BucketAlreadyOwnedByYou"],
      () => s3.send(new CreateBucketCommand({ Bucket, CreateBucketConfiguration })),
      () => s3.send(new HeadBucketCommand({ Bucket })),
    );
    await s3.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet: tagList(tags) } }));
    const domain = `${Bucket}.s3.amazonaws.com`;
    return {
      id: Bucket,
      outs: { arn: `arn:aws:s3:::${Bucket}`, region, bucketDomainName: domain, tagsAll: tags ?? {} },
    };
  },
  exists: (Bucket, _, { clients: { s3 } }) => s3.send(new HeadBucketCommand({ Bucket })),
  async remove(Bucket, { forceDestroy }, { clients: { s3 } }) {
    if (forceDestroy) await empty(Bucket, s3);
    await s3.send(new DeleteBucketCommand({ Bucket }));
  },
});

async function empty(Bucket: string, s3: S3Client): Promise<void> {
  // Each page is deleted before the next request, so every request gets the first page.
  for (;;) {
    const page = await s3.send(new ListObjectVersionsCommand({ Bucket }));
    const versions = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
    if (versions.length === 0) return;
    for (const { Key, VersionId } of versions) await s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
  }
}

const object = kind<aws.s3.BucketObjectv2Args>({
  inputs: ["bucket", "key", "source"],
  fixed: ["bucket", "key"],
  async put({ bucket, key = "", source }, { clients: { s3 }, root }) {
    const Bucket = String(bucket);
    const { ETag, VersionId } = await s3.send(
      new PutObjectCommand({ Bucket, Key: key, Body: await bytesOf(source, root) }),
    );
    const outs = { arn: `arn:aws:s3:::${Bucket}/${key}`, etag: ETag?.replaceAll('"', ""), versionId: VersionId };
    return { id: `${Bucket}/${key}`, outs };
  },
  exists: (_, { bucket, key }, { clients: { s3 } }) =>
    s3.send(new HeadObjectCommand({ Bucket: String(bucket), Key: key ?? "" })),
  remove: (_, { bucket, key }, { clients: { s3 } }) =>
    s3.send(new DeleteObjectCommand({ Bucket: String(bucket), Key: key ?? "" })),
});

const versioning = kind<aws.s3.BucketVersioningArgs>({
  inputs: ["bucket", "versioningConfiguration.status"],
  fixed: ["bucket"],
  async put({ bucket, versioningConfiguration: { status } }, { clients: { s3 } }) {
    const VersioningConfiguration = { Status: status as "Enabled" | "Suspended" };
    await s3.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    return { id: bucket };
  },
  exists: (Bucket, _, { clients: { s3 } }) => s3.send(new GetBucketVersioningCommand({ Bucket })),
  async actual(Bucket, _, { clients: { s3 } }) {
    const { Status = "Disabled" } = await s3.send(new GetBucketVersioningCommand({ Bucket }));
    return { versioningConfiguration: { status: Status } };
  },
  // Versioning can't be removed, only suspended.
  remove: (Bucket, _, { clients: { s3 } }) =>
    s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Suspended" } })),
});

const ownership = kind<aws.s3.BucketOwnershipControlsArgs>({
  inputs: ["bucket", "rule.objectOwnership"],
  fixed: ["bucket"],
  async put({ bucket, rule }, { clients: { s3 } }) {
    const Rules = [{ ObjectOwnership: rule.objectOwnership as ObjectOwnership }];
    await s3.send(new PutBucketOwnershipControlsCommand({ Bucket: bucket, OwnershipControls: { Rules } }));
    return { id: bucket };
  },
  exists: (Bucket, _, { clients: { s3 } }) => s3.send(new GetBucketOwnershipControlsCommand({ Bucket })),
  remove: (Bucket, _, { clients: { s3 } }) => s3.send(new DeleteBucketOwnershipControlsCommand({ Bucket })),
});

const publicAccessBlock = kind<aws.s3.BucketPublicAccessBlockArgs>({
  inputs: ["bucket", "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"],
  fixed: ["bucket"],
  async put(args, { clients: { s3 } }) {
    await s3.send(
      new PutPublicAccessBlockCommand({
        Bucket: args.bucket,
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: args.blockPublicAcls,
          BlockPublicPolicy: args.blockPublicPolicy,
          IgnorePublicAcls: args.ignorePublicAcls,
          RestrictPublicBuckets: args.restrictPublicBuckets,
        },
      }),
    );
    return { id: args.bucket };
  },
  exists: (Bucket, _, { clients: { s3 } }) => s3.send(new GetPublicAccessBlockCommand({ Bucket })),
  remove: (Bucket, _, { clients: { s3 } }) => s3.send(new DeletePublicAccessBlockCommand({ Bucket })),
});

const encryption = kind<aws.s3.BucketServerSideEncryptionConfigurationArgs>({
  inputs: [
    "bucket",
    "rules.applyServerSideEncryptionByDefault.sseAlgorithm",
    "rules.applyServerSideEncryptionByDefault.kmsMasterKeyId",
    "rules.bucketKeyEnabled",
  ],
  fixed: ["bucket"],
  async put({ bucket, rules }, { clients: { s3 } }) {
    const Rules = rules.map((rule) => ({
      ApplyServerSideEncryptionByDefault: {
        SSEAlgorithm: rule.applyServerSideEncryptionByDefault?.sseAlgorithm as ServerSideEncryption,
        KMSMasterKeyID: rule.applyServerSideEncryptionByDefault?.kmsMasterKeyId,
      },
      BucketKeyEnabled: rule.bucketKeyEnabled,
    }));
    await s3.send(new PutBucketEncryptionCommand({ Bucket: bucket, ServerSideEncryptionConfiguration: { Rules } }));
    return { id: bucket };
  },
  exists: (Bucket, _, { clients: { s3 } }) => s3.send(new GetBucketEncryptionCommand({ Bucket })),
  remove: (Bucket, _, { clients: { s3 } }) => s3.send(new DeleteBucketEncryptionCommand({ Bucket })),
});

const lifecycle = kind<aws.s3.BucketLifecycleConfigurationArgs>({
  inputs: [
    "bucket",
    "rules.id",
    "rules.status",
    "rules.filter.prefix",
    "rules.abortIncompleteMultipartUpload.daysAfterInitiation",
    "rules.noncurrentVersionExpiration.noncurrentDays",
    "rules.transitions.days",
    "rules.transitions.storageClass",
    "rules.expiration.days",
    "rules.expiration.expiredObjectDeleteMarker",
  ],
  fixed: ["bucket"],
  async put({ bucket, rules }, { clients: { s3 } }) {
    const Rules = (rules ?? []).map(
      (rule): LifecycleRule => ({
        ID: rule.id,
        Status: rule.status as "Enabled" | "Disabled",
        Filter: { Prefix: rule.filter?.prefix ?? "" },
        ...(rule.abortIncompleteMultipartUpload && {
          AbortIncompleteMultipartUpload: {
            DaysAfterInitiation: rule.abortIncompleteMultipartUpload.daysAfterInitiation,
          },
        }),
        ...(rule.noncurrentVersionExpiration && {
          NoncurrentVersionExpiration: { NoncurrentDays: rule.noncurrentVersionExpiration.noncurrentDays },
        }),
        ...(rule.transitions && {
          Transitions: rule.transitions.map(({ days, storageClass }) => ({
            Days: days,
            StorageClass: storageClass as TransitionStorageClass,
          })),
        }),
        ...(rule.expiration && {
          Expiration: {
            Days: rule.expiration.days,
            ExpiredObjectDeleteMarker: rule.expiration.expiredObjectDeleteMarker,
          },
        }),
      }),
    );
    await s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration: { Rules } }));
    return { id: bucket };
  },
  exists: (Bucket, _, { clients: { s3 } }) => s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket })),
  remove: (Bucket, _, { clients: { s3 } }) => s3.send(new DeleteBucketLifecycleCommand({ Bucket })),
});

const policy = kind<aws.s3.BucketPolicyArgs>({
  inputs: ["bucket", "policy"],
  fixed: ["bucket"],
  async put({ bucket, policy }, { clients: { s3 } }) {
    await s3.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: String(policy) }));
    return { id: bucket };
  },
  exists: (Bucket, _, { clients: { s3 } }) => s3.send(new GetBucketPolicyCommand({ Bucket })),
  remove: (Bucket, _, { clients: { s3 } }) => s3.send(new DeleteBucketPolicyCommand({ Bucket })),
});

const notification = kind<aws.s3.BucketNotificationArgs>({
  inputs: ["bucket", "eventbridge"],
  fixed: ["bucket"],
  async put({ bucket: Bucket, eventbridge }, { clients: { s3 } }) {
    const NotificationConfiguration = eventbridge ? { EventBridgeConfiguration: {} } : {};
    await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }));
    return { id: Bucket };
  },
  async exists(Bucket, { eventbridge }, { clients: { s3 } }) {
    const { EventBridgeConfiguration } = await s3.send(new GetBucketNotificationConfigurationCommand({ Bucket }));
    if (eventbridge && !EventBridgeConfiguration) throw notFound(`the bucket ${Bucket} does not notify EventBridge`);
  },
  remove: (Bucket, _, { clients: { s3 } }) =>
    s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration: {} })),
});

export const s3Kinds: Record<string, Kind> = {
  "aws:s3/bucket:Bucket": bucket,
  "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": lifecycle,
  "aws:s3/bucketNotification:BucketNotification": notification,
  "aws:s3/bucketObjectv2:BucketObjectv2": object,
  "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ownership,
  "aws:s3/bucketPolicy:BucketPolicy": policy,
  "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": publicAccessBlock,
  "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": encryption,
  "aws:s3/bucketVersioning:BucketVersioning": versioning,
};
