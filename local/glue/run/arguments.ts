import type { Job } from "@aws-sdk/client-glue";

export type Arguments = Record<string, string>;

/** Facts of a run that Glue adds to its arguments. */
export interface RunFacts {
  readonly runId: string;
  readonly workflow?: { readonly name: string; readonly runId: string };
}

/**
 * The effective arguments. NonOverridableArguments win over those of the run (or its trigger), which win over
 * DefaultArguments ("Using job parameters in AWS Glue jobs").
 */
export function resolvedArguments(job: Job, ofRun: Arguments = {}): Arguments {
  return { ...job.DefaultArguments, ...ofRun, ...job.NonOverridableArguments };
}

/**
 * The script's sys.argv after its own name. Glue passes all arguments, also those that it uses itself. An argument with
 * an empty value is a bare key. A Spark job also gets its name and ids. A Python shell job does not (boto/boto3#3506),
 * but gets --scriptLocation and --job-language. The workflow's name and run id are passed only within a workflow
 * ("Getting and setting workflow run properties").
 */
export function argv(job: Job, args: Arguments, facts: RunFacts): string[] {
  const bookmark = { "--job-bookmark-option": "job-bookmark-disable" };
  const own: Arguments =
    job.Command?.Name === "pythonshell"
      ? { "--scriptLocation": job.Command.ScriptLocation ?? "", "--job-language": "python", ...bookmark }
      : { ...bookmark, "--job-language": "python" };
  const ids: Arguments =
    job.Command?.Name === "pythonshell"
      ? {}
      : { "--JOB_NAME": job.Name!, "--JOB_ID": `j_${facts.runId.slice(3, 67)}`, "--JOB_RUN_ID": facts.runId };
  const workflow: Arguments = facts.workflow
    ? { "--WORKFLOW_NAME": facts.workflow.name, "--WORKFLOW_RUN_ID": facts.workflow.runId }
    : {};
  const all = Object.entries({ ...own, ...args, ...ids, ...workflow });
  return all.flatMap(([key, value]) => (value === "" ? [key] : [key, value]));
}

/**
 * Spark settings of the job parameter `--conf`. One parameter holds several settings by repeating its name in its
 * value: `a=b --conf c=d`. @returns pairs in the order given
 */
export function sparkSettings(conf: string | undefined): [string, string][] {
  return (conf ?? "")
    .split(/(?:^|\s)--conf(?:\s+|=)/)
    .map((setting) => setting.trim())
    .filter(Boolean)
    .map((setting) => {
      const at = setting.indexOf("=");
      return at < 0 ? [setting, ""] : [setting.slice(0, at).trim(), setting.slice(at + 1).trim()];
    });
}
