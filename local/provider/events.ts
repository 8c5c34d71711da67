import {
  DeleteRuleCommand,
  DescribeRuleCommand,
  ListTargetsByRuleCommand,
  PutRuleCommand,
  PutTargetsCommand,
  RemoveTargetsCommand,
  type RuleState,
} from "@aws-sdk/client-eventbridge";
import {
  CreateScheduleCommand,
  DeleteScheduleCommand,
  type FlexibleTimeWindowMode,
  GetScheduleCommand,
  type ScheduleState,
  UpdateScheduleCommand,
} from "@aws-sdk/client-scheduler";
import type * as aws from "@pulumi/aws";
import { type Kind, kind, notFound, tagList, unless } from "./kind";

const rule = kind<aws.cloudwatch.EventRuleArgs>({
  inputs: ["name", "description", "eventPattern", "state", "tags"],
  name: "name",
  async put({ name: Name = "", description, eventPattern, state, tags }, { clients: { events } }) {
    const { RuleArn } = await events.send(
      new PutRuleCommand({
        Name,
        Description: description,
        EventPattern: eventPattern,
        State: (state ?? "ENABLED") as RuleState,
        Tags: tagList(tags),
      }),
    );
    return { id: Name, outs: { arn: RuleArn, eventBusName: "default", tagsAll: tags ?? {} } };
  },
  exists: (Name, _, { clients: { events } }) => events.send(new DescribeRuleCommand({ Name })),
  async actual(Name, _, { clients: { events } }) {
    const now = await events.send(new DescribeRuleCommand({ Name }));
    return { description: now.Description, eventPattern: now.EventPattern, state: now.State };
  },
  remove: (Name, _, { clients: { events } }) => events.send(new DeleteRuleCommand({ Name })),
});

const target = kind<aws.cloudwatch.EventTargetArgs>({
  inputs: ["rule", "targetId", "arn", "input", "deadLetterConfig.arn"],
  // The emulator delivers an event once, without retries.
  unused: ["retryPolicy.maximumRetryAttempts", "retryPolicy.maximumEventAgeInSeconds"],
  name: "targetId",
  fixed: ["rule"],
  async put({ rule, targetId: Id = "", arn, input, deadLetterConfig }, { clients: { events } }) {
    const DeadLetterConfig = deadLetterConfig && { Arn: deadLetterConfig.arn };
    const Targets = [{ Id, Arn: String(arn), Input: input, DeadLetterConfig }];
    const answer = await events.send(new PutTargetsCommand({ Rule: String(rule), Targets }));
    // PutTargets answers OK and lists the targets that it refuses.
    const [failed] = answer.FailedEntries ?? [];
    if (failed) throw new Error(`the target was refused: ${failed.ErrorCode} ${failed.ErrorMessage}`);
    return { id: `${rule}-${Id}` };
  },
  async exists(id, args, { clients: { events } }) {
    const { Targets } = await events.send(new ListTargetsByRuleCommand({ Rule: String(args.rule) }));
    if (!Targets?.some(({ Id }) => Id === args.targetId)) throw notFound(`no target ${id}`);
  },
  remove: (_, args, { clients: { events } }) =>
    events.send(new RemoveTargetsCommand({ Rule: String(args.rule), Ids: [args.targetId ?? ""] })),
});

const schedule = kind<aws.scheduler.ScheduleArgs>({
  inputs: [
    "name",
    "description",
    "scheduleExpression",
    "scheduleExpressionTimezone",
    "flexibleTimeWindow.mode",
    "state",
    "target.arn",
    "target.roleArn",
    "target.input",
    "target.deadLetterConfig.arn",
    "target.retryPolicy.maximumRetryAttempts",
    "target.retryPolicy.maximumEventAgeInSeconds",
  ],
  name: "name",
  async put(args, { clients: { scheduler }, region, account }) {
    const Name = args.name ?? "";
    const { arn, roleArn, input, retryPolicy, deadLetterConfig } = args.target;
    const definition = {
      Name,
      Description: args.description,
      ScheduleExpression: args.scheduleExpression,
      ScheduleExpressionTimezone: args.scheduleExpressionTimezone,
      FlexibleTimeWindow: { Mode: args.flexibleTimeWindow.mode as FlexibleTimeWindowMode },
      State: (args.state ?? "ENABLED") as ScheduleState,
      Target: {
        Arn: arn,
        RoleArn: roleArn,
        Input: input,
        DeadLetterConfig: deadLetterConfig && { Arn: deadLetterConfig.arn },
        RetryPolicy: retryPolicy && {
          MaximumRetryAttempts: retryPolicy.maximumRetryAttempts,
          MaximumEventAgeInSeconds: retryPolicy.maximumEventAgeInSeconds,
        },
      },
    };
    await unless(
      ["ConflictException"],
      () => scheduler.send(new CreateScheduleCommand(definition)),
      () => scheduler.send(new UpdateScheduleCommand(definition)),
    );
    const outs = { arn: `arn:aws:scheduler:${region}:${account}:schedule/default/${Name}`, groupName: "default" };
    return { id: `default/${Name}`, outs };
  },
  exists: (_, { name: Name }, { clients: { scheduler } }) => scheduler.send(new GetScheduleCommand({ Name })),
  async actual(_, { name: Name }, { clients: { scheduler } }) {
    const now = await scheduler.send(new GetScheduleCommand({ Name }));
    return { description: now.Description, scheduleExpression: now.ScheduleExpression ?? "", state: now.State };
  },
  remove: (_, { name: Name }, { clients: { scheduler } }) => scheduler.send(new DeleteScheduleCommand({ Name })),
});

export const eventKinds: Record<string, Kind> = {
  "aws:cloudwatch/eventRule:EventRule": rule,
  "aws:cloudwatch/eventTarget:EventTarget": target,
  "aws:scheduler/schedule:Schedule": schedule,
};
