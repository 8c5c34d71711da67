import { constants } from "node:os";
import type { Exit } from "./process";

/** The last lines of a job's output, enough to find its error. */
export class Tail {
  private readonly lines: { stream: "stdout" | "stderr"; line: string }[] = [];

  add(stream: "stdout" | "stderr", line: string): void {
    this.lines.push({ stream, line: line.slice(0, 2000) });
    if (this.lines.length > 1000) this.lines.splice(0, 500);
  }

  all(): string[] {
    return this.lines.map(({ line }) => line);
  }

  of(stream: "stdout" | "stderr"): string[] {
    return this.lines.filter((each) => each.stream === stream).map(({ line }) => line);
  }
}

/** Lines of Spark's log and of Java's stack traces, which don't explain the script's error. */
const NOISE =
  /^(\s*at |\t|\s*\.\.\. \d+ more|\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d |WARNING: |Using Spark's|Setting default log)/;
/** Limit of ErrorMessage here; Glue cuts long messages too. */
const LONGEST = 2000;

/**
 * Why a job failed, for its ErrorMessage: the script's last line `ERROR: ...`, or the end of the last traceback, or how
 * the process ended.
 * @param errorsIn the stream with Python's errors: spark-submit writes all of its Python's output to stdout
 */
export function failureMessage(exit: Exit, tail: Tail, errorsIn: "stdout" | "stderr"): string {
  const logged = tail.all().findLast((line) => line.startsWith("ERROR: "));
  if (logged) return logged.slice("ERROR: ".length).trim().slice(0, LONGEST);
  const killed = killer(exit);
  const raised = killed ? undefined : exception(tail.of(errorsIn));
  if (raised) return raised.slice(0, LONGEST);
  const how = killed ? `Command was killed by signal ${killed}` : `Command failed with exit code ${exit.code}`;
  const isUseful = (line: string) => line.trim() !== "" && !NOISE.test(line);
  const last = tail.of(errorsIn).findLast(isUseful) ?? tail.of("stderr").findLast(isUseful);
  return (last ? `${how}: ${last.trim()}` : how).slice(0, LONGEST);
}

/** The signal that ended the job's process, or a process below it (shells and spark-submit report 128 + n). */
function killer({ code, signal }: Exit): string | undefined {
  if (signal) return `${constants.signals[signal]} (${signal})`;
  if (code === null || code <= 128) return undefined;
  const within = Object.entries(constants.signals).find(([, number]) => number === code - 128);
  return within && `${within[1]} (${within[0]})`;
}

/** The exception at the end of the last Python traceback, with the lines of its message. */
function exception(errors: readonly string[]): string | undefined {
  const from = errors.findLastIndex((line) => line.startsWith("Traceback (most recent call last)"));
  if (from < 0) return undefined;
  const after = errors.slice(from + 1);
  const at = after.findIndex((line) => /^[A-Za-z_][\w.]*(: |:?$)/.test(line));
  if (at < 0) return undefined;
  const message = [after[at]!];
  for (const line of after.slice(at + 1)) {
    if (NOISE.test(line) || line.startsWith("JVM stacktrace") || message.length >= 10) break;
    message.push(line);
  }
  return message.join("\n").trim();
}
