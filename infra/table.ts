import * as aws from "@pulumi/aws";
import type * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./settings";

export type TableArgs = Pick<Settings, "protect" | "kmsKeyArn" | "tags">;

/** A table with the string keys `pk` and `sk`, paid per request, restorable to any second of the last 35 days. */
export function createTable(name: string, args: TableArgs, parent: pulumi.Resource): aws.dynamodb.Table {
  return new aws.dynamodb.Table(
    name,
    {
      attributes: [
        { name: "pk", type: "S" },
        { name: "sk", type: "S" },
      ],
      hashKey: "pk",
      rangeKey: "sk",
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
