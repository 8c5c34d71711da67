// biome-ignore-all lint/suspicious/noExplicitAny: the SDK's commands come in every shape; what is read of them is what
// the runtime sends.

import type { Call } from "./permissions";
import type { Command } from "./simulated-s3";

/** The resources of a pipeline by their ARNs. */
export interface Resources {
  bucket: string;
  ledger: string;
  workflow: string;
  /** The key that encrypts bucket and tables, if the stack has one. */
  key?: string;
}

type Needs = [action: string, resource: string][];

/**
 * What a Lambda's command needs permissions for. From "Required permissions for Amazon S3 API operations" (Amazon S3
 * User Guide) and the permissions of CopyObject, CreateMultipartUpload and UploadPartCopy (API Reference); "Using AWS
 * KMS with Amazon S3": writing needs GenerateDataKey, reading and each step of an upload in parts Decrypt; DynamoDB
 * authorizes each item of a transaction as the single operation; Glue by "Actions, resources, and condition keys for
 * AWS Glue".
 */
export function needsOf(role: string, command: Command, at: Resources): Call[] {
  const name = command.constructor.name.replace(/Command$/, "");
  const input = command.input as Record<string, any>;
  const need = NEEDS[name];
  if (!need) throw new Error(`what ${name} needs permissions for is not written down yet`);
  return need(input, at).map(([action, resource]) => ({ role, action, resource }));
}

const object = (at: Resources, key: string) => `${at.bucket}/${key}`;
/** The copied object: its key stands behind the bucket's name, percent-encoded. */
const source = (at: Resources, { CopySource }: { CopySource: string }) =>
  object(at, decodeURIComponent(CopySource.slice(CopySource.indexOf("/") + 1)));
const decrypt = ({ key }: Resources): Needs => (key === undefined ? [] : [["kms:Decrypt", key]]);
const encrypt = ({ key }: Resources): Needs => (key === undefined ? [] : [["kms:GenerateDataKey", key]]);

const read = (input: Record<string, any>, at: Resources): Needs => [
  ["s3:GetObject", object(at, input.Key)],
  ...decrypt(at),
];
const item =
  (operation: string) =>
  (_: unknown, at: Resources): Needs => [[`dynamodb:${operation}`, at.ledger]];
const run =
  (operation: string) =>
  (_: unknown, at: Resources): Needs => [[`glue:${operation}`, at.workflow]];
const WRITES = { Put: "PutItem", Delete: "DeleteItem", Update: "UpdateItem", ConditionCheck: "ConditionCheckItem" };

const NEEDS: Record<string, (input: Record<string, any>, at: Resources) => Needs> = {
  ListObjectsV2: (_, at) => [["s3:ListBucket", at.bucket]],
  GetObject: read,
  HeadObject: read,
  PutObject: (input, at) => [["s3:PutObject", object(at, input.Key)], ...encrypt(at)],
  CopyObject: (input, at) => [
    ["s3:GetObject", source(at, input as { CopySource: string })],
    // Where the source has tags, and any may.
    ["s3:GetObjectTagging", source(at, input as { CopySource: string })],
    ["s3:PutObjectTagging", object(at, input.Key)],
    ["s3:PutObject", object(at, input.Key)],
    ...decrypt(at),
    ...encrypt(at),
  ],
  DeleteObject: (input, at) => [["s3:DeleteObject", object(at, input.Key)]],
  DeleteObjects: (input, at) =>
    input.Delete.Objects.map(({ Key }: { Key: string }) => ["s3:DeleteObject", object(at, Key)]),
  CreateMultipartUpload: (input, at) => [["s3:PutObject", object(at, input.Key)], ...encrypt(at)],
  UploadPartCopy: (input, at) => [
    ["s3:GetObject", source(at, input as { CopySource: string })],
    ["s3:PutObject", object(at, input.Key)],
    ...decrypt(at),
    ...encrypt(at),
  ],
  CompleteMultipartUpload: (input, at) => [["s3:PutObject", object(at, input.Key)], ...decrypt(at)],
  AbortMultipartUpload: (input, at) => [["s3:AbortMultipartUpload", object(at, input.Key)]],
  Get: item("GetItem"),
  Query: item("Query"),
  Put: item("PutItem"),
  Delete: item("DeleteItem"),
  TransactWrite: (input, at) =>
    input.TransactItems.flatMap((one: object) =>
      Object.keys(one).map((kind) => [`dynamodb:${WRITES[kind as keyof typeof WRITES]}`, at.ledger]),
    ),
  StartWorkflowRun: run("StartWorkflowRun"),
  GetWorkflowRun: run("GetWorkflowRun"),
  GetWorkflowRuns: run("GetWorkflowRuns"),
  StopWorkflowRun: run("StopWorkflowRun"),
};
