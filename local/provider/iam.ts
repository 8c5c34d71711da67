import { isDeepStrictEqual } from "node:util";
import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from "@aws-sdk/client-iam";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, tagList, unless } from "./kind";

const role = kind<aws.iam.RoleArgs>({
  inputs: ["name", "assumeRolePolicy", "tags"],
  name: "name",
  async put({ name: RoleName, assumeRolePolicy, tags }, { clients: { iam } }) {
    const PolicyDocument = String(assumeRolePolicy);
    await unless(
      ["EntityAlreadyExistsException"],
      () =>
        iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: PolicyDocument, Tags: tagList(tags) })),
      () => iam.send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument })),
    );
    const { Role } = await iam.send(new GetRoleCommand({ RoleName }));
    return { id: RoleName ?? "", outs: { arn: Role?.Arn, uniqueId: Role?.RoleId, path: "/", tagsAll: tags ?? {} } };
  },
  exists: (RoleName, _, { clients: { iam } }) => iam.send(new GetRoleCommand({ RoleName })),
  async actual(RoleName, { assumeRolePolicy }, { clients: { iam } }) {
    const { Role } = await iam.send(new GetRoleCommand({ RoleName }));
    return { assumeRolePolicy: sameDocument(assumeRolePolicy, Role?.AssumeRolePolicyDocument) };
  },
  remove: (RoleName, _, { clients: { iam } }) => iam.send(new DeleteRoleCommand({ RoleName })),
});

const rolePolicy = kind<aws.iam.RolePolicyArgs>({
  inputs: ["name", "role", "policy"],
  name: "name",
  fixed: ["role"],
  async put({ name: PolicyName, role, policy }, { clients: { iam } }) {
    const RoleName = String(role);
    await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument: String(policy) }));
    return { id: `${RoleName}:${PolicyName}` };
  },
  exists: (_, { name: PolicyName, role }, { clients: { iam } }) =>
    iam.send(new GetRolePolicyCommand({ RoleName: String(role), PolicyName })),
  async actual(_, { name: PolicyName, role, policy }, { clients: { iam } }) {
    const { PolicyDocument } = await iam.send(new GetRolePolicyCommand({ RoleName: String(role), PolicyName }));
    return { policy: sameDocument(policy, PolicyDocument) };
  },
  remove: (_, { name: PolicyName, role }, { clients: { iam } }) =>
    iam.send(new DeleteRolePolicyCommand({ RoleName: String(role), PolicyName })),
});

/** Decodes IAM's policy document, which may differ in white space. Returns the old text if both mean the same. */
function sameDocument(old: unknown, found = ""): string {
  const now = decodeURIComponent(found);
  return isDeepStrictEqual(JSON.parse(String(old)), JSON.parse(now)) ? String(old) : now;
}

export const iamKinds: Record<string, Kind> = {
  "aws:iam/role:Role": role,
  "aws:iam/rolePolicy:RolePolicy": rolePolicy,
};
