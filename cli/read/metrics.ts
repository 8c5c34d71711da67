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
export function itemsOf(target: Target, pk: string): Promise<Item[]> {
  return queried(target, "pk", pk, { ConsistentRead: true });
}

/** Where the index `listed` has an item, if it has: the days, and the genres of each day. */
export function placeInIndex(pk: string, sk: string): string | undefined {
  if (Buffer.byteLength(pk) > longestListed) return undefined;
  if (pk.startsWith("DAY#") && sk === "SUMMARY") return "DAYS";
  return pk.startsWith("GENRE#") && sk.startsWith("DAY#") ? `GENRES#${sk.slice("DAY#".length)}` : undefined;
}

/** The index sorts by pk, and DynamoDB allows so many bytes there (Developer Guide, "Constraints"). */
const longestListed = 1024;

/** The days that the index has, oldest first. It lacks days that an earlier version published. */
export function listedDays(target: Target): Promise<Item[]> {
  return queried(target, "listed_in", "DAYS", { IndexName: "listed" });
}

/** The genres of a day that the index has, by name. */
export function listedGenres(target: Target, date: string): Promise<Item[]> {
  return queried(target, "listed_in", `GENRES#${date}`, { IndexName: "listed" });
}

/** All items of the table or of an index whose key has this value. */
async function queried(
  target: Target,
  key: string,
  value: string,
  from: { IndexName: string } | { ConsistentRead: true },
): Promise<Item[]> {
  const items: Item[] = [];
  const pages = paginateQuery(
    { client: target.dynamodb },
    {
      TableName: target.outputs.metricsTableName,
      KeyConditionExpression: `${key} = :value`,
      ExpressionAttributeValues: { ":value": { S: value } },
      ...from,
    },
  );
  for await (const page of pages) items.push(...(page.Items ?? []));
  return items;
}
