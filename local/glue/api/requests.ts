import { GlueError } from "../errors";

/**
 * Checks a value of a request. It collects breaches of constraints, because AWS reports all of them in one
 * ValidationException. A value of the wrong JSON type is a SerializationException at once. A check ignores members that
 * it does not list, as the protocol requires ("AWS JSON 1.1 protocol", Smithy).
 */
export type Check = (value: unknown, path: string, breaches: string[]) => void;

export interface Member {
  readonly check: Check;
  readonly required: boolean;
}

export const must = (check: Check): Member => ({ check, required: true });
export const may = (check: Check): Member => ({ check, required: false });

const SINGLE_LINE = /^[\u0020-\uD7FF\uE000-\uFFFD\uD800-\uDFFF\t]*$/;
const MULTI_LINE = /^[\u0020-\uD7FF\uE000-\uFFFD\uD800-\uDFFF\r\n\t]*$/;

interface TextLimits {
  min?: number;
  max?: number;
  pattern?: RegExp;
  oneOf?: readonly string[];
}

export function text(limits: TextLimits = {}): Check {
  return (value, path, breaches) => {
    if (typeof value !== "string") throw wrongType(path, "STRING_VALUE");
    const shown = value.length > 200 ? `${value.slice(0, 200)}...` : value;
    const fail = (constraint: string) =>
      breaches.push(`Value '${shown}' at '${path}' failed to satisfy constraint: Member must ${constraint}`);
    if (limits.oneOf && !limits.oneOf.includes(value)) fail(`satisfy enum value set: [${limits.oneOf.join(", ")}]`);
    if (limits.min !== undefined && value.length < limits.min)
      fail(`have length greater than or equal to ${limits.min}`);
    if (limits.max !== undefined && value.length > limits.max) fail(`have length less than or equal to ${limits.max}`);
    if (limits.pattern && !limits.pattern.test(value))
      fail(`satisfy regular expression pattern: ${limits.pattern.source}`);
  };
}

export const name = text({ min: 1, max: 255, pattern: SINGLE_LINE });
export const description = text({ max: 2048, pattern: MULTI_LINE });
export const oneOf = (...values: string[]) => text({ oneOf: values });

export function whole(min?: number, max?: number): Check {
  return (value, path, breaches) => {
    if (typeof value !== "number" || !Number.isInteger(value)) throw wrongType(path, "NUMBER_VALUE");
    const fail = (constraint: string) =>
      breaches.push(`Value '${value}' at '${path}' failed to satisfy constraint: Member must ${constraint}`);
    if (min !== undefined && value < min) fail(`have value greater than or equal to ${min}`);
    if (max !== undefined && value > max) fail(`have value less than or equal to ${max}`);
  };
}

export const decimal: Check = (value, path) => {
  if (typeof value !== "number") throw wrongType(path, "NUMBER_VALUE");
};

export const flag: Check = (value, path) => {
  if (typeof value !== "boolean") throw wrongType(path, "TRUE_VALUE or FALSE_VALUE");
};

export function list(item: Check, min = 0, max = Number.POSITIVE_INFINITY): Check {
  return (value, path, breaches) => {
    if (!Array.isArray(value)) throw wrongType(path, "START_ARRAY");
    if (value.length < min || value.length > max) {
      const bound = value.length < min ? `greater than or equal to ${min}` : `less than or equal to ${max}`;
      breaches.push(`Value at '${path}' failed to satisfy constraint: Member must have length ${bound}`);
    }
    value.forEach((each, index) => {
      item(each, `${path}.${index + 1}.member`, breaches);
    });
  };
}

export function map(key: Check, item: Check, max = Number.POSITIVE_INFINITY): Check {
  return (value, path, breaches) => {
    if (!isObject(value)) throw wrongType(path, "START_OBJECT");
    if (Object.keys(value).length > max)
      breaches.push(
        `Value at '${path}' failed to satisfy constraint: Member must have length less than or equal to ${max}`,
      );
    for (const [each, content] of Object.entries(value)) {
      key(each, `${path}.key`, breaches);
      item(content, `${path}.${each}.member`, breaches);
    }
  };
}

export function shape(members: Record<string, Member>): Check {
  return (value, path, breaches) => {
    if (!isObject(value)) throw wrongType(path || "request", "START_OBJECT");
    for (const [member, { check, required }] of Object.entries(members)) {
      const at = (path ? `${path}.` : "") + member.charAt(0).toLowerCase() + member.slice(1);
      const content = value[member];
      if (content !== undefined && content !== null) check(content, at, breaches);
      else if (required) breaches.push(`Value null at '${at}' failed to satisfy constraint: Member must not be null`);
    }
  };
}

export const strings = map(text(), text());
export const tags = map(text({ min: 1, max: 128 }), text({ max: 256 }), 50);

/**
 * Checks a request and returns it without nulls: a null member counts as missing.
 * @throws GlueError ValidationException or SerializationException
 */
export function checked(check: Check, request: unknown): Record<string, unknown> {
  const breaches: string[] = [];
  check(request, "", breaches);
  if (breaches.length > 0) {
    const count = `${breaches.length} validation error${breaches.length === 1 ? "" : "s"} detected`;
    throw new GlueError("ValidationException", `${count}: ${breaches.join("; ")}`);
  }
  return withoutNulls(request) as Record<string, unknown>;
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([, content]) => content !== null);
  return Object.fromEntries(kept.map(([key, content]) => [key, withoutNulls(content)]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrongType(path: string, expected: string): GlueError {
  return new GlueError("SerializationException", `Unexpected type at '${path}': expected ${expected}`);
}

/** An operation of the API: the check of its request, and what it does. Dates in its answer become epoch seconds. */
export interface Operation {
  readonly request: Check;
  // The check gives a request its type. The operations in one table have no common type.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly run: (request: any) => unknown;
}

export function operation<In, Out>(
  members: Record<string, Member>,
  run: (request: In) => Out | Promise<Out>,
): Operation {
  return { request: shape(members), run };
}
