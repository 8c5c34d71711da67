import { CloudWatchLogsClient, paginateFilterLogEvents } from "@aws-sdk/client-cloudwatch-logs";
import { GetJobCommand, GetWorkflowRunCommand, GlueClient } from "@aws-sdk/client-glue";
import { GetFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { isError } from "../../runtime/world";
import type { BatchRow } from "../ledger";
import type { Target } from "../target";

export const logSources = ["sense", "transform", "publish", "archive"] as const;
export type LogSource = (typeof logSources)[number];

/** A line of a Lambda's or a job's log. */
export interface LogLine {
  time: string;
  source: LogSource;
  /** Null where the line does not say it: lines of a Lambda about a batch as a whole. */
  attempt: number | null;
  level: string | null;
  /** As it was written: a JSON object, or a line of Spark or Python. */
  text: string;
}

interface Wanted {
  sources: readonly LogSource[];
  attempt?: number;
}

type Event = { id: string; timeMs: number; stream: string; text: string };

/** Logs may be behind each other's clocks by so much. */
const earlierMs = 60_000;

/**
 * Reads the logs of a batch: each Lambda's lines that name it, and the whole log of each job run that worked on it.
 * The local cloud has the same log groups as AWS. A group that isn't there yet has no lines.
 */
export class BatchLogs {
  readonly #logs: CloudWatchLogsClient;
  readonly #glue: GlueClient;
  readonly #target: Target;
  readonly #wanted: Wanted;
  readonly #seen = new Set<string>();
  /** Job runs of the batch, and their attempts. */
  readonly #runs = new Map<string, number | null>();
  #groups: Promise<Record<LogSource, string[]>> | undefined;

  constructor(target: Target, wanted: Wanted) {
    this.#target = target;
    this.#wanted = wanted;
    this.#logs = new CloudWatchLogsClient(target.access);
    this.#glue = new GlueClient(target.access);
  }

  /** The lines that no earlier call returned, in the order of their times. */
  async more(batch: BatchRow): Promise<LogLine[]> {
    this.#groups ??= this.#findGroups();
    const groups = await this.#groups;
    await this.#noteRuns(batch);
    const startTime = Date.parse(batch.claimedAt ?? "") - earlierMs || 0;
    const found: { event: Event; line: LogLine }[] = [];
    for (const source of this.#wanted.sources)
      for (const group of groups[source]) {
        const named = await this.#events(group, { startTime, filterPattern: `"${batch.batchId}"` });
        const own = named.filter(({ text }) => text.includes(batch.batchId));
        if (source === "transform" || source === "publish") {
          for (const { stream, text } of own) this.#noteRun(stream, text);
          for (const [run, attempt] of this.#runs)
            for (const event of await this.#events(group, { startTime, ...this.#streamsOf(run) }))
              if (event.stream.startsWith(run)) found.push({ event, line: lineOf(source, event, attempt) });
        } else for (const event of own) found.push({ event, line: lineOf(source, event, null) });
      }
    const fresh = found.filter(({ event }) => !this.#seen.has(event.id));
    for (const { event } of fresh) this.#seen.add(event.id);
    return fresh
      .sort((a, b) => a.event.timeMs - b.event.timeMs)
      .map(({ line }) => line)
      .filter(({ attempt }) => this.#wanted.attempt === undefined || attempt === this.#wanted.attempt);
  }

  /** Closes its connections. */
  close(): void {
    this.#logs.destroy();
    this.#glue.destroy();
  }

  /** A stream's name begins with its job run. The emulator takes whole names alone. */
  #streamsOf(run: string) {
    return this.#target.isLocal ? { logStreamNames: [run] } : { logStreamNamePrefix: run };
  }

  #noteRun(stream: string, text: string): void {
    const run = /^jr_\w+/.exec(stream)?.[0];
    if (run !== undefined && !this.#runs.get(run)) this.#runs.set(run, attemptOf(text));
  }

  /** A job that died before its first line names no batch in its log: Glue knows the runs of the last attempt. */
  async #noteRuns({ workflowRunId, attempt }: BatchRow): Promise<void> {
    if (workflowRunId === null) return;
    const { workflowName: Name } = this.#target.outputs;
    const { Run } = await this.#glue
      .send(new GetWorkflowRunCommand({ Name, RunId: workflowRunId, IncludeGraph: true }))
      .catch(absent({ Run: undefined }));
    for (const node of Run?.Graph?.Nodes ?? [])
      for (const { Id } of node.JobDetails?.JobRuns ?? []) if (Id) this.#runs.set(Id, attempt);
  }

  async #findGroups(): Promise<Record<LogSource, string[]>> {
    const { outputs, lambda } = this.#target;
    const ofFunction = async (FunctionName: string) => {
      const found = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName })).catch(absent(undefined));
      return [found?.LoggingConfig?.LogGroup ?? `/aws/lambda/${FunctionName}`];
    };
    const { Job } = await this.#glue
      .send(new GetJobCommand({ JobName: outputs.transformJobName }))
      .catch(absent({ Job: undefined }));
    const spark = Job?.DefaultArguments?.["--custom-logGroup-prefix"] ?? "/aws-glue/jobs";
    return {
      sense: await ofFunction(outputs.senseFunctionName),
      archive: await ofFunction(outputs.archiveFunctionName),
      transform: [`${spark}/output`, `${spark}/error`],
      publish: ["/aws-glue/python-jobs/output", "/aws-glue/python-jobs/error"],
    };
  }

  async #events(logGroupName: string, filter: object): Promise<Event[]> {
    const events: Event[] = [];
    try {
      for await (const page of paginateFilterLogEvents({ client: this.#logs }, { logGroupName, ...filter }))
        for (const { eventId = "", timestamp = 0, logStreamName = "", message = "" } of page.events ?? [])
          events.push({
            ...{ id: `${logGroupName} ${eventId}`, timeMs: timestamp },
            ...{ stream: logStreamName, text: message.trimEnd() },
          });
    } catch (error) {
      absent(undefined)(error);
    }
    return events;
  }
}

/** Returns the value where a service says that there is no such thing, and throws any other error on. */
function absent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isError(error, "ResourceNotFoundException") || isError(error, "EntityNotFoundException")) return value;
    throw error;
  };
}

/** A line's fields; none for a line that is no JSON object. */
export function fieldsOf(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

function attemptOf(text: string): number | null {
  return Number(fieldsOf(text).attempt) || null;
}

function lineOf(source: LogSource, { timeMs, text }: Event, attempt: number | null): LogLine {
  const { level } = fieldsOf(text);
  return {
    ...{ time: new Date(timeMs).toISOString(), source, attempt: attempt ?? attemptOf(text) },
    ...{ level: typeof level === "string" ? level : null, text },
  };
}
