import type { Config } from "../../local/provider/program";
import { needsOf, type Resources } from "./command-permissions";
import { folders } from "./folders";
import { type Call, type Permission, permissionsOf, type Unrecorded } from "./permissions";
import type { Recorded } from "./program-record";
import type { Command } from "./simulated-s3";

type Role = "sense" | "archive";

const NAMES: Resources = { bucket: "<bucket>", ledger: "<ledger>", workflow: "<workflow>", key: "<key>" };
/** The folders that policies name. */
const FOLDERS = [folders.curated, ...(Object.values(folders) as string[])];

/** Replaces an object's key by `any` below its folder. */
function anyOfFolder(resource: string): string {
  const key = resource.slice(`${NAMES.bucket}/`.length);
  const folder = resource.startsWith(`${NAMES.bucket}/`) ? FOLDERS.find((one) => key.startsWith(one)) : undefined;
  return folder === undefined ? resource : `${NAMES.bucket}/${folder}any`;
}

/** The calls of simulated Lambdas to AWS, each kind of call once. */
export class AskedCalls {
  private readonly found = new Map<string, Call>();

  note(role: Role, commands: readonly Command[]): void {
    for (const command of commands) {
      for (const { action, resource } of needsOf(role, command, NAMES)) {
        const call = { role, action, resource: anyOfFolder(resource) };
        this.found.set(`${role} ${action} ${call.resource}`, call);
      }
    }
  }

  /** The calls, with the ARNs of a program's resources. Calls of the key only if the program has one. */
  calls(resources: Resources): Call[] {
    const named = Object.entries(NAMES).map(
      ([part, name]) => [name, resources[part as keyof Resources] ?? ""] as const,
    );
    return [...this.found.values()]
      .map((call) => ({
        ...call,
        resource: named.reduce((text, [name, arn]) => text.replace(name, arn), call.resource),
      }))
      .filter(({ resource }) => resource !== "");
  }
}

const PREFIX = "music-streams";

export function resourcesOf(program: Recorded, { "music-streams:kmsKeyArn": key }: Config = {}): Resources {
  const arn = (type: string, name: string) => {
    const found = program.resources.find((one) => one.type === `aws:${type}` && one.name === name);
    return `arn:aws:${type.split("/")[0]}:eu-central-1:111122223333:${found?.name}`;
  };
  return {
    bucket: arn("s3/bucket:Bucket", `${PREFIX}-lake-bucket`),
    ledger: arn("dynamodb/table:Table", `${PREFIX}-ledger-table`),
    workflow: arn("glue/workflow:Workflow", PREFIX),
    ...(key === undefined ? {} : { key }),
  };
}

export function rolePermissions(program: Recorded, role: string): Permission[] {
  const { policy } = program.inputsOf("iam/rolePolicy:RolePolicy", `${PREFIX}-${role}-role-policy`);
  return permissionsOf(role, policy);
}

/** Permissions that AWS itself uses for a function: Lambda writes its logs, and sends calls whose last try failed. */
export function byAws(program: Recorded): Unrecorded[] {
  return (["sense", "archive"] as const).flatMap((role) => {
    const ofLambda = rolePermissions(program, role).filter(({ action }) => /^(logs|sqs):/.test(action));
    return ofLambda.map(({ action, resource }) => ({
      role,
      actions: [action],
      resources: [resource],
      because: "Lambda does it",
    }));
  });
}
