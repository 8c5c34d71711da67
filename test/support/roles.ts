import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from "@aws-sdk/client-iam";
import { testCredentials } from "./credentials";

interface RoleOptions {
  /** The service that may assume it. */
  service: string;
  actions: string[];
  /** The resources of the actions. Default: all. */
  resources?: string[];
}

/** Creates a role on an emulator. @returns its ARN */
export async function createRole(endpoint: string, RoleName: string, options: RoleOptions): Promise<string> {
  const { service, actions, resources = ["*"] } = options;
  const iam = new IAMClient({
    endpoint,
    region: "us-east-1",
    credentials: testCredentials,
  });
  const policy = (statement: object) => JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  const trust = policy({ Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" });
  const { Role } = await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust }));
  const PolicyDocument = policy({ Effect: "Allow", Action: actions, Resource: resources });
  await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: "own", PolicyDocument }));
  iam.destroy();
  return Role!.Arn!;
}
