import {
  type ComparisonOperator,
  DeleteAlarmsCommand,
  DescribeAlarmsCommand,
  PutMetricAlarmCommand,
  type Statistic,
} from "@aws-sdk/client-cloudwatch";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, notFound, tagList } from "./kind";

const metricAlarm = kind<aws.cloudwatch.MetricAlarmArgs>({
  inputs: [
    "name",
    "alarmDescription",
    "namespace",
    "metricName",
    "dimensions",
    "statistic",
    "period",
    "evaluationPeriods",
    "datapointsToAlarm",
    "comparisonOperator",
    "threshold",
    "treatMissingData",
    "alarmActions",
    "okActions",
    "tags",
  ],
  name: "name",
  async put(args, { clients: { cloudwatch }, region, account }) {
    const AlarmName = args.name ?? "";
    await cloudwatch.send(
      new PutMetricAlarmCommand({
        AlarmName,
        AlarmDescription: args.alarmDescription,
        Namespace: args.namespace,
        MetricName: args.metricName,
        Dimensions: Object.entries(args.dimensions ?? {}).map(([Name, Value]) => ({ Name, Value })),
        Statistic: args.statistic as Statistic,
        Period: args.period,
        EvaluationPeriods: args.evaluationPeriods,
        DatapointsToAlarm: args.datapointsToAlarm,
        ComparisonOperator: args.comparisonOperator as ComparisonOperator,
        Threshold: args.threshold,
        TreatMissingData: args.treatMissingData,
        AlarmActions: args.alarmActions?.map(String),
        OKActions: args.okActions?.map(String),
        Tags: tagList(args.tags),
      }),
    );
    const arn = `arn:aws:cloudwatch:${region}:${account}:alarm:${AlarmName}`;
    return { id: AlarmName, outs: { arn, tagsAll: args.tags ?? {} } };
  },
  async exists(AlarmName, _, { clients: { cloudwatch } }) {
    const { MetricAlarms } = await cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames: [AlarmName] }));
    if (MetricAlarms?.length !== 1) throw notFound(`no alarm ${AlarmName}`);
  },
  remove: (AlarmName, _, { clients: { cloudwatch } }) =>
    cloudwatch.send(new DeleteAlarmsCommand({ AlarmNames: [AlarmName] })),
});

export const cloudwatchKinds: Record<string, Kind> = { "aws:cloudwatch/metricAlarm:MetricAlarm": metricAlarm };
