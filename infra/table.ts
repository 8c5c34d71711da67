import * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./settings";

export type TableArgs = Pick<Settings, "protect" | "kmsKeyArn" | "tags">;

/** An index of the items that have a string attribute, by that attribute, in the order of `pk`. */
interface TableIndex {
  name: string;
  attribute: string;
}

/** A table with the string keys `pk` and `sk`, paid per request, restorable to any second of the last 35 days. */
export function createTable(
  name: string,
  args: TableArgs,
  parent: pulumi.Resource,
  index?: TableIndex,
): aws.dynamodb.Table {
  return new aws.dynamodb.Table(
    name,
    {
      attributes: [
        { name: "pk", type: "S" },
        { name: "sk", type: "S" },
        ...(index ? [{ name: index.attribute, type: "S" }] : []),
      ],
      hashKey: "pk",
      rangeKey: "sk",
      ...(index && {
        globalSecondaryIndexes: [
          {
            name: index.name,
            keySchemas: [
              { attributeName: index.attribute, keyType: "HASH" },
              { attributeName: "pk", keyType: "RANGE" },
            ],
            projectionType: "ALL",
          },
        ],
      }),
      billingMode: "PAY_PER_REQUEST",
      pointInTimeRecovery: { enabled: true },
      // "Not enabled" is DynamoDB's own key. The provider would keep the last key if this were left out.
      serverSideEncryption: args.kmsKeyArn === "" ? { enabled: false } : { enabled: true, kmsKeyArn: args.kmsKeyArn },
      deletionProtectionEnabled: args.protect,
      tags: args.tags,
    },
    { parent, protect: args.protect },
  );
}
