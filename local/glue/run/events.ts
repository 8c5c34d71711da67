import { randomUUID } from "node:crypto";
import {
  EventBridgeClient,
  ListRulesCommand,
  ListTargetsByRuleCommand,
  type Rule,
  type Target,
  TestEventPatternCommand,
} from "@aws-sdk/client-eventbridge";
import type { JobRun, JobRunState } from "@aws-sdk/client-glue";
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { PublishCommand, SNSClient } from "@aws-sdk/client-sns";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import pRetry from "p-retry";
import type { LocalGlueOptions } from "../options";

/** Severity and message of the states that Glue reports to EventBridge ("Automating AWS Glue with EventBridge"). */
const REPORTED: Partial<Record<JobRunState, { severity: string; message: string }>> = {
  SUCCEEDED: { severity: "INFO", message: "Job run succeeded" },
  FAILED: { severity: "ERROR", message: "Job run failed" },
  TIMEOUT: { severity: "WARN", message: "Job run timed out" },
  STOPPED: { severity: "INFO", message: "Job run stopped" },
};

/** The `Glue Job State Change` event of a run, or nothing for a state that Glue doesn't report. */
export function jobStateEvent(run: JobRun, region: string, account: string) {
  const reported = REPORTED[run.JobRunState!];
  if (!reported) return undefined;
  const { severity } = reported;
  const message = (run.JobRunState === "FAILED" && run.ErrorMessage) || reported.message;
  return {
    version: "0",
    id: randomUUID(),
    "detail-type": "Glue Job State Change",
    source: "aws.glue",
    account,
    time: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    region,
    resources: [] as string[],
    detail: { jobName: run.JobName!, severity, state: run.JobRunState!, jobRunId: run.Id!, message },
  };
}

type JobStateEvent = NonNullable<ReturnType<typeof jobStateEvent>>;

/** The input of a target: its constant Input, the part at InputPath, its InputTransformer's text, or the event. */
export function targetInput(target: Target, event: JobStateEvent, rule: Rule): string {
  if (target.Input !== undefined) return target.Input;
  if (target.InputPath !== undefined) return JSON.stringify(at(event, target.InputPath) ?? event);
  const transformer = target.InputTransformer;
  if (!transformer) return JSON.stringify(event);
  const values = new Map<string, unknown>(
    Object.entries(transformer.InputPathsMap ?? {}).map(([name, path]) => [name, at(event, path)]),
  );
  values.set("aws.events.rule-arn", rule.Arn);
  values.set("aws.events.rule-name", rule.Name);
  values.set("aws.events.event.json", event);
  values.set("aws.events.event.ingestion-time", event.time);
  return fill(transformer.InputTemplate ?? "", values);
}

/** Fills a template: a value within quotes as text, any other as JSON. */
function fill(template: string, values: ReadonlyMap<string, unknown>): string {
  let quoted = false;
  return template.replace(/\\.|"|<([\w.-]+)>/g, (found: string, name: string | undefined) => {
    if (found === '"') quoted = !quoted;
    if (name === undefined || !values.has(name)) return found;
    const json = JSON.stringify(values.get(name) ?? "");
    if (!quoted) return json;
    return typeof values.get(name) === "string" ? json.slice(1, -1) : json.replaceAll('"', '\\"');
  });
}

/** The value at a path such as `$.detail.jobName`. Only dots are supported: these events have no lists to index. */
function at(event: object, path: string): unknown {
  const steps = path
    .replace(/^\$\.?/, "")
    .split(".")
    .filter(Boolean);
  return steps.reduce<unknown>((value, step) => (value as Record<string, unknown> | undefined)?.[step], event);
}

/**
 * Delivers Glue's events. PutEvents takes no events of AWS services, so this finds the matching rules of the default
 * bus and calls their targets: Lambda functions, SQS queues and SNS topics. Best effort, as in Glue: after a few tries
 * a failure is logged. It never affects the run.
 */
