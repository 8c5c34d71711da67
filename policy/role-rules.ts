import type * as aws from "@pulumi/aws";
// Without a default import: Pulumi compiles the pack with its own options.
import * as layout from "../layout.json";
import { reaches, statementsOf, tests } from "./documents";
import { each } from "./rule";

// Actions without resources: only a condition can limit them.
const WITHOUT_RESOURCE = ["cloudwatch:PutMetricData"];

export const roleRules = [
  each<aws.iam.RoleArgs>(
    "role-of-one-service",
    "iam/role:Role",
    "Exactly one service may assume a role, and only for this account.",
    ({ assumeRolePolicy }, say) => {
      for (const statement of statementsOf(assumeRolePolicy)) {
        if (statement.services.length !== 1) say("exactly one service may assume the role, and nobody else");
        if (!tests(statement, "aws:SourceAccount", "aws:SourceArn"))
          say("the trust policy must be limited to the account");
      }
    },
  ),
  each<aws.iam.RolePolicyArgs>(
    "role-least-privilege",
    "iam/rolePolicy:RolePolicy",
    "A role's policy names actions, and resources that are its own (IAM.1, IAM.21).",
    ({ policy }, say) => {
      for (const { effect, actions, resources, condition, isByExclusion } of statementsOf(policy)) {
        if (effect !== "Allow") continue;
        if (isByExclusion) say("a statement must name what it allows, not what it excludes");
        for (const action of actions) if (action.includes("*")) say(`the action ${action} must be named in full`);
        const isBound = actions.every((one) => WITHOUT_RESOURCE.includes(one)) && Object.keys(condition).length > 0;
        for (const resource of resources) {
          if (/^(\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:\*)$/.test(resource) && !isBound)
            say(`${actions}: ${resource} is too broad`);
        }
      }
    },
  ),
  each<aws.iam.RolePolicyArgs>(
    "role-leaves-scripts",
    "iam/rolePolicy:RolePolicy",
    `No role may write below ${layout.scripts}: what runs must not change what runs.`,
    ({ policy }, say) => {
      for (const { effect, actions, resources } of statementsOf(policy)) {
        const writes = actions.filter((one) => /^s3:(Put|Delete|Restore|Replicate|ObjectOwner|Bypass)/i.test(one));
        if (effect !== "Allow" || writes.length === 0) continue;
        for (const resource of resources) if (reaches(resource, layout.scripts)) say(`${writes}: not on ${resource}`);
      }
    },
  ),
  each<aws.iam.RolePolicyArgs>(
    "role-passes-to-one-service",
    "iam/rolePolicy:RolePolicy",
    "A role may pass another role only to a named service.",
    ({ policy }, say) => {
      for (const { effect, actions, condition } of statementsOf(policy)) {
        if (effect !== "Allow" || !actions.includes("iam:PassRole")) continue;
        const service = condition.StringEquals?.["iam:PassedToService"];
        if (typeof service !== "string") say("iam:PassRole must be limited by iam:PassedToService");
      }
    },
  ),
  each<aws.iam.RolePolicyAttachmentArgs>(
    "role-no-managed-policy",
    "iam/rolePolicyAttachment:RolePolicyAttachment",
    "A role has its own policy; managed policies allow more than one part needs.",
    ({ policyArn }, say) => say(`${policyArn} must not be attached`),
  ),
];
