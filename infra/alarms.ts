import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { folderOf } from "../runtime/places";
import { tlsOnly } from "./access";
import type { DeadLetters } from "./dead-letters";
import type { Settings } from "./settings";

interface AlarmsArgs {
  /** The Lambdas by what they are called in texts. `sense` is the one that the schedule calls. */
  functions: { sense: aws.lambda.Function; archive: aws.lambda.Function };
  deadLetters: DeadLetters;
  settings: Settings;
}

/** When an alarm is raised: a metric, how it is summed up, and the value that is too much. */
interface Watch {
  metric: string;
  namespace: string;
  dimensions?: Record<string, pulumi.Input<string>>;
  statistic: "Sum" | "Maximum";
  /** Raised from here on. */
  from: number;
  /** The section of docs/operations.md that says what to do. */
  section: string;
  /** What is the matter, in a sentence. */
  because: string;
}

const MINUTE = 60;
const HOUR = 3600;

/**
 * Says by mail what a person must know: what failed for good, what keeps failing, what hangs, and what nobody looks after
 * any more. Each alarm's description names the section of docs/operations.md to turn to.
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

    this.onEvent("batch-failed", {
      metric: "BatchesFailed",
      namespace,
      statistic: "Sum",
      from: 1,
      section: "batch-failed",
      because: `A file could not be transformed and is now in ${folderOf("failed")}.`,
    });
    for (const job of ["transform", "publish", "workflow"]) {
      this.onState(`${job}-failing`, {
        metric: "FailuresInARow",
        namespace,
        dimensions: { Job: job },
        statistic: "Maximum",
        from: alarms.failuresInARow,
        section: `${job}-keeps-failing`,
        because: `The batch in flight failed ${alarms.failuresInARow} times or more in a row, last by ${job}; nothing else gets through.`,
      });
    }
    this.onState("batch-stuck", {
      metric: "BatchAgeSeconds",
      namespace,
      statistic: "Maximum",
      from: alarms.batchMinutes * MINUTE,
      section: "batch-stuck",
      because: `A batch has been in flight for ${alarms.batchMinutes} minutes or more.`,
    });
    this.onState("files-waiting", {
      metric: "OldestFileAgeSeconds",
      namespace,
      statistic: "Maximum",
      from: alarms.waitingMinutes * MINUTE,
      section: "files-wait",
      because: `A file has been in ${folderOf("incoming")} for ${alarms.waitingMinutes} minutes or more: the pipeline stands still, or files come faster than it works.`,
    });
    this.onEvent("rows-quarantined", {
      metric: "RowsQuarantinedPercent",
      namespace,
      statistic: "Maximum",
      from: alarms.quarantinedPercent,
      section: "many-quarantined-rows",
      because: `Of a batch's rows, ${alarms.quarantinedPercent} % or more could not be used.`,
    });
    for (const [what, { name: FunctionName }] of Object.entries(functions)) {
      this.onEvent(`${what}-errors`, {
        metric: "Errors",
        namespace: "AWS/Lambda",
        dimensions: { FunctionName },
        statistic: "Sum",
        from: 1,
        section: "a-function-fails",
        because: `The function ${what} ended with an error, or ran out of time.`,
      });
    }
    this.onState("dead-letters", {
      metric: "ApproximateNumberOfMessagesVisible",
      namespace: "AWS/SQS",
      dimensions: { QueueName: deadLetters.queue.name },
      statistic: "Maximum",
      from: 1,
      section: "dead-letters",
      because: "A call of sense or archive failed to the last try, or never arrived.",
    });
    this.onSilence(functions.sense.name, alarms.silentHours);
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

  /** Raised when something happened. It falls back by itself, which means nothing, so nobody is told. */
  private onEvent(part: string, watch: Watch): void {
    this.createAlarm(part, watch, { evaluationPeriods: 1, datapointsToAlarm: 1 });
  }

  /**
   * Raised by the first sign of something that lasts, and taken back when an hour went by without a sign. So long, because
   * the signs come with the ticks, and a schedule may be slow.
   */
  private onState(part: string, watch: Watch): void {
    const okActions = [this.topic.arn];
    this.createAlarm(part, watch, { evaluationPeriods: 12, datapointsToAlarm: 1, okActions });
  }

  private createAlarm(part: string, watch: Watch, more: Partial<aws.cloudwatch.MetricAlarmArgs>): void {
    const alarm = new aws.cloudwatch.MetricAlarm(
      `${this.name}-${part}`,
      {
        alarmDescription: describe(watch),
        namespace: watch.namespace,
        metricName: watch.metric,
        ...(watch.dimensions ? { dimensions: watch.dimensions } : {}),
        statistic: watch.statistic,
        period: 5 * MINUTE,
        evaluationPeriods: 1,
        comparisonOperator: "GreaterThanOrEqualToThreshold",
        threshold: watch.from,
        // A pipeline with nothing to do tells nothing.
        treatMissingData: "notBreaching",
        alarmActions: [this.topic.arn],
        tags: this.tags,
        ...more,
      },
      { parent: this },
    );
    this.alarms.push(alarm);
  }

  /** Raised when the schedule's function is not called: then no other alarm can tell of anything. */
  private onSilence(FunctionName: pulumi.Output<string>, hours: number): void {
    const watch: Watch = {
      metric: "Invocations",
      namespace: "AWS/Lambda",
      dimensions: { FunctionName },
      statistic: "Sum",
      from: 1,
      section: "sense-is-silent",
      because: `The schedule has not called the function sense for ${hours} hours.`,
    };
    this.createAlarm("silence", watch, {
      period: HOUR,
      evaluationPeriods: hours,
      datapointsToAlarm: hours,
      comparisonOperator: "LessThanThreshold",
      treatMissingData: "breaching",
      okActions: [this.topic.arn],
    });
  }
}

function describe({ because, section }: Watch): string {
  return `${because} What to do: docs/operations.md#${section}`;
}
