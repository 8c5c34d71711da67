import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

interface Shape {
  type: string;
  required?: string[];
  members?: Record<string, { shape: string }>;
  member?: { shape: string };
  value?: { shape: string };
  enum?: string[];
  pattern?: string;
  max?: number;
}

interface Model {
  operations: Record<string, { input?: { shape: string }; output?: { shape: string }; errors?: { shape: string }[] }>;
  shapes: Record<string, Shape>;
}

/** AWS's own model of the Glue API, as botocore ships it. */
export function glueModel(): Model {
  const packages = join(__dirname, "..", "..", ".local", "python", "lib", "python3*", "site-packages");
  const [file] = globSync(join(packages, "botocore", "data", "glue", "2017-03-31", "service-2.json.gz"));
  if (!file) throw new Error("botocore is not in .local/python. Run npm test, which installs it.");
  return JSON.parse(gunzipSync(readFileSync(file)).toString("utf8")) as Model;
}

/**
 * What in a value is not as the model says: unknown members, wrong types, values outside of an enum, missing members.
 */
export function deviations(model: Model, shapeName: string, value: unknown, at = shapeName): string[] {
  const shape = model.shapes[shapeName]!;
  const wrong = (expected: string) => [`${at} is ${JSON.stringify(value)}, not ${expected}`];
  switch (shape.type) {
    case "structure": {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong("a structure");
      const missing = (shape.required ?? [])
        .filter((name) => !(name in value))
        .map((name) => `${at}.${name} is missing`);
      const members = Object.entries(value).flatMap(([name, content]) => {
        const member = shape.members?.[name];
        return member ? deviations(model, member.shape, content, `${at}.${name}`) : [`${at}.${name} is unknown`];
      });
      return [...missing, ...members];
    }
    case "list":
      if (!Array.isArray(value)) return wrong("a list");
      if (shape.max !== undefined && value.length > shape.max) return wrong(`at most ${shape.max} items`);
      return value.flatMap((item, index) => deviations(model, shape.member!.shape, item, `${at}[${index}]`));
    case "map":
      if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong("a map");
      return Object.entries(value).flatMap(([key, item]) =>
        deviations(model, shape.value!.shape, item, `${at}.${key}`),
      );
    case "string":
      if (typeof value !== "string") return wrong("a string");
      if (shape.enum && !shape.enum.includes(value)) return wrong(`one of ${shape.enum.join(", ")}`);
      return [];
    case "integer":
    case "long":
      return Number.isInteger(value) ? [] : wrong("a whole number");
    case "double":
      return typeof value === "number" ? [] : wrong("a number");
    case "timestamp":
      return typeof value === "number" && value > 1.5e9 && value < 5e9 ? [] : wrong("seconds since 1970");
    case "boolean":
      return typeof value === "boolean" ? [] : wrong("a boolean");
    default:
      return wrong(`a ${shape.type}, which this check does not support`);
  }
}
