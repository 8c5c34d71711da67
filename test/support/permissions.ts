import { statementsOf } from "../../policy/documents";

/** A question that a call of a role raised: may it do this to that? */
export interface Call {
  role: string;
  action: string;
  resource: string;
  allowed?: boolean;
}

/** One action on one resource (a pattern, as IAM has them) that a role's policy allows. */
export interface Permission {
  role: string;
  action: string;
  resource: string;
}

/** Permissions that no recorded call needs, and why they are there all the same. */
export interface Unrecorded {
  role: string;
  actions: string[];
  resources: string[];
  /** It depends on chance or data whether a call needs it. */
  sometimes?: true;
  because: string;
}

/** Every action on every resource that a policy document allows, one by one. */
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
    // What two permissions allow needs neither.
    if (allowing.length === 1) needed.add(allowing[0]!);
  }
  const listed = unrecorded.flatMap(({ role, actions, resources, sometimes = false }) =>
    actions.flatMap((action) => resources.map((resource) => ({ role, action, resource, sometimes }))),
  );
  const listing = (one: Permission) => listed.find((other) => same(one, other));
  for (const one of permissions) {
    if (!needed.has(one) && !listing(one)) problems.push(`${shown(one)} is allowed, and nothing needs it`);
    if (needed.has(one) && listing(one)?.sometimes === false)
      problems.push(`${shown(one)} is listed as not recorded, and is`);
  }
  for (const one of listed)
    if (!permissions.some((other) => same(one, other))) problems.push(`${shown(one)} is listed, and not allowed`);
  return [...new Set(problems)].sort();
}

/** The permissions whose removal `differences` would not see: none, if removing any one is to be noticed. */
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
  return permission.role === call.role && permission.action === call.action && fits(permission.resource, call.resource);
}

const patterns = new Map<string, RegExp>();

/** Whether a resource fits a pattern with `*` and `?` (IAM User Guide, "IAM JSON policy elements: Resource"). */
function fits(pattern: string, resource: string): boolean {
  let found = patterns.get(pattern);
  if (!found) {
    const escaped = pattern
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".");
    found = new RegExp(`^${escaped}$`, "s");
    patterns.set(pattern, found);
  }
  return found.test(resource);
}

function distinct(calls: readonly Call[]): Call[] {
  return [...new Map(calls.map((call) => [JSON.stringify(call), call])).values()];
}

const same = (one: Permission, other: Permission) =>
  one.role === other.role && one.action === other.action && one.resource === other.resource;

const shown = ({ role, action, resource }: Permission) => `${role}: ${action} on ${resource}`;
