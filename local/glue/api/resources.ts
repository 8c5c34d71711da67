/** By operation: the kind of resource that a permission names, and the members with its name; the first one counts. */
const NAMED: [operations: RegExp, kind: "job" | "trigger" | "workflow", members: string[]][] = [
  [/^(Create|Get|Update|Delete)Workflow$|WorkflowRun/, "workflow", ["Name"]],
  [/^(Create|Get|Update|Delete)Job$|^(Start|BatchStop)JobRun$|^GetJobRuns?$/, "job", ["JobName", "Name"]],
  [/^(Create|Get|Update|Delete|Start|Stop)Trigger$/, "trigger", ["Name"]],
  [/^(TagResource|UntagResource|GetTags)$/, "job", ["ResourceArn"]],
];

/**
 * The resource that a permission for a call must name: the ARN of a job, trigger or workflow, or `*` for a list
 * ("Actions, resources, and condition keys for AWS Glue", Service Authorization Reference).
 */
export function resourceOf(action: string, content: unknown, at: { region: string; accountId: string }): string {
  const [, kind, members] = NAMED.find(([operations]) => operations.test(action)) ?? [];
  const given = content as Record<string, unknown> | null;
  const name = members?.map((member) => given?.[member]).find((value) => typeof value === "string");
  if (name === undefined) return "*";
  return name.startsWith("arn:") ? name : `arn:aws:glue:${at.region}:${at.accountId}:${kind}/${name}`;
}
