import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./settings";

/** One permission: actions on resources, under a condition if there is one. */
export interface Grant {
  actions: string[];
  resources: pulumi.Input<string>[];
  condition?: Record<string, Record<string, pulumi.Input<string> | string[]>>;
}

interface RoleArgs {
  /** The service that assumes the role, e.g. `lambda.amazonaws.com`. */
  service: string;
  grants: Grant[];
  tags: Record<string, string>;
}

/**
 * A role for exactly one function, job or schedule. Wait for `ready` before using it: AWS refuses a role without a
 * policy.
 */
export interface OwnRole {
  role: aws.iam.Role;
  ready: pulumi.Resource[];
}

/** Creates a role that only `service` can assume and that has the permissions in `grants`, nothing else. */
export function createRole(name: string, args: RoleArgs, parent: pulumi.Resource): OwnRole {
  const { accountId } = aws.getCallerIdentityOutput({}, { parent });
  const role = new aws.iam.Role(
    name,
    {
      assumeRolePolicy: pulumi.jsonStringify({
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Allow",
            Principal: { Service: args.service },
            Action: "sts:AssumeRole",
            // The service works for many accounts, but may use this role only for this one. "IfExists", because not
            // every service documents that it sends the account; without "IfExists" such a service could not assume the
            // role.
            Condition: { StringEqualsIfExists: { "aws:SourceAccount": accountId } },
          },
        ],
      }),
      tags: args.tags,
    },
    { parent },
  );
  const policy = new aws.iam.RolePolicy(
    `${name}-policy`,
    { role: role.name, policy: document(args.grants) },
    { parent },
  );
  return { role, ready: [policy] };
}

function document(grants: Grant[]): pulumi.Output<string> {
  return pulumi.jsonStringify({
    Version: "2012-10-17",
    Statement: grants.map((grant) => ({
      Effect: "Allow",
      Action: grant.actions,
      Resource: grant.resources,
      ...(grant.condition ? { Condition: grant.condition } : {}),
    })),
  });
}

/** Permission to read and write data under the stack's KMS key; empty where the services' own keys encrypt. */
export function usingKey({ kmsKeyArn }: Pick<Settings, "kmsKeyArn">): Grant[] {
  return kmsKeyArn === "" ? [] : [{ actions: ["kms:Decrypt", "kms:GenerateDataKey"], resources: [kmsKeyArn] }];
}

/** The objects below the given folders of a bucket. */
export function objectsIn(bucket: aws.s3.Bucket, folders: string[]): pulumi.Output<string>[] {
  return folders.map((folder) => pulumi.interpolate`${bucket.arn}/${folder}*`);
}

/**
 * Permission to list the whole bucket. Get, Head and Copy send no prefix: with a permission bound to prefixes, S3 would
 * answer 403 for a missing object in place of 404 (Amazon S3 API reference, GetObject: Permissions).
 */
export function listing(bucket: aws.s3.Bucket): Grant {
  return { actions: ["s3:ListBucket"], resources: [bucket.arn] };
}

/** A statement of a resource policy that denies plain HTTP to everybody. */
export function tlsOnly(action: string, resource: pulumi.Input<string> | pulumi.Input<string>[]) {
  return {
    Sid: "TlsOnly",
    Effect: "Deny",
    Principal: "*",
    Action: action,
    Resource: resource,
    Condition: { Bool: { "aws:SecureTransport": "false" } },
  };
}
