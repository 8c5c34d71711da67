import { count, size } from "../../terminal/format";

/** What every line of a job carries (glue-scripts/music_streams/log.py). The display shows job and batch already. */
const CARRIED = ["timestamp", "level", "job", "event", "batch_id", "attempt", "workflow_run_id", "job_run_id"];

/** The last thing that a job logged, for people; empty when these lines are only Spark's and Python's own. */
export function lastPhase(lines: string[]): string {
  for (const line of lines.toReversed()) {
    const phase = phaseOf(line);
    if (phase !== undefined) return phase;
  }
  return "";
}

/** `{"event":"referenceRead","rows_skipped":3,"seconds":1.5}` -> `reference read: 3 rows skipped, 1.5 s` */
function phaseOf(line: string): string | undefined {
  let logged: Record<string, unknown>;
  try {
    logged = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof logged?.event !== "string") return undefined;
  const fields = Object.entries(logged).filter(([name]) => !CARRIED.includes(name));
  const facts = fields.map(([name, value]) => fact(name.replaceAll("_", " "), value)).join(", ");
  const event = logged.event.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return facts ? `${event}: ${facts}` : event;
}

function fact(name: string, value: unknown): string {
  if (typeof value !== "number") return `${name} ${value}`;
  if (name === "seconds") return `${value.toFixed(1)} s`;
  return name === "bytes" ? size(value) : `${count(value)} ${name}`;
}
