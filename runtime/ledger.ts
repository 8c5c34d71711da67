// One file: all reads and writes of the ledger, because each write's condition counts on the others.
import { DeleteCommand, GetCommand, PutCommand, QueryCommand, TransactWriteCommand } from "@aws-sdk/lib-dynamodb";
import { type Batch, iso, type ManifestFile } from "./batch";
import { isError, type Store } from "./world";

/** Pipeline-wide state, read in one call. */
export interface Pipeline {
  /**
   * How many batches were ever taken up. A claim succeeds only if none was taken up between its listing and its write.
   */
  claims: number;
  /** The key after which the last listing of incoming/ stopped, if its time was up. */
  listedTo?: string;
  inFlight?: string;
  inFlightSince?: string;
  pausedSince?: string;
  /** When the last batch ended; absent in a ledger that an earlier version wrote. */
  endedAt?: string;
  /** The first batch in the queue: a half of a split batch, a replay, or a file to be put back. */
  queued?: string;
}

/** A change of a batch; `undefined` removes the attribute. */
export type Changes = { [Key in keyof Batch]?: Batch[Key] | undefined };

type Write = NonNullable<ConstructorParameters<typeof TransactWriteCommand>[0]["TransactItems"]>[number];

export async function readPipeline(world: Store): Promise<Pipeline> {
  // The sort keys are in the order CLAIMS, ENDED, IN_FLIGHT, PAUSED, QUEUE#...: the first five items hold everything.
  const { Items } = await world.clients.documents.send(
    new QueryCommand({
      TableName: world.settings.ledgerTable,
      KeyConditionExpression: "pk = :pipeline",
      ExpressionAttributeValues: { ":pipeline": "PIPELINE" },
      ConsistentRead: true,
      Limit: 5,
    }),
  );
  const pipeline: Pipeline = { claims: 0 };
  for (const item of Items ?? []) {
    if (item.sk === "CLAIMS") {
      pipeline.claims = item.claims;
      if (item.listedTo !== undefined) pipeline.listedTo = item.listedTo;
    }
    if (item.sk === "IN_FLIGHT") {
      pipeline.inFlight = item.batchId;
      if (item.since !== undefined) pipeline.inFlightSince = item.since;
    }
    if (item.sk === "ENDED") pipeline.endedAt = item.at;
    if (item.sk === "PAUSED") pipeline.pausedSince = item.since;
    if (String(item.sk).startsWith("QUEUE#")) pipeline.queued ??= item.batchId;
  }
  return pipeline;
}

export async function readBatch(world: Store, batchId: string): Promise<Batch | undefined> {
  const { Item } = await world.clients.documents.send(
    new GetCommand({
      TableName: world.settings.ledgerTable,
      Key: { pk: "BATCH", sk: batchId },
      ConsistentRead: true,
    }),
  );
  return Item as Batch | undefined;
}

/**
 * Writes a change of a batch, if the batch is unchanged since it was read. Gives the batch as written, or undefined
 * when it had changed: then read the ledger again (this writer may have made that change and lost the reply).
 */
export async function advance(world: Store, batch: Batch, changes: Changes): Promise<Batch | undefined> {
  const written = changed(world, batch, changes);
  const { Put } = putBatch(world, written, batch.version);
  return (await applied(() => world.clients.documents.send(new PutCommand(Put!)))) ? written : undefined;
}

/** Takes a new batch up: writes its ledger item, the in-flight item and the count together or not at all. */
export async function takeNew(world: Store, batch: Batch, claims: number, listedTo?: string): Promise<boolean> {
  return transact(world, [putNew(world, batchItem(batch)), ...turnWrites(world, batch.batchId, claims, listedTo)]);
}

/** Writes where the next listing of incoming/ goes on, if no batch was taken up since. */
export async function setListedTo(world: Store, claims: number, listedTo: string | undefined): Promise<void> {
  await applied(() => world.clients.documents.send(new PutCommand(countOf(world, claims, claims, listedTo))));
}

/** Takes a queued batch up. */
export async function takeQueued(
  world: Store,
  batchId: string,
  { claims, listedTo }: Pick<Pipeline, "claims" | "listedTo">,
): Promise<boolean> {
  return transact(world, [
    {
      Delete: {
        TableName: world.settings.ledgerTable,
        Key: { pk: "PIPELINE", sk: `QUEUE#${batchId}` },
        ConditionExpression: "attribute_exists(sk)",
      },
    },
    ...turnWrites(world, batchId, claims, listedTo),
  ]);
}

