import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../terminal/errors";
import { printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { type BatchRow, readLedger } from "./ledger";
import { BatchLogs, fieldsOf, type LogLine, type LogSource, logSources } from "./read/logs";
import { isSettled } from "./settling";
import { openTarget } from "./target";

interface Options {
  job?: LogSource;
  attempt?: number;
  follow?: boolean;
  json?: boolean;
  stack?: string;
}

/** `logs`: what Lambdas and jobs logged about a batch, in the order of time. */
export async function run([batchId = ""]: string[], options: Options, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack: options.stack });
  const find = async (): Promise<BatchRow> => {
    const [batch] = await readLedger(target, { from: batchId, to: batchId });
    if (!batch) throw new UserError(`The ledger knows no batch ${batchId}. npm run batches lists them.`);
    return batch;
  };
  const sources = options.job === undefined ? logSources : [options.job];
  const logs = new BatchLogs(target, { sources, ...(options.attempt && { attempt: options.attempt }) });
  let lines = 0;
  for (;;) {
    // The batch is read first, so the lines of one that has ended are whole.
    const batch = await find();
    for (const line of await logs.more(batch)) {
      lines += 1;
      await terminal.out(`${options.json ? JSON.stringify(line) : lineText(line)}\n`);
    }
    if (!options.follow || isSettled(batch) || batch.state === "SPLIT") break;
    await sleep(target.isLocal ? 1_000 : 5_000);
  }
  if (lines === 0) terminal.note("No lines. A log may have been deleted after its retention, or not have arrived yet.");
  return 0;
}

/** Fields that each line of a batch has, that the line shows otherwise, or that are for CloudWatch alone. */
const hidden = ["_aws", "timestamp", "level", "job", "event", "batch_id", "attempt", "workflow_run_id", "job_run_id"];

/** A line for people: time, source with attempt, what happened, and the other fields. */
export function lineText(line: LogLine): string {
  const { time, source, attempt } = line;
  const who = `${source}${attempt === null ? "" : ` ${attempt}`}`.padEnd(12);
  return `${time.slice(0, 23).replace("T", " ")}  ${who}${isError(line) ? "✖ " : ""}${printable(said(line))}`;
}

/** What happened, and the other fields. */
export function said({ text }: LogLine): string {
  const fields = fieldsOf(text);
  const others = Object.entries(fields).filter(([name]) => !hidden.includes(name));
  const values = others.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return typeof fields.event === "string" ? [fields.event, ...values].join(" ") : text;
}

export function isError({ level, text }: LogLine): boolean {
  return level === "ERROR" || level === "FATAL" || /^(Traceback|Exception|\w*Error)\b/.test(text);
}
