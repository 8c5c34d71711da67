import { constants } from "node:os";
import type { Exit } from "./process";

/** The last lines of a job's output, enough to find its error in. */
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

/** Lines of Spark's own log and of Java's stack traces say nothing about the script's error. */
const NOISE =
  /^(\s*at |\t|\s*\.\.\. \d+ more|\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d |WARNING: |Using Spark's|Setting default log)/;
/** Limit of ErrorMessage here; Glue cuts long messages too. */
const LONGEST = 2000;

/**
 * Why a job failed, for its ErrorMessage: what the script itself said last in a line `ERROR: ...`, else the end of
 * the last traceback, else how the process ended.
 * @param errorsIn where Python's errors come out: spark-submit writes all that its Python says to stdout
 */
export function failureMessage(exit: Exit, tail: Tail, errorsIn: "stdout" | "stderr"): string {
  const said = tail.all().findLast((line) => line.startsWith("ERROR: "));
  if (said) return said.slice("ERROR: ".length).trim().slice(0, LONGEST);
  const killed = killer(exit);
  const raised = killed ? undefined : exception(tail.of(errorsIn));
  if (raised) return raised.slice(0, LONGEST);
  const how = killed ? `Command was killed by signal ${killed}` : `Command failed with exit code ${exit.code}`;
  const isTelling = (line: string) => line.trim() !== "" && !NOISE.test(line);
  const last = tail.of(errorsIn).findLast(isTelling) ?? tail.of("stderr").findLast(isTelling);
  return (last ? `${how}: ${last.trim()}` : how).slice(0, LONGEST);
}

/** The signal that ended the job: its own process, or (as shells and spark-submit report it, 128 + n) one within. */
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