/** Ends the work on a batch: writes its last change, frees the in-flight item, and queues the halves of a split. */
export async function release(world: Store, batch: Batch, changes: Changes, halves: Batch[] = []): Promise<boolean> {
  return transact(world, [
    ...end(world, batch, changes),
    ...halves.flatMap((half) => [putNew(world, batchItem(half)), putNew(world, queueItem(half.batchId))]),
  ]);
}

/**
 * Ends the work on a batch with files that can't be moved: from now on no claim takes these versions of them. The batch
 * stays in flight until the last is written.
 */
export async function releaseHeld(
  world: Store,
  batch: Batch,
  changes: Changes,
  files: ManifestFile[],
): Promise<boolean> {
  const { ledgerTable: TableName } = world.settings;
  const puts = files.map(({ key, etag }) => ({
    Put: { TableName, Item: { pk: "HELD", sk: key, etag, batchId: batch.batchId } },
  }));
  const written = await writeAhead(world, batch, { holding: true }, puts);
  if (!written) return false;
  return transact(world, [...end(world, written.batch, { ...changes, holding: undefined }), ...written.rest]);
}

/** Lets claims take held files again. */
export async function letGo(world: Store, batch: Batch, changes: Changes, files: ManifestFile[]): Promise<boolean> {
  const deletes = files.map(({ key }) => ({
    Delete: { TableName: world.settings.ledgerTable, Key: { pk: "HELD", sk: key } },
  }));
  const written = await writeAhead(world, batch, {}, deletes);
  if (!written) return false;
  return transact(world, [
    putBatch(world, changed(world, written.batch, changes), written.batch.version),
    ...written.rest,
  ]);
}

/** A transaction takes 100 writes (Amazon DynamoDB API reference: TransactWriteItems). */
const WRITES_AT_ONCE = 90;

/** Makes the writes that one transaction can't take, each time with a change of the batch. Gives batch and the rest. */
async function writeAhead(
  world: Store,
  batch: Batch,
  changes: Changes,
  writes: Write[],
): Promise<{ batch: Batch; rest: Write[] } | undefined> {
  let now = batch;
  let done = 0;
  for (; writes.length - done > WRITES_AT_ONCE; done += WRITES_AT_ONCE) {
    const next = changed(world, now, changes);
    const some = writes.slice(done, done + WRITES_AT_ONCE);
    if (!(await transact(world, [putBatch(world, next, now.version), ...some]))) return undefined;
    now = next;
  }
  return { batch: now, rest: writes.slice(done) };
}

/** Whether a batch is in flight or queued. */
export async function hasTurn(world: Store, batchId: string): Promise<boolean> {
  const { pk, sk } = queueItem(batchId);
  const { Item } = await world.clients.documents.send(
    new GetCommand({ TableName: world.settings.ledgerTable, Key: { pk, sk }, ConsistentRead: true }),
  );
  // In this order: a tick may take the batch from the queue in between.
  return Item !== undefined || (await readPipeline(world)).inFlight === batchId;
}

/** Adds a batch that the ledger does not know, and queues it. */
export async function queueUnknown(world: Store, batch: Batch): Promise<boolean> {
  return transact(world, [putNew(world, batchItem(batch)), putNew(world, queueItem(batch.batchId))]);
}

/** Changes a settled batch and queues it. */
export async function queue(world: Store, batch: Batch, changes: Changes): Promise<boolean> {
  return transact(world, [
    putBatch(world, changed(world, batch, changes), batch.version),
    putNew(world, queueItem(batch.batchId)),
  ]);
}

/** Frees the in-flight item of a batch that someone deleted from the ledger by hand. */
export async function releaseUnknown(world: Store, batchId: string): Promise<void> {
  await applied(() => world.clients.documents.send(new DeleteCommand(dropInFlight(world, batchId).Delete!)));
}

export async function setPause(world: Store, paused: boolean): Promise<void> {
  const TableName = world.settings.ledgerTable;
  const Key = { pk: "PIPELINE", sk: "PAUSED" };
  if (!paused) {
    await world.clients.documents.send(new DeleteCommand({ TableName, Key }));
    return;
  }
  const Item = { ...Key, since: iso(world.clock.now()) };
  await applied(() =>
    world.clients.documents.send(new PutCommand({ TableName, Item, ConditionExpression: "attribute_not_exists(pk)" })),
  );
}

