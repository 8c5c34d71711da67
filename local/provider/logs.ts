import {
  CreateLogGroupCommand,
  DeleteLogGroupCommand,
  DescribeLogGroupsCommand,
  PutRetentionPolicyCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, notFound, unless } from "./kind";

const logGroup = kind<aws.cloudwatch.LogGroupArgs>({
  inputs: ["name", "retentionInDays", "tags"],
  name: "name",
  async put({ name = "", retentionInDays, tags }, { clients: { logs }, region, account }) {
    await unless(
      ["ResourceAlreadyExistsException"],
      () => logs.send(new CreateLogGroupCommand({ logGroupName: name, tags })),
      async () => undefined,
    );
    if (retentionInDays) await logs.send(new PutRetentionPolicyCommand({ logGroupName: name, retentionInDays }));
    return { id: name, outs: { arn: `arn:aws:logs:${region}:${account}:log-group:${name}`, tagsAll: tags ?? {} } };
  },
  async exists(name, _, { clients: { logs } }) {
    const { logGroups } = await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: name }));
    if (!logGroups?.some((group) => group.logGroupName === name)) throw notFound(`no log group ${name}`);
  },
  async actual(name, _, { clients: { logs } }) {
    const { logGroups } = await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: name }));
    return { retentionInDays: logGroups?.find((group) => group.logGroupName === name)?.retentionInDays };
  },
  remove: (name, _, { clients: { logs } }) => logs.send(new DeleteLogGroupCommand({ logGroupName: name })),
});

export const logsKinds: Record<string, Kind> = { "aws:cloudwatch/logGroup:LogGroup": logGroup };
