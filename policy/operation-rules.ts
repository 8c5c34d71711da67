import type * as aws from "@pulumi/aws";
import type { ResourceValidationPolicy } from "@pulumi/policy";
import { endingIn, refusesPlainHttp, statementsOf, tests } from "./documents";
import { each, type Say } from "./rule";

export const operationRules = [
  each<aws.cloudwatch.LogGroupArgs>(
    "logs-expire",
    "cloudwatch/logGroup:LogGroup",
    "Logs expire after a time that the stack sets (CloudWatch.16).",
    ({ retentionInDays }, say) => {
      if (!retentionInDays) say("retentionInDays must be set");
    },
  ),
  each<aws.scheduler.ScheduleArgs>(
    "schedule-bounded",
    "scheduler/schedule:Schedule",
    "A call that can't be delivered soon becomes a dead letter; the next call does its work.",
    ({ target }, say) => {
      if (!target.deadLetterConfig?.arn) say("deadLetterConfig must name a queue");
      if (!(Number(target.retryPolicy?.maximumEventAgeInSeconds) <= 3600))
        say("maximumEventAgeInSeconds must be at most an hour");
    },
  ),
  each<aws.cloudwatch.EventTargetArgs>(
    "event-kept",
    "cloudwatch/eventTarget:EventTarget",
    "An event that can't be delivered becomes a dead letter.",
    ({ deadLetterConfig }, say) => {
      if (!deadLetterConfig?.arn) say("deadLetterConfig must name a queue");
    },
  ),
  each<aws.sqs.QueueArgs>(
    "queue-encrypted",
    "sqs/queue:Queue",
    "A queue encrypts its messages (SQS.1).",
    ({ sqsManagedSseEnabled, kmsMasterKeyId }, say) => {
      if (sqsManagedSseEnabled !== true && !kmsMasterKeyId) say("sqsManagedSseEnabled must be true");
    },
  ),
  each<aws.sqs.QueuePolicyArgs>(
    "queue-tls-only",
    "sqs/queuePolicy:QueuePolicy",
    "A queue refuses plain HTTP, and services that act for an unknown account.",
    ({ queueUrl, policy }, say) => {
      const own = [endingIn(":", String(queueUrl).replace(/^.*\//, ""))];
      if (!refusesPlainHttp(policy, "sqs:*", own)) say("sqs:* must be refused where aws:SecureTransport is false");
      sayWhatIsUnbound(policy, say);
    },
  ),
  each<aws.sns.TopicPolicyArgs>(
    "topic-tls-only",
    "sns/topicPolicy:TopicPolicy",
    "A topic refuses plain HTTP, and services that act for an unknown account.",
    ({ arn, policy }, say) => {
      // A topic's policy can't contain sns:*; Publish is the only action that SNS accepts over plain HTTP.
      if (!refusesPlainHttp(policy, "sns:Publish", [arn]))
        say("sns:Publish must be refused where aws:SecureTransport is false");
      sayWhatIsUnbound(policy, say);
    },
  ),
  each<aws.cloudwatch.MetricAlarmArgs>(
    "alarm-told",
    "cloudwatch/metricAlarm:MetricAlarm",
    "An alarm notifies someone, and says what to do.",
    ({ alarmActions, alarmDescription }, say) => {
      if (!alarmActions?.length) say("alarmActions must name a topic");
      if (!/docs\/operations\.md#[a-z-]+$/.test(alarmDescription ?? ""))
        say("the description must name a section of docs/operations.md");
    },
  ),
];

function sayWhatIsUnbound(policy: unknown, say: Say): void {
  for (const statement of statementsOf(policy)) {
    const isBound = tests(statement, "aws:SourceArn", "aws:SourceAccount");
    if (statement.effect === "Allow" && !isBound) say("an allowed action must be limited to the account");
  }
}

const TAGGED =
  /^aws:(s3\/bucket:|dynamodb\/table:|lambda\/function:|iam\/role:|glue\/(job|workflow|trigger):|sqs\/queue:|sns\/topic:|cloudwatch\/(logGroup|metricAlarm|eventRule):)/;

export const tagRule: ResourceValidationPolicy = {
  name: "tagged",
  description: "Resources that cost money have tags with their project and stack.",
  enforcementLevel: "mandatory",
  validateResource: ({ type, props }, report) => {
    if (!TAGGED.test(type)) return;
    for (const key of ["project", "stack"]) if (!props.tags?.[key]) report(`the tag ${key} is missing`);
  },
};
