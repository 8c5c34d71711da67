import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import type { Session } from "./credentials";

interface LogEvent {
  timestamp: number;
  message: string;
}

/** Limits of PutLogEvents: 10,000 events and 1,048,576 bytes a call, where each event counts 26 bytes more. */
const MOST_EVENTS = 10_000;
const MOST_BYTES = 1_000_000;
const EVENT_OVERHEAD = 26;
const LONGEST_EVENT = 60_000;
/** Lines kept for a log service that doesn't answer. Older lines are in the run's log file only. */
const BACKLOG = 50_000;
const FLUSH_MS = 500;

/** The first events, as many as one call of PutLogEvents takes. */
export function firstBatch(events: readonly LogEvent[]): LogEvent[] {
  let bytes = 0;
  let count = 0;
  for (const event of events) {
    bytes += Buffer.byteLength(event.message) + EVENT_OVERHEAD;
    if (count === MOST_EVENTS || (bytes > MOST_BYTES && count > 0)) break;
    count += 1;
  }
  return events.slice(0, count);
}

/** One log stream of a job run. Best effort: if the log service fails, it misses lines, but the run goes on. */
export class LogStream {
  private pending: LogEvent[] = [];
  private timer: NodeJS.Timeout | undefined;
  private sending: Promise<void> | undefined;
  private created = false;
  private failed = false;

  constructor(
    private readonly client: CloudWatchLogsClient,
    private readonly group: string,
    private readonly stream: string,
    private readonly warn: (line: string) => void,
  ) {}

  add(line: string): void {
    if (line === "") return; // A message has at least one character.
    const timestamp = Date.now();
    for (let at = 0; at < line.length; at += LONGEST_EVENT)
      this.pending.push({ timestamp, message: line.slice(at, at + LONGEST_EVENT) });
    if (this.pending.length > BACKLOG) this.pending.splice(0, this.pending.length - BACKLOG);
    this.timer ??= setTimeout(() => void this.flush(), FLUSH_MS);
  }

  /** Sends the remaining lines. */
  async close(): Promise<void> {
    await this.flush();
  }

  private async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.sending) await this.sending;
    if (this.pending.length === 0) return;
    this.sending = this.send().finally(() => {
      this.sending = undefined;
    });
    await this.sending;
  }

  private async send(): Promise<void> {
    try {
      if (!this.created) await this.create();
      while (this.pending.length > 0) {
        const logEvents = firstBatch(this.pending);
        const target = { logGroupName: this.group, logStreamName: this.stream };
        await this.client.send(new PutLogEventsCommand({ ...target, logEvents }));
        this.pending = this.pending.slice(logEvents.length);
      }
    } catch (error) {
      if (!this.failed) this.warn(`logs of ${this.stream} don't reach ${this.group}: ${(error as Error).message}`);
      this.failed = true;
    }
  }

  private async create(): Promise<void> {
    const target = { logGroupName: this.group, logStreamName: this.stream };
    await ignoreExisting(this.client.send(new CreateLogGroupCommand({ logGroupName: this.group })));
    await ignoreExisting(this.client.send(new CreateLogStreamCommand(target)));
    this.created = true;
  }
}

async function ignoreExisting(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if ((error as Error).name !== "ResourceAlreadyExistsException") throw error;
  }
}

/** A client in a session of the job's role: Glue writes a run's logs with its permissions. */
export function logsClient(endpoint: string, region: string, credentials: Session): CloudWatchLogsClient {
  return new CloudWatchLogsClient({ endpoint, region, credentials, maxAttempts: 2 });
}
