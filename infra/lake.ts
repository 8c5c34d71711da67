import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { folderOf, OLD_VERSION_DAYS, prefixOf } from "../runtime/places";
import { tlsOnly } from "./access";
import type { Settings } from "./settings";

type LakeArgs = Pick<Settings, "protect" | "bucketName" | "kmsKeyArn" | "lifecycle" | "tags">;

/** The bucket with every file of the pipeline: private, encrypted, versioned, and reachable only over TLS. */
export class Lake extends pulumi.ComponentResource {
  readonly bucket: aws.s3.Bucket;

  constructor(name: string, args: LakeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:storage:Lake", name, {}, opts);
    const own = { parent: this };
    this.bucket = new aws.s3.Bucket(
      `${name}-bucket`,
      {
        ...(args.bucketName === "" ? {} : { bucket: args.bucketName }),
        forceDestroy: !args.protect,
        tags: args.tags,
      },
      { ...own, protect: args.protect },
    );
    const bucket = this.bucket.bucket;
    new aws.s3.BucketOwnershipControls(
      `${name}-ownership`,
      { bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
      own,
    );
    const privacy = new aws.s3.BucketPublicAccessBlock(
      `${name}-privacy`,
      { bucket, blockPublicAcls: true, blockPublicPolicy: true, ignorePublicAcls: true, restrictPublicBuckets: true },
      own,
    );
    new aws.s3.BucketServerSideEncryptionConfiguration(
      `${name}-encryption`,
      { bucket, rules: [encryption(args.kmsKeyArn)] },
      own,
    );
    const versioning = new aws.s3.BucketVersioning(
      `${name}-versioning`,
      { bucket, versioningConfiguration: { status: "Enabled" } },
      own,
    );
    new aws.s3.BucketLifecycleConfiguration(
      `${name}-lifecycle`,
      {
        bucket,
        rules: [
          {
            // A move leaves an old version behind, in every folder.
            id: "old-versions",
            status: "Enabled",
            filter: { prefix: "" },
            abortIncompleteMultipartUpload: { daysAfterInitiation: 7 },
            noncurrentVersionExpiration: { noncurrentDays: OLD_VERSION_DAYS },
            expiration: { expiredObjectDeleteMarker: true },
          },
          { id: "temporary", status: "Enabled", filter: { prefix: folderOf("staged") }, expiration: { days: 7 } },
          ...ageing(args.lifecycle),
        ],
      },
      // Rules about versions need versioning first: otherwise S3 refuses them for some minutes.
      { ...own, dependsOn: [versioning] },
    );
    const { accountId } = aws.getCallerIdentityOutput({}, own);
    new aws.s3.BucketPolicy(
      `${name}-policy`,
      {
        bucket,
        policy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            tlsOnly("s3:*", [this.bucket.arn, pulumi.interpolate`${this.bucket.arn}/*`]),
            {
              // The jobs run these scripts with their permissions. No other account may write here, whatever else
              // allows it.
              Sid: "ScriptsOfThisAccountOnly",
              Effect: "Deny",
              Principal: "*",
              Action: ["s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObject", "s3:DeleteObjectVersion"],
              Resource: pulumi.interpolate`${this.bucket.arn}/${folderOf("scripts")}*`,
              Condition: { StringNotEquals: { "aws:PrincipalAccount": accountId } },
            },
          ],
        }),
      },
      // Both settings at the same time collide: OperationAborted.
      { ...own, dependsOn: [privacy] },
    );
    this.registerOutputs({ bucketName: bucket });
  }
}

type EncryptionRule = aws.types.input.s3.BucketServerSideEncryptionConfigurationRule;

function encryption(kmsKeyArn: string): EncryptionRule {
  if (kmsKeyArn === "") return { applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } };
  return {
    applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: kmsKeyArn },
    // One request to KMS serves many objects.
    bucketKeyEnabled: true,
  };
}

/** Ages settled files. Failed files stay: their listens are in no metric yet. */
function ageing(lifecycle: Settings["lifecycle"]): aws.types.input.s3.BucketLifecycleConfigurationRule[] {
  const { archiveColdAfterDays, archiveRetentionDays, quarantineRetentionDays } = lifecycle;
  const rule = (id: string, place: Parameters<typeof prefixOf>[0], coldAfterDays: number, days: number) => ({
    id,
    status: "Enabled",
    filter: { prefix: prefixOf(place) },
    ...(coldAfterDays > 0 ? { transitions: [{ days: coldAfterDays, storageClass: "GLACIER_IR" }] } : {}),
    ...(days > 0 ? { expiration: { days } } : {}),
  });
  return [
    rule("archive", "archived", archiveColdAfterDays, archiveRetentionDays),
    rule("quarantined-files", "quarantinedFile", 0, quarantineRetentionDays),
    rule("quarantined-rows", "quarantinedRows", 0, quarantineRetentionDays),
  ].filter((one) => "transitions" in one || "expiration" in one);
}