/** All items of a partition of the ledger, page by page. */
export async function* ledgerPages(world: Store, partition: string): AsyncGenerator<Record<string, unknown>[]> {
  let from: Record<string, unknown> | undefined;
  do {
    const page = await world.clients.documents.send(
      new QueryCommand({
        TableName: world.settings.ledgerTable,
        KeyConditionExpression: "pk = :partition",
        ExpressionAttributeValues: { ":partition": partition },
        ConsistentRead: true,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      }),
    );
    yield page.Items ?? [];
    from = page.LastEvaluatedKey;
  } while (from !== undefined);
}

function end(world: Store, batch: Batch, changes: Changes): Write[] {
  const Item = { pk: "PIPELINE", sk: "ENDED", at: iso(world.clock.now()) };
  return [
    putBatch(world, changed(world, batch, changes), batch.version),
    dropInFlight(world, batch.batchId),
    { Put: { TableName: world.settings.ledgerTable, Item } },
  ];
}

function changed(world: Store, batch: Batch, changes: Changes): Batch {
  // JSON drops attributes that are undefined; the document client would refuse them.
  return JSON.parse(
    JSON.stringify({ ...batch, ...changes, version: batch.version + 1, updatedAt: iso(world.clock.now()) }),
  );
}

function batchItem(batch: Batch): Record<string, unknown> {
  return { ...JSON.parse(JSON.stringify(batch)), pk: "BATCH", sk: batch.batchId };
}

function queueItem(batchId: string): Record<string, unknown> {
  return { pk: "PIPELINE", sk: `QUEUE#${batchId}`, batchId };
}

function putBatch(world: Store, batch: Batch, seenVersion: number): Write {
  return {
    Put: {
      TableName: world.settings.ledgerTable,
      Item: batchItem(batch),
      ConditionExpression: "#version = :seen",
      ExpressionAttributeNames: { "#version": "version" },
      ExpressionAttributeValues: { ":seen": seenVersion },
    },
  };
}

function putNew(world: Store, Item: Record<string, unknown>): Write {
  return { Put: { TableName: world.settings.ledgerTable, Item, ConditionExpression: "attribute_not_exists(pk)" } };
}

/** The turn writes: put a batch in flight and count it. */
function turnWrites(world: Store, batchId: string, claims: number, listedTo: string | undefined): Write[] {
  return [
    putNew(world, { pk: "PIPELINE", sk: "IN_FLIGHT", batchId, since: iso(world.clock.now()) }),
    { Put: countOf(world, claims, claims + 1, listedTo) },
  ];
}

/** Writes the count of claims, if it is still the one that was read. */
function countOf(world: Store, seen: number, claims: number, listedTo: string | undefined) {
  return {
    TableName: world.settings.ledgerTable,
    Item: { pk: "PIPELINE", sk: "CLAIMS", claims, ...(listedTo === undefined ? {} : { listedTo }) },
    ...(seen === 0
      ? { ConditionExpression: "attribute_not_exists(claims) OR claims = :seen" }
      : { ConditionExpression: "claims = :seen" }),
    ExpressionAttributeValues: { ":seen": seen },
  };
}

function dropInFlight(world: Store, batchId: string): Write {
  return {
    Delete: {
      TableName: world.settings.ledgerTable,
      Key: { pk: "PIPELINE", sk: "IN_FLIGHT" },
      ConditionExpression: "batchId = :mine",
      ExpressionAttributeValues: { ":mine": batchId },
    },
  };
}

function transact(world: Store, TransactItems: Write[]): Promise<boolean> {
  return applied(() => world.clients.documents.send(new TransactWriteCommand({ TransactItems })));
}

async function applied(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    // A failed condition, or another transaction on the same item at this moment: the ledger shows who won.
    if (isError(error, "ConditionalCheckFailedException", "TransactionConflictException")) return false;
    if (isError(error, "TransactionCanceledException") && lost(error)) return false;
    throw error;
  }
}

function lost(error: unknown): boolean {
  const reasons = (error as { CancellationReasons?: { Code?: string }[] }).CancellationReasons ?? [];
  return reasons.some(({ Code }) => Code === "ConditionalCheckFailed" || Code === "TransactionConflict");
}