export class EventDelivery {
  private readonly events: EventBridgeClient;
  private readonly lambda: LambdaClient;
  private readonly sns: SNSClient;
  private readonly sqs: SQSClient;
  private readonly pending = new Set<Promise<void>>();

  constructor(
    private readonly options: LocalGlueOptions,
    private readonly log: (line: string) => void,
  ) {
    const { emulatorEndpoint: endpoint, region, credentials } = options;
    const client = { endpoint, region, credentials, maxAttempts: 1 };
    this.events = new EventBridgeClient(client);
    this.lambda = new LambdaClient(client);
    this.sns = new SNSClient(client);
    this.sqs = new SQSClient(client);
  }

  /** Returns at once. */
  deliver(run: JobRun): void {
    const event = jobStateEvent(run, this.options.region, this.options.accountId ?? "000000000000");
    if (!event) return;
    const task = this.deliverToAll(event).finally(() => this.pending.delete(task));
    this.pending.add(task);
  }

  /** Waits for the deliveries in progress. */
  async close(): Promise<void> {
    await Promise.all(this.pending);
    for (const one of [this.events, this.lambda, this.sns, this.sqs]) one.destroy();
  }

  private async deliverToAll(event: JobStateEvent): Promise<void> {
    const what = `event ${event.detail.jobName} ${event.detail.state}`;
    try {
      for (const rule of await withRetries(() => this.matchingRules(event)))
        for (const target of await withRetries(() => this.targets(rule)))
          await withRetries(() => this.deliverTo(target, targetInput(target, event, rule)))
            .then(() => this.log(`${what} delivered to ${target.Arn}`))
            .catch((error: Error) => this.log(`${what} not delivered to ${target.Arn}: ${error.message}`));
    } catch (error) {
      this.log(`${what} not delivered: ${(error as Error).message}`);
    }
  }

  private async matchingRules(event: JobStateEvent): Promise<Rule[]> {
    const matching: Rule[] = [];
    let NextToken: string | undefined;
    do {
      const page = await this.events.send(new ListRulesCommand({ NextToken }));
      for (const rule of page.Rules ?? []) {
        if (rule.State === "DISABLED" || !rule.EventPattern) continue;
        const test = { EventPattern: rule.EventPattern, Event: JSON.stringify(event) };
        if ((await this.events.send(new TestEventPatternCommand(test))).Result) matching.push(rule);
      }
      NextToken = page.NextToken;
    } while (NextToken);
    return matching;
  }

  private async targets(rule: Rule): Promise<Target[]> {
    const targets: Target[] = [];
    let NextToken: string | undefined;
    do {
      const page = await this.events.send(new ListTargetsByRuleCommand({ Rule: rule.Name, NextToken }));
      targets.push(...(page.Targets ?? []));
      NextToken = page.NextToken;
    } while (NextToken);
    return targets;
  }

  private async deliverTo(target: Target, input: string): Promise<void> {
    const arn = target.Arn!;
    const [, , service, , account, ...rest] = arn.split(":");
    if (service === "lambda") {
      await this.lambda.send(
        new InvokeCommand({ FunctionName: arn, InvocationType: "Event", Payload: Buffer.from(input) }),
      );
    } else if (service === "sqs") {
      const group = target.SqsParameters?.MessageGroupId;
      const QueueUrl = `${this.options.emulatorEndpoint}/${account}/${rest.join(":")}`;
      const message = { QueueUrl, MessageBody: input, ...(group ? { MessageGroupId: group } : {}) };
      await this.sqs.send(new SendMessageCommand(message));
    } else if (service === "sns") {
      await this.sns.send(new PublishCommand({ TopicArn: arn, Message: input }));
    } else {
      this.log(`the local Glue does not deliver events to ${service}: ${arn}`);
    }
  }
}

function withRetries<T>(call: () => Promise<T>): Promise<T> {
  return pRetry(call, { retries: 3, minTimeout: 100, maxTimeout: 1000 });
}
