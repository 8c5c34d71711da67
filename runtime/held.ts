import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { Store } from "./world";

/** The ETags of held files, which no claim takes, by key. */
export async function readHeld(world: Store): Promise<Map<string, string>> {
  const held = new Map<string, string>();
  let from: Record<string, unknown> | undefined;
  do {
    const page = await world.clients.documents.send(
      new QueryCommand({
        TableName: world.settings.ledgerTable,
        KeyConditionExpression: "pk = :held",
        ExpressionAttributeValues: { ":held": "HELD" },
        ConsistentRead: true,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      }),
    );
    for (const { sk, etag } of page.Items ?? []) held.set(sk, etag);
    from = page.LastEvaluatedKey;
  } while (from !== undefined);
  return held;
}
