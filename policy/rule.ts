import type { ResourceValidationPolicy } from "@pulumi/policy";
import type { Unwrap } from "@pulumi/pulumi";

export type Say = (problem: string) => void;

/** A rule for each resource of a type. `check` reports what is wrong. */
export function each<Args>(
  name: string,
  type: string,
  description: string,
  check: (resource: Unwrap<Args>, say: Say) => void,
): ResourceValidationPolicy {
  return {
    name,
    description,
    enforcementLevel: "mandatory",
    validateResource: (args, report) => {
      if (args.type === `aws:${type}`) check(args.props as Unwrap<Args>, report);
    },
  };
}
