import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  type GlobalSecondaryIndex,
  type GlobalSecondaryIndexUpdate,
  type KeyType,
  type ProjectionType,
  UpdateContinuousBackupsCommand,
  UpdateTableCommand,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import type * as aws from "@pulumi/aws";
import type { Unwrap } from "@pulumi/pulumi";
import { type Kind, kind, tagList, unless } from "./kind";

type TableIndex = NonNullable<Unwrap<aws.dynamodb.TableArgs>["globalSecondaryIndexes"]>[number];

const table = kind<aws.dynamodb.TableArgs>({
  inputs: [
    "name",
    "attributes",
    "hashKey",
    "rangeKey",
    "globalSecondaryIndexes.name",
    "globalSecondaryIndexes.keySchemas",
    "globalSecondaryIndexes.projectionType",
    "billingMode",
    "pointInTimeRecovery.enabled",
    "serverSideEncryption.enabled",
    "serverSideEncryption.kmsKeyArn",
    "deletionProtectionEnabled",
    "tags",
  ],
  name: "name",
  fixed: ["hashKey", "rangeKey"],
  sticky: ["serverSideEncryption"],
  async put(args, { clients: { dynamodb } }) {
    const TableName = args.name ?? "";
    const { serverSideEncryption: encryption } = args;
    const SSESpecification = encryption?.enabled
      ? { Enabled: true, SSEType: "KMS" as const, KMSMasterKeyId: encryption.kmsKeyArn }
      : encryption && { Enabled: false };
    const DeletionProtectionEnabled = args.deletionProtectionEnabled ?? false;
    const AttributeDefinitions = args.attributes?.map(({ name, type }) => ({
      AttributeName: name,
      AttributeType: type as "S" | "N" | "B",
    }));
    const indexes = (args.globalSecondaryIndexes ?? []).map(indexOf);
    await unless(
      ["ResourceInUseException"],
      () =>
        dynamodb.send(
          new CreateTableCommand({
            TableName,
            AttributeDefinitions,
            KeySchema: [
              { AttributeName: args.hashKey, KeyType: "HASH" as const },
              ...(args.rangeKey ? [{ AttributeName: args.rangeKey, KeyType: "RANGE" as const }] : []),
            ],
            ...(indexes.length > 0 && { GlobalSecondaryIndexes: indexes }),
            BillingMode: args.billingMode as "PAY_PER_REQUEST" | "PROVISIONED",
            DeletionProtectionEnabled,
            SSESpecification,
            Tags: tagList(args.tags),
          }),
        ),
      async () => {
        await dynamodb.send(new UpdateTableCommand({ TableName, DeletionProtectionEnabled, SSESpecification }));
        // One call makes or removes one index (DynamoDB API Reference, "UpdateTable").
        for (const update of await indexUpdates(TableName, indexes, dynamodb))
          await dynamodb.send(
            new UpdateTableCommand({ TableName, AttributeDefinitions, GlobalSecondaryIndexUpdates: [update] }),
          );
      },
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

/** An index as DynamoDB's API names its parts. */
function indexOf({ name, keySchemas, projectionType }: TableIndex): GlobalSecondaryIndex {
  return {
    IndexName: name,
    KeySchema: keySchemas?.map(({ attributeName, keyType }) => ({
      AttributeName: attributeName,
      KeyType: keyType as KeyType,
    })),
    Projection: { ProjectionType: projectionType as ProjectionType },
  };
}

/** What makes a table's indexes those that are wanted: a table of an earlier version has none. */
async function indexUpdates(
  TableName: string,
  wanted: GlobalSecondaryIndex[],
  dynamodb: DynamoDBClient,
): Promise<GlobalSecondaryIndexUpdate[]> {
  const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName }));
  const there = Table?.GlobalSecondaryIndexes?.map(({ IndexName }) => IndexName) ?? [];
  const names = wanted.map(({ IndexName }) => IndexName);
  return [
    ...there.filter((name) => !names.includes(name)).map((IndexName) => ({ Delete: { IndexName } })),
    ...wanted
      .filter(({ IndexName }) => !there.includes(IndexName))
      .map(({ IndexName, KeySchema, Projection }) => ({ Create: { IndexName, KeySchema, Projection } })),
  ];
}

async function arnOf(TableName: string, dynamodb: DynamoDBClient): Promise<string | undefined> {
  return (await dynamodb.send(new DescribeTableCommand({ TableName }))).Table?.TableArn;
}

export const dynamodbKinds: Record<string, Kind> = { "aws:dynamodb/table:Table": table };
