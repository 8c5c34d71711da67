import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { folderOf } from "../runtime/places";
import { tlsOnly } from "./access";
import type { DeadLetters } from "./dead-letters";
import type { Settings } from "./settings";

interface AlarmsArgs {
  /** The Lambdas by the names that descriptions use. The schedule calls `sense`. */
  functions: { sense: aws.lambda.Function; archive: aws.lambda.Function };
  deadLetters: DeadLetters;
  settings: Settings;
}

/** When an alarm goes off: the metric, its statistic and the threshold. */
interface AlarmSpec {
  metric: string;
  namespace: string;
  dimensions?: Record<string, pulumi.Input<string>>;
  statistic: "Sum" | "Maximum";
  /** The lowest value that raises the alarm. */
  from: number;
  /** The section of docs/operations.md that says what to do. */
  section: string;
  /** What has happened, in a sentence. */
  because: string;
}

const MINUTE = 60;
const HOUR = 3600;

/**
 * Sends a mail when someone must act: a batch failed for good, a job keeps failing, work hangs, or the schedule
 * stopped. Each alarm's description names the section of docs/operations.md that says what to do.
 */
export class Alarms extends pulumi.ComponentResource {
  readonly topic: aws.sns.Topic;
  readonly alarms: aws.cloudwatch.MetricAlarm[] = [];
  private readonly tags: Record<string, string>;

  constructor(
    private readonly name: string,
    args: AlarmsArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("music-streams:operations:Alarms", name, {}, opts);
    const { functions, deadLetters, settings } = args;
    const { alarms, metricsNamespace: namespace } = settings;
    this.tags = settings.tags;
    this.topic = this.createTopic(alarms.email);

    this.alarmOnOutcome("batch-failed", {
      metric: "RecentBatchesFailed",
      namespace,
      statistic: "Maximum",
      from: 1,
      section: "batch-failed",
      because: `A file could not be transformed and is now in ${folderOf("failed")}.`,
    });
    this.alarmOnOutcome("files-held", {
      metric: "RecentFilesHeld",
      namespace,
      statistic: "Maximum",
      from: 1,
      section: "files-held",
      because: `S3 did not let the pipeline move a file: it stays in ${folderOf("incoming")}, and no batch claims it.`,
    });
    for (const job of ["transform", "publish", "workflow"]) {
      this.alarmOnState(`${job}-failing`, {
        metric: "FailuresInARow",
        namespace,
        dimensions: { Job: job },
        statistic: "Maximum",
        from: alarms.failuresInARow,
        section: `${job}-keeps-failing`,
        because: `The batch in flight failed at least ${alarms.failuresInARow} times in a row, last in ${job}, and blocks all other files.`,
      });
    }
    this.alarmOnState("batch-stuck", {
      metric: "BatchAgeSeconds",
      namespace,
      statistic: "Maximum",
      from: alarms.batchMinutes * MINUTE,
      section: "batch-stuck",
      because: `A batch has been in flight for at least ${alarms.batchMinutes} minutes.`,
    });
    this.alarmOnState("files-waiting", {
      metric: "OldestFileAgeSeconds",
      namespace,
      statistic: "Maximum",
      from: alarms.waitingMinutes * MINUTE,
      section: "files-wait",
      because: `A file has been in ${folderOf("incoming")} for at least ${alarms.waitingMinutes} minutes: the pipeline is stuck, or files arrive faster than it works.`,
    });
    this.alarmOnOutcome("rows-quarantined", {
      metric: "RowsQuarantinedPercent",
      namespace,
      statistic: "Maximum",
      from: alarms.quarantinedPercent,
      section: "many-quarantined-rows",
      because: `At least ${alarms.quarantinedPercent} % of a batch's rows are quarantined.`,
    });
    this.alarmOnOutcome("reference-faults", {
      metric: "ReferenceFaults",
      namespace,
      statistic: "Maximum",
      from: 1,
      section: "reference-data-is-faulty",
      because: "A batch could not use a file or a row of the reference data: its listens lack names or genres.",
    });
    for (const [what, { name: FunctionName }] of Object.entries(functions)) {
      this.alarmOnEvent(`${what}-errors`, {
        metric: "Errors",
        namespace: "AWS/Lambda",
        dimensions: { FunctionName },
        statistic: "Sum",
        from: 1,
        section: "a-function-fails",
        because: `The function ${what} failed or timed out.`,
      });
    }
    const letters: AlarmSpec = {
      metric: "ApproximateNumberOfMessagesVisible",
      namespace: "AWS/SQS",
      dimensions: { QueueName: deadLetters.queue.name },
      statistic: "Maximum",
      from: 1,
      section: "dead-letters",
      because: "A call of sense or archive failed on its last try, or never arrived.",
    };
    // SQS reports a queue only while it is in use, and for some six hours after (Amazon SQS Developer Guide, "Available
    // CloudWatch metrics"). Without news the messages still lie there.
    this.alarmOnState("dead-letters", letters, { treatMissingData: "ignore" });
    this.alarmOnSilence(functions.sense.name, alarms.silentHours);
    this.registerOutputs({ topicArn: this.topic.arn });
  }

