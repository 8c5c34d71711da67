import { statementsOf } from "../../policy/documents";

/** An action on a resource that a call of a role needed. */
export interface Call {
  role: string;
  action: string;
  resource: string;
  allowed?: boolean;
}

/** One action on one resource (patterns, as IAM has them) that a role's policy allows. */
export interface Permission {
  role: string;
  action: string;
  resource: string;
}

/** Permissions that no recorded call needs, with the reason for them. */
export interface Unrecorded {
  role: string;
  actions: string[];
  resources: string[];
  /** Whether a call needs it depends on timing or data. */
  sometimes?: true;
  because: string;
}

/** Every pair of action and resource that a policy document allows. */
export function permissionsOf(role: string, document: unknown): Permission[] {
  return statementsOf(document)
    .filter(({ effect }) => effect === "Allow")
    .flatMap(({ actions, resources }) =>
      actions.flatMap((action) => resources.map((resource) => ({ role, action, resource }))),
    );
}

/**
 * How calls and permissions differ, a sentence each: calls that are not allowed, permissions that nothing needs, and a
 * list that is out of date.
 */
export function differences(
  permissions: readonly Permission[],
  calls: readonly Call[],
  unrecorded: readonly Unrecorded[],
): string[] {
  const problems: string[] = [];
  const needed = new Set<Permission>();
  for (const call of distinct(calls)) {
    const allowing = permissions.filter((permission) => allows(permission, call));
    if (allowing.length === 0) problems.push(`${shown(call)} is called, and no permission allows it`);
    else if (call.allowed === false) problems.push(`${shown(call)} was refused`);
    // When two permissions allow a call, it needs neither.
    if (allowing.length === 1) needed.add(allowing[0]!);
  }
  const listed = unrecorded.flatMap(({ role, actions, resources, sometimes = false }) =>
    actions.flatMap((action) => resources.map((resource) => ({ role, action, resource, sometimes }))),
  );
  const listing = (one: Permission) => listed.find((other) => same(one, other));
  for (const one of permissions) {
    if (!needed.has(one) && !listing(one)) problems.push(`${shown(one)} is allowed, and nothing needs it`);
    if (needed.has(one) && listing(one)?.sometimes === false)
      problems.push(`${shown(one)} is listed as not recorded, but was recorded`);
  }
  for (const one of listed)
    if (!permissions.some((other) => same(one, other))) problems.push(`${shown(one)} is listed, but not allowed`);
  return [...new Set(problems)].sort();
}

/** The permissions whose removal `differences` would not notice. */
export function dispensable(
  permissions: readonly Permission[],
  calls: readonly Call[],
  unrecorded: readonly Unrecorded[],
): Permission[] {
  return permissions.filter(
    (_, at) =>
      differences(
        permissions.filter((__, other) => other !== at),
        calls,
        unrecorded,
      ).length === 0,
  );
}

function allows(permission: Permission, call: Call): boolean {
  const { role, action, resource } = permission;
  return role === call.role && fits(action, call.action) && fits(resource, call.resource);
}

const patterns = new Map<string, RegExp>();

/** Whether a text fits a pattern with `*` and `?` (IAM User Guide, "IAM JSON policy elements: Resource"). */
function fits(pattern: string, text: string): boolean {
  let found = patterns.get(pattern);
  if (!found) {
    const escaped = pattern
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".");
    found = new RegExp(`^${escaped}$`, "s");
    patterns.set(pattern, found);
  }
  return found.test(text);
}

function distinct(calls: readonly Call[]): Call[] {
  return [...new Map(calls.map((call) => [JSON.stringify(call), call])).values()];
}

const same = (one: Permission, other: Permission) =>
  one.role === other.role && one.action === other.action && one.resource === other.resource;

const shown = ({ role, action, resource }: Permission) => `${role}: ${action} on ${resource}`;
