import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { DescribeAlarmsCommand, ListDashboardsCommand } from "@aws-sdk/client-cloudwatch";
import { DescribeLogGroupsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { ListTablesCommand } from "@aws-sdk/client-dynamodb";
import { ListRulesCommand } from "@aws-sdk/client-eventbridge";
import {
  GetDatabasesCommand,
  GetTablesCommand,
  ListJobsCommand,
  ListTriggersCommand,
  ListWorkflowsCommand,
} from "@aws-sdk/client-glue";
import { ListRolesCommand } from "@aws-sdk/client-iam";
import { ListFunctionsCommand } from "@aws-sdk/client-lambda";
import { ListBucketsCommand } from "@aws-sdk/client-s3";
import { ListSchedulesCommand } from "@aws-sdk/client-scheduler";
import { ListSubscriptionsCommand, ListTopicsCommand } from "@aws-sdk/client-sns";
import { ListQueuesCommand } from "@aws-sdk/client-sqs";
import type { Clients } from "../../local/provider/clients";

/**
 * By the name of Pulumi's class: what the cloud says there is, as its services list it (the first page; a test has no
 * more).
 */
const listers: Record<string, (clients: Clients) => Promise<(string | undefined)[]>> = {
  Bucket: async ({ s3 }) => ((await s3.send(new ListBucketsCommand({}))).Buckets ?? []).map(({ Name }) => Name),
  CatalogDatabase: ({ glue }) => databases(glue),
  CatalogTable: async ({ glue }) => {
    const names: (string | undefined)[] = [];
    for (const DatabaseName of await databases(glue)) {
      const { TableList = [] } = await glue.send(new GetTablesCommand({ DatabaseName }));
      names.push(...TableList.map(({ Name }) => `${DatabaseName}.${Name}`));
    }
    return names;
  },
  Dashboard: dashboards,
  EventRule: async ({ events }) => ((await events.send(new ListRulesCommand({}))).Rules ?? []).map(({ Name }) => Name),
  Function: async ({ lambda }) =>
    ((await lambda.send(new ListFunctionsCommand({}))).Functions ?? []).map((one) => one.FunctionName),
  Job: async ({ glue }) => (await glue.send(new ListJobsCommand({}))).JobNames ?? [],
  LogGroup: async ({ logs }) =>
    ((await logs.send(new DescribeLogGroupsCommand({}))).logGroups ?? []).map(({ logGroupName }) => logGroupName),
  MetricAlarm: async ({ cloudwatch }) =>
    ((await cloudwatch.send(new DescribeAlarmsCommand({ MaxRecords: 100 }))).MetricAlarms ?? []).map(
      ({ AlarmName }) => AlarmName,
    ),
  Queue: async ({ sqs }) => (await sqs.send(new ListQueuesCommand({}))).QueueUrls ?? [],
  Role: async ({ iam }) => ((await iam.send(new ListRolesCommand({}))).Roles ?? []).map(({ RoleName }) => RoleName),
  Schedule: async ({ scheduler }) =>
    ((await scheduler.send(new ListSchedulesCommand({}))).Schedules ?? []).map(({ Name }) => Name),
  Table: async ({ dynamodb }) => (await dynamodb.send(new ListTablesCommand({}))).TableNames ?? [],
  Topic: async ({ sns }) => ((await sns.send(new ListTopicsCommand({}))).Topics ?? []).map(({ TopicArn }) => TopicArn),
  TopicSubscription: async ({ sns }) =>
    ((await sns.send(new ListSubscriptionsCommand({}))).Subscriptions ?? []).map((one) => one.SubscriptionArn),
  Trigger: async ({ glue }) => (await glue.send(new ListTriggersCommand({}))).TriggerNames ?? [],
  Workflow: async ({ glue }) => (await glue.send(new ListWorkflowsCommand({}))).Workflows ?? [],
};

/** Types that no service lists: each is a part of another resource and goes with it. */
export const PARTS = [
  "BucketLifecycleConfiguration",
  "BucketObjectv2",
  "BucketOwnershipControls",
  "BucketPolicy",
  "BucketPublicAccessBlock",
  "BucketServerSideEncryptionConfiguration",
  "BucketVersioning",
  "EventTarget",
  "FunctionEventInvokeConfig",
  "Permission",
  "QueuePolicy",
  "RolePolicy",
  "TopicPolicy",
];

/** What exists on a cloud, by the name of Pulumi's class. Types of which there is nothing are left out. */
export type Inventory = Record<string, string[]>;

export async function takeInventory(clients: Clients): Promise<Inventory> {
  const found: Inventory = {};
  for (const [type, list] of Object.entries(listers)) {
    const names = (await list(clients)).map(String);
    if (names.length > 0) found[type] = names.sort();
  }
  return found;
}

async function dashboards({ cloudwatch }: Clients): Promise<string[]> {
  const command = new ListDashboardsCommand({});
  // The emulator writes times in a form that the SDK does not read.
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as { body: Readable | Uint8Array };
      const written = await text(response.body as Readable);
      response.body = Buffer.from(
        JSON.stringify(JSON.parse(written, (key, value) => (key === "LastModified" ? undefined : value))),
      );
      return result;
    },
    { step: "deserialize", priority: "low" },
  );
  const { DashboardEntries = [] } = await cloudwatch.send(command);
  return DashboardEntries.map(({ DashboardName = "" }) => DashboardName);
}

async function databases(glue: Clients["glue"]): Promise<string[]> {
  return ((await glue.send(new GetDatabasesCommand({}))).DatabaseList ?? []).map(({ Name = "" }) => Name);
}
