/** A statement of an IAM policy, with lists where IAM also accepts single texts. */
export interface Statement {
  effect: string;
  actions: string[];
  resources: string[];
  services: string[];
  isForAnyone: boolean;
  /** It names exclusions (NotAction, NotResource, NotPrincipal), and so covers everything else. */
  isByExclusion: boolean;
  /** The condition's operators with their keys and values, in IAM's form. */
  condition: Record<string, Record<string, unknown>>;
}

/** The statements of a policy document, given as JSON or as an object. */
export function statementsOf(document: unknown): Statement[] {
  const parsed = typeof document === "string" ? JSON.parse(document) : document;
  return list(parsed?.Statement).map((statement) => {
    const { Effect, Action, Resource, Principal, Condition } = statement as Record<string, unknown>;
    const { Service, AWS } = (Principal ?? {}) as { Service?: unknown; AWS?: unknown };
    return {
      effect: String(Effect),
      actions: list(Action).map(String),
      resources: list(Resource).map(String),
      services: list(Service).map(String),
      // Both mean everybody (IAM User Guide, "AWS JSON policy elements: Principal").
      isForAnyone: Principal === "*" || list(AWS).includes("*"),
      isByExclusion: ["NotAction", "NotResource", "NotPrincipal"].some((key) => key in (statement as object)),
      condition: (Condition ?? {}) as Statement["condition"],
    };
  });
}

/** Whether the document denies `action` on all the resources to everybody over plain HTTP. */
export function refusesPlainHttp(document: unknown, action: string, resources: (string | RegExp)[]): boolean {
  const refused = statementsOf(document)
    .filter(
      ({ effect, actions, isForAnyone, condition }) =>
        effect === "Deny" &&
        isForAnyone &&
        actions.includes(action) &&
        // Another condition would limit the denial.
        Object.keys(condition).length === 1 &&
        String(condition.Bool?.["aws:SecureTransport"]) === "false",
    )
    .flatMap((statement) => statement.resources);
  return resources.every((wanted) =>
    refused.some((one) => one === "*" || (typeof wanted === "string" ? one === wanted : wanted.test(one))),
  );
}

/** Whether a policy's pattern matches S3 objects below a folder: `arn:aws:s3:::bucket/sc*` does below `scripts/`. */
export function reaches(resource: string, folder: string): boolean {
  const [, path = ""] = /^arn:[^:]*:s3:[^/]*(?:\/(.*))?$/s.exec(resource) ?? [];
  const isOfObjects = resource.includes("/") || /[*?]/.test(resource);
  const literal = path.split(/[*?]/)[0]!;
  return isOfObjects && (folder.startsWith(literal) || literal.startsWith(folder));
}

/** Whether one of the condition's operators tests the key. */
export function tests({ condition }: Statement, ...keys: string[]): boolean {
  return Object.values(condition).some((operands) => keys.some((key) => key in operands));
}

/** A pattern for ARNs that end in a name, behind a separator. */
export function endingIn(separator: string, name: unknown): RegExp {
  return new RegExp(`${separator}${String(name).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
}

function list(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}
