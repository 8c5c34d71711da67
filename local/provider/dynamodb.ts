import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  UpdateContinuousBackupsCommand,
  UpdateTableCommand,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, tagList, unless } from "./kind";

const table = kind<aws.dynamodb.TableArgs>({
  inputs: [
    "name",
    "attributes",
    "hashKey",
    "rangeKey",
    "billingMode",
    "pointInTimeRecovery.enabled",
    "serverSideEncryption.enabled",
    "serverSideEncryption.kmsKeyArn",
    "deletionProtectionEnabled",
    "tags",
  ],
  name: "name",
  fixed: ["hashKey", "rangeKey", "attributes"],
  sticky: ["serverSideEncryption"],
  async put(args, { clients: { dynamodb } }) {
    const TableName = args.name ?? "";
    const { serverSideEncryption: encryption } = args;
    const SSESpecification = encryption?.enabled
      ? { Enabled: true, SSEType: "KMS" as const, KMSMasterKeyId: encryption.kmsKeyArn }
      : encryption && { Enabled: false };
    const DeletionProtectionEnabled = args.deletionProtectionEnabled ?? false;
    await unless(
      ["ResourceInUseException"],
      () =>
        dynamodb.send(
          new CreateTableCommand({
            TableName,
            AttributeDefinitions: args.attributes?.map(({ name, type }) => ({
              AttributeName: name,
              AttributeType: type as "S" | "N" | "B",
            })),
            KeySchema: [
              { AttributeName: args.hashKey, KeyType: "HASH" as const },
              ...(args.rangeKey ? [{ AttributeName: args.rangeKey, KeyType: "RANGE" as const }] : []),
            ],
            BillingMode: args.billingMode as "PAY_PER_REQUEST" | "PROVISIONED",
            DeletionProtectionEnabled,
            SSESpecification,
            Tags: tagList(args.tags),
          }),
        ),
      () => dynamodb.send(new UpdateTableCommand({ TableName, DeletionProtectionEnabled, SSESpecification })),
    );
    await waitUntilTableExists({ client: dynamodb, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { TableName });
    await dynamodb.send(
      new UpdateContinuousBackupsCommand({
        TableName,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: args.pointInTimeRecovery?.enabled ?? false },
      }),
    );
    return { id: TableName, outs: { arn: await arnOf(TableName, dynamodb), tagsAll: args.tags ?? {} } };
  },
  exists: (TableName, _, { clients: { dynamodb } }) => dynamodb.send(new DescribeTableCommand({ TableName })),
  async actual(TableName, _, { clients: { dynamodb } }) {
    const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName }));
    return { deletionProtectionEnabled: Table?.DeletionProtectionEnabled ?? false };
  },
  async remove(TableName, _, { clients: { dynamodb } }) {
    await dynamodb.send(new DeleteTableCommand({ TableName }));
    await waitUntilTableNotExists({ client: dynamodb, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { TableName });
  },
});

async function arnOf(TableName: string, dynamodb: DynamoDBClient): Promise<string | undefined> {
  return (await dynamodb.send(new DescribeTableCommand({ TableName }))).Table?.TableArn;
}

export const dynamodbKinds: Record<string, Kind> = { "aws:dynamodb/table:Table": table };
