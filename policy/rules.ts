import type { ResourceValidationPolicy, StackValidationPolicy } from "@pulumi/policy";
import { functionRules, glueRules } from "./code-rules";
import { bucketRules, tableRules } from "./data-rules";
import { operationRules, tagRule } from "./operation-rules";
import { roleRules } from "./role-rules";
import { stackRules } from "./stack-rules";

/** The rules for every stack, checked before anything is deployed. */
export const rules: (ResourceValidationPolicy | StackValidationPolicy)[] = [
  ...bucketRules,
  ...tableRules,
  ...roleRules,
  ...functionRules,
  ...glueRules,
  ...operationRules,
  tagRule,
  ...stackRules,
];
