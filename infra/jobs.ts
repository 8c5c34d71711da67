import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { folderOf } from "../runtime/places";
import { createRole, type Grant, objectsIn, usingKey } from "./access";
import type { Settings } from "./settings";

export interface JobArgs {
  /** The script, as an `s3://` URL. */
  script: pulumi.Input<string>;
  /** The library for this kind of job, as an `s3://` URL. */
  library: pulumi.Input<string>;
  bucket: aws.s3.Bucket;
  /** The script's own arguments; names include their two dashes. */
  arguments: Record<string, pulumi.Input<string>>;
  /** The script's permissions, beyond reading its code and writing logs. */
  grants: Grant[];
  timeoutMinutes: number;
  settings: Settings;
}

// Glue fills unset fields with its own values, which then show up as changes: so every field is set. One run at a time,
// because two runs would write the same days. No retries, because the ledger decides about the next attempt.
const ONE_RUN = { executionProperty: { maxConcurrentRuns: 1 }, maxRetries: 0 };

// The provider keeps workers and capacity in its state and sends them again. Glue refuses those of another command, so
// a job can't change its command in place.
const ONE_COMMAND = { replaceOnChanges: ["command.name"] };

/** A Spark job on Glue 6.0 with its own role and log groups. */
export function createSparkJob(name: string, args: JobArgs, parent: pulumi.Resource): aws.glue.Job {
  const { tags, spark, logRetentionDays } = args.settings;
  // Glue writes to the groups `<prefix>/output` and `<prefix>/error` (Glue Developer Guide, "Logging for AWS Glue
  // jobs").
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
      // PutMetricData has no resources; only its namespace can limit it.
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
        "--enable-auto-scaling": "true",
        "--custom-logGroup-prefix": logs,
        "--extra-py-files": args.library,
        ...args.arguments,
      },
      tags,
    },
    { parent, dependsOn: [...ready, ...groups], ...ONE_COMMAND },
  );
}

/** A Python shell job: one machine of 1 DPU (4 CPUs, 16 GB) with Python 3.9 and the given packages from PyPI. */
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
      // The log groups of all Python shell jobs of the account: Glue offers no other.
      actions: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
      resources: [pulumi.interpolate`arn:${partition}:logs:${region}:${accountId}:log-group:/aws-glue/python-jobs/*`],
    },
  ];
  const { role, ready } = createRole(`${name}-role`, { service: "glue.amazonaws.com", grants, tags }, parent);
  return new aws.glue.Job(
    name,
    {
      roleArn: role.arn,
      // Glue's own value for Python shell 3.9, which takes neither workers nor an execution class.
      glueVersion: "3.0",
      command: { name: "pythonshell", pythonVersion: "3.9", scriptLocation: args.script },
      maxCapacity: 1,
      timeout: args.timeoutMinutes,
      ...ONE_RUN,
      defaultArguments: {
        "--job-language": "python",
        // Without it, old versions of common libraries hide ours. The name has no dashes.
        "library-set": "none",
        "--additional-python-modules": args.packages.join(","),
        "--extra-py-files": args.library,
        ...args.arguments,
      },
      tags,
    },
    { parent, dependsOn: ready, ...ONE_COMMAND },
  );
}

function common(args: JobArgs): Grant[] {
  const code: Grant = { actions: ["s3:GetObject"], resources: objectsIn(args.bucket, [folderOf("scripts")]) };
  return [code, ...usingKey(args.settings), ...args.grants];
}
