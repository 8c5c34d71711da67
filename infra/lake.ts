import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

interface LakeArgs {
  protect: boolean;
  tags: Record<string, string>;
}

/** Holds every file of the pipeline: private, encrypted, versioned, and reached by TLS only. */
export class Lake extends pulumi.ComponentResource {
  readonly bucket: aws.s3.Bucket;

  constructor(name: string, args: LakeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:storage:Lake", name, {}, opts);
    const own = { parent: this };
    this.bucket = new aws.s3.Bucket(
      `${name}-bucket`,
      { forceDestroy: !args.protect, tags: args.tags },
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
      { bucket, rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } }] },
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
            // Moving a file leaves its old version behind, in every folder.
            id: "old-versions",
            status: "Enabled",
            filter: { prefix: "" },
            abortIncompleteMultipartUpload: { daysAfterInitiation: 7 },
            noncurrentVersionExpiration: { noncurrentDays: 30 },
            expiration: { expiredObjectDeleteMarker: true },
          },
          { id: "temporary", status: "Enabled", filter: { prefix: "temporary/" }, expiration: { days: 7 } },
        ],
      },
      // Rules about versions need the versions: S3 refuses them in the other order for some minutes.
      { ...own, dependsOn: [versioning] },
    );
    new aws.s3.BucketPolicy(
      `${name}-policy`,
      {
        bucket,
        policy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              Sid: "TlsOnly",
              Effect: "Deny",
              Principal: "*",
              Action: "s3:*",
              Resource: [this.bucket.arn, pulumi.interpolate`${this.bucket.arn}/*`],
              Condition: { Bool: { "aws:SecureTransport": "false" } },
            },
          ],
        }),
      },
      // Both settings at once collide: OperationAborted.
      { ...own, dependsOn: [privacy] },
    );
    this.registerOutputs({ bucketName: bucket });
  }
}