  private createTopic(email: string): aws.sns.Topic {
    const topic = new aws.sns.Topic(`${this.name}-topic`, { tags: this.tags }, { parent: this });
    const { accountId } = aws.getCallerIdentityOutput({}, { parent: this });
    new aws.sns.TopicPolicy(
      `${this.name}-topic-policy`,
      {
        arn: topic.arn,
        policy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              Sid: "AlarmsOfThisAccount",
              Effect: "Allow",
              Principal: { Service: "cloudwatch.amazonaws.com" },
              Action: "sns:Publish",
              Resource: topic.arn,
              Condition: { StringEquals: { "aws:SourceAccount": accountId } },
            },
            tlsOnly("sns:Publish", topic.arn),
          ],
        }),
      },
      { parent: this },
    );
    if (email !== "") {
      new aws.sns.TopicSubscription(
        `${this.name}-email`,
        { topic: topic.arn, protocol: "email", endpoint: email },
        { parent: this },
      );
    }
    return topic;
  }

  /** Raises an alarm when something happens. Its end means nothing, so it is not reported. */
  private alarmOnEvent(part: string, spec: AlarmSpec): void {
    this.createAlarm(part, spec, { evaluationPeriods: 1, datapointsToAlarm: 1 });
  }

  /**
   * Raises an alarm when a batch ends badly. Ticks repeat the sign for half an hour, because one log line can be lost.
   * A quarter of an hour without a sign ends the alarm. Its end means nothing, so it is not reported.
   */
  private alarmOnOutcome(part: string, spec: AlarmSpec): void {
    this.createAlarm(part, spec, { evaluationPeriods: 3, datapointsToAlarm: 1 });
  }

  /**
   * Raises an alarm at the first sign of a lasting problem, and reports its end after an hour without a sign. An hour,
   * because signs come with ticks, and a schedule may be slow.
   */
  private alarmOnState(part: string, spec: AlarmSpec, more: Partial<aws.cloudwatch.MetricAlarmArgs> = {}): void {
    const okActions = [this.topic.arn];
    this.createAlarm(part, spec, { evaluationPeriods: 12, datapointsToAlarm: 1, okActions, ...more });
  }

  private createAlarm(part: string, spec: AlarmSpec, more: Partial<aws.cloudwatch.MetricAlarmArgs>): void {
    const alarm = new aws.cloudwatch.MetricAlarm(
      `${this.name}-${part}`,
      {
        alarmDescription: describe(spec),
        namespace: spec.namespace,
        metricName: spec.metric,
        ...(spec.dimensions ? { dimensions: spec.dimensions } : {}),
        statistic: spec.statistic,
        period: 5 * MINUTE,
        evaluationPeriods: 1,
        comparisonOperator: "GreaterThanOrEqualToThreshold",
        threshold: spec.from,
        // A pipeline with nothing to do sends no metrics.
        treatMissingData: "notBreaching",
        alarmActions: [this.topic.arn],
        tags: this.tags,
        ...more,
      },
      { parent: this },
    );
    this.alarms.push(alarm);
  }

  /** Raises an alarm when the schedule no longer calls its function: all other alarms depend on these calls. */
  private alarmOnSilence(FunctionName: pulumi.Output<string>, hours: number): void {
    const spec: AlarmSpec = {
      metric: "Invocations",
      namespace: "AWS/Lambda",
      dimensions: { FunctionName },
      statistic: "Sum",
      from: 1,
      section: "sense-is-silent",
      because: `The schedule has not called the function sense for ${hours} hours.`,
    };
    this.createAlarm("silence", spec, {
      period: HOUR,
      evaluationPeriods: hours,
      datapointsToAlarm: hours,
      comparisonOperator: "LessThanThreshold",
      treatMissingData: "breaching",
      okActions: [this.topic.arn],
    });
  }
}

function describe({ because, section }: AlarmSpec): string {
  return `${because} What to do: docs/operations.md#${section}`;
}
