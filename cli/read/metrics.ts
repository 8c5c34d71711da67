import { GetItemCommand, paginateQuery } from "@aws-sdk/client-dynamodb";
import type { Item } from "../items";
import type { Target } from "../target";

/** An item of the metrics table. */
export async function itemAt(target: Target, pk: string, sk: string): Promise<Item | undefined> {
  const key = { pk: { S: pk }, sk: { S: sk } };
  const found = await target.dynamodb.send(
    new GetItemCommand({ TableName: target.outputs.metricsTableName, Key: key, ConsistentRead: true }),
  );
  return found.Item;
}

/** All items of a partition, in the order of their sort keys. */
export async function itemsOf(target: Target, pk: string): Promise<Item[]> {
  const items: Item[] = [];
  const pages = paginateQuery(
    { client: target.dynamodb },
    {
      TableName: target.outputs.metricsTableName,
      KeyConditionExpression: "pk = :pk",
      ExpressionAttributeValues: { ":pk": { S: pk } },
      ConsistentRead: true,
    },
  );
  for await (const page of pages) items.push(...(page.Items ?? []));
  return items;
}
