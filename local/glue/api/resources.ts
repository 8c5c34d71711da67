/** Which of an operation's members names the resource that a permission for it is about, the first that is there. */
const NAMED: [operations: RegExp, kind: "job" | "trigger" | "workflow", members: string[]][] = [
  [/^(Create|Get|Update|Delete)Workflow$|WorkflowRun/, "workflow", ["Name"]],
  [/^(Create|Get|Update|Delete)Job$|^(Start|BatchStop)JobRun$|^GetJobRuns?$/, "job", ["JobName", "Name"]],
  [/^(Create|Get|Update|Delete|Start|Stop)Trigger$/, "trigger", ["Name"]],
  [/^(TagResource|UntagResource|GetTags)$/, "job", ["ResourceArn"]],
];

/**
 * What a permission for a call must be about, by "Actions, resources, and condition keys for AWS Glue" in the Service Authorization
 * Reference: the ARN of a job, trigger or workflow, or `*` for what lists them.
 */
export function resourceOf(action: string, content: unknown, at: { region: string; accountId: string }): string {
  const [, kind, members] = NAMED.find(([operations]) => operations.test(action)) ?? [];
  const given = content as Record<string, unknown> | null;
  const name = members?.map((member) => given?.[member]).find((value) => typeof value === "string");
  if (name === undefined) return "*";
  return name.startsWith("arn:") ? name : `arn:aws:glue:${at.region}:${at.accountId}:${kind}/${name}`;
}
