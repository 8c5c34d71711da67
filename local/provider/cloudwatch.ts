import {
  type ComparisonOperator,
  DeleteAlarmsCommand,
  DeleteDashboardsCommand,
  DescribeAlarmsCommand,
  GetDashboardCommand,
  PutDashboardCommand,
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
  async actual(AlarmName, _, { clients: { cloudwatch } }) {
    const { MetricAlarms } = await cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames: [AlarmName] }));
    const now = MetricAlarms?.[0];
    return {
      alarmDescription: now?.AlarmDescription,
      period: now?.Period,
      evaluationPeriods: now?.EvaluationPeriods ?? 0,
      threshold: now?.Threshold,
      treatMissingData: now?.TreatMissingData,
      alarmActions: now?.AlarmActions,
    };
  },
  remove: (AlarmName, _, { clients: { cloudwatch } }) =>
    cloudwatch.send(new DeleteAlarmsCommand({ AlarmNames: [AlarmName] })),
});

const dashboard = kind<aws.cloudwatch.DashboardArgs>({
  inputs: ["dashboardName", "dashboardBody"],
  name: "dashboardName",
  async put({ dashboardName: DashboardName, dashboardBody }, { clients: { cloudwatch }, account }) {
    const DashboardBody = String(dashboardBody);
    const answer = await cloudwatch.send(new PutDashboardCommand({ DashboardName, DashboardBody }));
    // PutDashboard answers OK and lists what it does not understand.
    const [problem] = answer.DashboardValidationMessages ?? [];
    if (problem) throw new Error(`the dashboard was refused: ${problem.DataPath} ${problem.Message}`);
    return { id: DashboardName, outs: { dashboardArn: `arn:aws:cloudwatch::${account}:dashboard/${DashboardName}` } };
  },
  exists: (DashboardName, _, { clients: { cloudwatch } }) =>
    cloudwatch.send(new GetDashboardCommand({ DashboardName })),
  remove: (DashboardName, _, { clients: { cloudwatch } }) =>
    cloudwatch.send(new DeleteDashboardsCommand({ DashboardNames: [DashboardName] })),
});

export const cloudwatchKinds: Record<string, Kind> = {
  "aws:cloudwatch/dashboard:Dashboard": dashboard,
  "aws:cloudwatch/metricAlarm:MetricAlarm": metricAlarm,
};
