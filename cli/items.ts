import type { AttributeValue } from "@aws-sdk/client-dynamodb";

/** A DynamoDB item as the low-level client gives it. */
export type Item = Record<string, AttributeValue>;

/**
 * A text whose JavaScript order is the order of the original's UTF-8 bytes, as DynamoDB orders strings.
 * (JavaScript compares UTF-16 units, which puts U+FF5E after U+1F3B5.)
 */
export function byteOrder(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function byBytes(a: string, b: string): number {
  const [left, right] = [byteOrder(a), byteOrder(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * A DynamoDB number, which is a decimal text, as JSON. Every digit is kept: DynamoDB holds up to 38 digits, a
 * JavaScript number about 16.
 */
export function jsonNumber(text: string): string {
  const parts = /^([+-]?)0*(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!parts) throw new Error(`not a DynamoDB number: ${text}`);
  const [, sign, whole = "", fraction = "", exponent = "0"] = parts;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  const padded = digits.padStart(digits.length + Math.max(0, -point), "0").padEnd(point, "0");
  const at = Math.max(0, point);
  const integral = padded.slice(0, at).replace(/^0+(?=\d)/, "") || "0";
  const decimals = padded.slice(at).replace(/0+$/, "");
  const isZero = /^0*$/.test(integral + decimals);
  return `${sign === "-" && !isZero ? "-" : ""}${integral}${decimals && `.${decimals}`}`;
}

/** A DynamoDB value as compact JSON: keys of maps and members of sets in byte order, no escapes but those of JSON. */
function jsonValue(value: AttributeValue): string {
  if (value.S !== undefined) return JSON.stringify(value.S);
  if (value.N !== undefined) return jsonNumber(value.N);
  if (value.L !== undefined) return `[${value.L.map(jsonValue).join(",")}]`;
  if (value.M !== undefined) return jsonObject(value.M, Object.keys(value.M).sort(byBytes));
  if (value.BOOL !== undefined) return String(value.BOOL);
  if (value.NULL !== undefined) return "null";
  if (value.SS !== undefined) return JSON.stringify([...value.SS].sort(byBytes));
  if (value.NS !== undefined) return `[${value.NS.map(jsonNumber).sort(byBytes).join(",")}]`;
  if (value.B !== undefined) return JSON.stringify(Buffer.from(value.B).toString("base64"));
  if (value.BS !== undefined)
    return JSON.stringify(value.BS.map((bytes) => Buffer.from(bytes).toString("base64")).sort());
  throw new Error(`a DynamoDB value of an unknown type: ${Object.keys(value).join(", ")}`);
}

function jsonObject(item: Item, keys: string[]): string {
  return `{${keys.map((key) => `${JSON.stringify(key)}:${jsonValue(item[key] as AttributeValue)}`).join(",")}}`;
}

/**
 * Attributes of the metrics table that are no metrics: which run wrote an item, and where the index `listed` has it.
 * Without them, two tables with the same metrics give the same items.
 */
export const besideMetrics = ["batch_id", "published_at", "listed_in"];

/** An item as one JSON object: pk and sk first, then the others by name, without those in `leftOut`. */
export function jsonItem(item: Item, leftOut: readonly string[] = []): string {
  const others = Object.keys(item).filter((key) => key !== "pk" && key !== "sk" && !leftOut.includes(key));
  return jsonObject(item, ["pk", "sk", ...others.sort(byBytes)]);
}

/** A text attribute; undefined when it is absent or something else. */
export function textOf(item: Item | undefined, name: string): string | undefined {
  return item?.[name]?.S;
}

/** A whole number attribute, exact; undefined when it is absent or something else. */
export function wholeOf(item: Item | undefined, name: string): bigint | undefined {
  const text = item?.[name]?.N;
  if (text === undefined) return undefined;
  const plain = jsonNumber(text);
  return BigInt(plain.split(".")[0] as string);
}

/** The maps of a list attribute, such as the top tracks. */
export function mapsOf(item: Item | undefined, name: string): Item[] {
  return (item?.[name]?.L ?? []).flatMap((value) => (value.M ? [value.M] : []));
}
