import { readFile } from "node:fs/promises";
import { GetRolePolicyCommand, IAMClient, paginateListRolePolicies, paginateListRoles } from "@aws-sdk/client-iam";
import type { LocalCloud } from "../../local/cloud";
import { type Call, type Permission, permissionsOf } from "./permissions";

type Cloud = Pick<LocalCloud, "endpoint" | "region" | "credentials" | "outputs">;

/** The permissions of a deployed program's roles, read from IAM. Roles and resources have the program's own names. */
export async function deployedPermissions(cloud: Cloud): Promise<Permission[]> {
  const { endpoint, region, credentials } = cloud;
  const client = new IAMClient({ endpoint, region, credentials });
  const permissions: Permission[] = [];
  for await (const { Roles = [] } of paginateListRoles({ client }, {})) {
    for (const { RoleName } of Roles) {
      for await (const { PolicyNames = [] } of paginateListRolePolicies({ client }, { RoleName })) {
        for (const PolicyName of PolicyNames) {
          const { PolicyDocument } = await client.send(new GetRolePolicyCommand({ RoleName, PolicyName }));
          permissions.push(...permissionsOf(RoleName!, decodeURIComponent(PolicyDocument!)));
        }
      }
    }
  }
  client.destroy();
  return permissions.map((one) => named(one, cloud));
}

/** The roles' calls that the emulator recorded. */
export async function recordedCalls(file: string, cloud: Cloud): Promise<Call[]> {
  const lines = (await readFile(file, "utf8")).trim().split("\n");
  return [...new Set(lines)].map((line) => named(JSON.parse(line) as Call, cloud));
}

/**
 * The same with short names: `transform` for the role `music-streams-transform-role-1a2b3c4`, `bucket/...` for objects
 * of its bucket.
 */
function named<One extends Permission>(one: One, { outputs }: Cloud): One {
  const names = Object.entries({
    bucket: outputs.bucketName,
    ledger: outputs.ledgerTableName,
    metrics: outputs.metricsTableName,
    workflow: outputs.workflowName,
    sense: outputs.senseFunctionName,
    deadLetters: outputs.deadLettersUrl?.split("/").at(-1),
  });
  const found = names.find(([, name]) => new RegExp(`^arn:.*[:/]${name}(/.*)?$`, "s").test(one.resource));
  const resource = found
    ? one.resource.replace(new RegExp(`^arn:.*?[:/]${found[1]}(?=/|$)`, "s"), found[0])
    : one.resource.replace(/^arn:aws:logs:[^:]*:\d*:log-group:/, "logs:");
  return { ...one, role: one.role.replace(/^music-streams-(.+)-role-\w+$/, "$1"), resource };
}
