import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./settings";

/** One permission: what may be done, to what, and under which condition. */
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

/** A role for exactly one function, job or schedule. Wait for `ready` before using it: a role without its policy is refused. */
export interface OwnRole {
  role: aws.iam.Role;
  ready: pulumi.Resource[];
}

/** Creates a role that `service` alone can assume and that may do what `grants` says, nothing else. */
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
            // The service works for many accounts, but may use this role for this one alone. "IfExists", because not
            // every service documents that it says for whom it works; without that, it could not assume the role at all.
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

/** Reading and writing what the stack's key encrypts; nothing where the services' own keys do. */
export function usingKey({ kmsKeyArn }: Pick<Settings, "kmsKeyArn">): Grant[] {
  return kmsKeyArn === "" ? [] : [{ actions: ["kms:Decrypt", "kms:GenerateDataKey"], resources: [kmsKeyArn] }];
}

/** The objects below the given folders of a bucket. */
export function objectsIn(bucket: aws.s3.Bucket, folders: string[]): pulumi.Output<string>[] {
  return folders.map((folder) => pulumi.interpolate`${bucket.arn}/${folder}*`);
}

/**
 * Listing a bucket, all of it: bound to prefixes, the permission would not hold for Get, Head and Copy, which carry none, and S3 would
 * answer 403 in place of the 404 by which the parts tell that an object is not there (Amazon S3 API reference, GetObject: Permissions).
 */
export function listing(bucket: aws.s3.Bucket): Grant {
  return { actions: ["s3:ListBucket"], resources: [bucket.arn] };
}

/** A statement of a resource's own policy: nobody may reach it by plain HTTP. */
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
