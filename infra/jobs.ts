import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { folderOf } from "../runtime/places";
import { createRole, type Grant, objectsIn, usingKey } from "./access";
import type { Settings } from "./settings";

export interface JobArgs {
  /** Where the script lies, as an `s3://` URL. */
  script: pulumi.Input<string>;
  /** The library for this kind of job, as an `s3://` URL. */
  library: pulumi.Input<string>;
  bucket: aws.s3.Bucket;
  /** The script's own arguments, names with their two dashes. */
  arguments: Record<string, pulumi.Input<string>>;
  /** What the script may do, beyond reading the code and writing logs. */
  grants: Grant[];
  timeoutMinutes: number;
  settings: Settings;
}

// Unset fields come back from Glue with values of its own, and then show up as changes: so every field is set. One run
// at a time, because two runs would write the same days; no retries, because the ledger decides about them.
const ONE_RUN = { executionProperty: { maxConcurrentRuns: 1 }, maxRetries: 0 };

/** A Spark job of Glue 6.0 with a role and log groups of its own. */
export function createSparkJob(name: string, args: JobArgs, parent: pulumi.Resource): aws.glue.Job {
  const { tags, spark, logRetentionDays } = args.settings;
  // Glue writes to the groups `<prefix>/output` and `<prefix>/error` (Glue Developer Guide, "Logging for AWS Glue jobs").
  const logs = `/aws-glue/jobs/${pulumi.getProject()}-${pulumi.getStack()}/${name}`;
  const groups = ["output", "error"].map(
    (part) =>
      new aws.cloudwatch.LogGroup(
        `${name}-logs-${part}`,
        { name: `${logs}/${part}`, retentionInDays: logRetentionDays, tags },
        { parent },
      ),
  );
  const grants: Grant[] = [
    ...common(args),
    {
      actions: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
      resources: groups.flatMap((group) => [group.arn, pulumi.interpolate`${group.arn}:*`]),
    },
    {
      // PutMetricData knows no resources; its namespace is the only bound that there is.
      actions: ["cloudwatch:PutMetricData"],
      resources: ["*"],
      condition: { StringEquals: { "cloudwatch:namespace": ["Glue"] } },
    },
  ];
  const { role, ready } = createRole(`${name}-role`, { service: "glue.amazonaws.com", grants, tags }, parent);
  return new aws.glue.Job(
    name,
    {
      roleArn: role.arn,
      glueVersion: "6.0",
      command: { name: "glueetl", pythonVersion: "3", scriptLocation: args.script },
      workerType: spark.workerType,
      numberOfWorkers: spark.numberOfWorkers,
      executionClass: "STANDARD",
      timeout: args.timeoutMinutes,
      ...ONE_RUN,
      defaultArguments: {
        "--job-language": "python",
        "--job-bookmark-option": "job-bookmark-disable",
        "--enable-metrics": "true",
        "--enable-observability-metrics": "true",
        "--enable-continuous-cloudwatch-log": "true",
        "--enable-auto-scaling": "true",
        "--custom-logGroup-prefix": logs,
        "--extra-py-files": args.library,
        ...args.arguments,
      },
      tags,
    },
    { parent, dependsOn: [...ready, ...groups] },
  );
}

/** A Python shell job: one machine of 1 DPU (4 CPUs, 16 GB) under Python 3.9, with the given packages from PyPI. */
export function createPythonShellJob(
  name: string,
  args: JobArgs & { packages: string[] },
  parent: pulumi.Resource,
): aws.glue.Job {
  const { tags } = args.settings;
  const { partition } = aws.getPartitionOutput({}, { parent });
  const { region } = aws.getRegionOutput({}, { parent });
  const { accountId } = aws.getCallerIdentityOutput({}, { parent });
  const grants: Grant[] = [
    ...common(args),
    {
      // The groups of all Python shell jobs of the account: Glue offers no choice of another.
      actions: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
      resources: [pulumi.interpolate`arn:${partition}:logs:${region}:${accountId}:log-group:/aws-glue/python-jobs/*`],
    },
  ];
  const { role, ready } = createRole(`${name}-role`, { service: "glue.amazonaws.com", grants, tags }, parent);
  return new aws.glue.Job(
    name,
    {
      roleArn: role.arn,
      // What Glue names for Python shell 3.9; it takes neither workers nor an execution class.
      glueVersion: "3.0",
      command: { name: "pythonshell", pythonVersion: "3.9", scriptLocation: args.script },
      maxCapacity: 1,
      timeout: args.timeoutMinutes,
      ...ONE_RUN,
      defaultArguments: {
        "--job-language": "python",
        // Without it, old versions of common libraries get in the way of ours. The name has no dashes.
        "library-set": "none",
        "--additional-python-modules": args.packages.join(","),
        "--extra-py-files": args.library,
        ...args.arguments,
      },
      tags,
    },
    { parent, dependsOn: ready },
  );
}

function common(args: JobArgs): Grant[] {
  const code: Grant = { actions: ["s3:GetObject"], resources: objectsIn(args.bucket, [folderOf("scripts")]) };
  return [code, ...usingKey(args.settings), ...args.grants];
}
