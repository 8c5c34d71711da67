// biome-ignore-all lint/suspicious/noExplicitAny: the SDK's commands come in every shape; the runtime sends these.

import { awsError, byBytes, type Command } from "./simulated-s3";

type Item = Record<string, any>;
type Write = Record<string, any>;

/**
 * DynamoDB's document client in memory: conditions, transactions, and queries in the sort key's order, with a limit.
 */
export class SimulatedDynamoDB {
  readonly items = new Map<string, Item>();
  /** A page of a query; in DynamoDB it is 1 MB. */
  readonly pageSize = 5;

  all(pk: string): Item[] {
    return [...this.items.values()].filter((item) => item.pk === pk).sort((one, other) => byBytes(one.sk, other.sk));
  }

  get(pk: string, sk: string): Item | undefined {
    return this.items.get(id({ pk, sk }));
  }

  async send(command: Command): Promise<unknown> {
    const input = command.input as Write;
    switch (command.constructor.name) {
      case "GetCommand":
        return { Item: this.items.get(id(input.Key)) };
      case "QueryCommand": {
        const value = /^pk = (:\w+)$/.exec(input.KeyConditionExpression)?.[1];
        if (!value) throw new Error(`the simulated DynamoDB can't read ${input.KeyConditionExpression}`);
        const all = this.all(input.ExpressionAttributeValues[value]);
        const rest = (input.ScanIndexForward === false ? all.reverse() : all).filter(
          ({ sk }) => input.ExclusiveStartKey === undefined || sk > input.ExclusiveStartKey.sk,
        );
        const page = rest.slice(0, Math.min(input.Limit ?? this.pageSize, this.pageSize));
        const last = page.length < rest.length ? page.at(-1) : undefined;
        return { Items: page, ...(last ? { LastEvaluatedKey: { pk: last.pk, sk: last.sk } } : {}) };
      }
      case "PutCommand":
      case "DeleteCommand": {
        const kind = command.constructor.name === "PutCommand" ? "Put" : "Delete";
        if (!this.holds(input, kind)) throw awsError("ConditionalCheckFailedException");
        this.apply(input, kind);
        return {};
      }
      case "TransactWriteCommand": {
        const writes = input.TransactItems.map((one: Write) => Object.entries(one)[0]) as [string, Write][];
        const keys = writes.map(([kind, write]) => id(kind === "Put" ? write.Item : write.Key));
        if (new Set(keys).size !== keys.length) throw awsError("ValidationException");
        const reasons = writes.map(([kind, write]) => ({
          Code: this.holds(write, kind) ? "None" : "ConditionalCheckFailed",
        }));
        if (reasons.some(({ Code }) => Code !== "None"))
          throw awsError("TransactionCanceledException", 400, { CancellationReasons: reasons });
        for (const [kind, write] of writes) this.apply(write, kind);
        return {};
      }
      default:
        throw new Error(`the simulated DynamoDB does not know ${command.constructor.name}`);
    }
  }

  private apply(write: Write, kind: string): void {
    if (kind === "Delete") {
      this.items.delete(id(write.Key));
      return;
    }
    this.items.set(id(write.Item), frozen(write.Item));
  }

  private holds(write: Write, kind: string): boolean {
    const expression: string | undefined = write.ConditionExpression;
    if (expression === undefined) return true;
    const item = this.items.get(id(kind === "Put" ? write.Item : write.Key));
    const name = (token: string) => write.ExpressionAttributeNames?.[token] ?? token;
    const holds = (term: string) => {
      const call = /^attribute_(not_)?exists\(([#\w]+)\)$/.exec(term);
      if (call) return (item?.[name(call[2]!)] === undefined) === (call[1] !== undefined);
      const equality = /^([#\w]+) = (:\w+)$/.exec(term);
      if (!equality) throw new Error(`the simulated DynamoDB can't read the condition ${term}`);
      return item?.[name(equality[1]!)] === write.ExpressionAttributeValues[equality[2]!];
    };
    return expression.split(" OR ").some((terms) => terms.split(" AND ").every(holds));
  }
}

function id(key: Item): string {
  return JSON.stringify([key.pk, key.sk]);
}

/**
 * A copy that nobody can change, so that readers need none of their own: copies took a tenth of a history's time. The
 * document client refuses undefined anywhere in an item by default.
 */
function frozen<T>(value: T): T {
  if (value === undefined) throw new Error("Pass options.removeUndefinedValues=true to remove undefined values");
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return Object.freeze(value.map(frozen)) as T;
  if (Object.getPrototypeOf(value) !== Object.prototype) return structuredClone(value);
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([key, one]) => [key, frozen(one)]))) as T;
}
