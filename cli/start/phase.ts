import { count, size } from "../../terminal/format";

/** What every line of a job carries (glue-scripts/music_streams/log.py): of no use where the job and its batch are known. */
const CARRIED = ["timestamp", "level", "job", "event", "batch_id", "attempt", "workflow_run_id", "job_run_id"];

/** What a job said last, for people; nothing when these lines hold no word of it, but only Spark's and Python's own. */
export function lastPhase(lines: string[]): string {
  for (const line of lines.toReversed()) {
    const phase = phaseOf(line);
    if (phase !== undefined) return phase;
  }
  return "";
}

/** `{"event":"referenceRead","rows_skipped":3,"seconds":1.5}` -> `reference read: 3 rows skipped, 1.5 s` */
function phaseOf(line: string): string | undefined {
  let said: Record<string, unknown>;
  try {
    said = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof said?.event !== "string") return undefined;
  const facts = Object.entries(said).filter(([name]) => !CARRIED.includes(name));
  const told = facts.map(([name, value]) => fact(name.replaceAll("_", " "), value)).join(", ");
  const event = said.event.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return told ? `${event}: ${told}` : event;
}

function fact(name: string, value: unknown): string {
  if (typeof value !== "number") return `${name} ${value}`;
  if (name === "seconds") return `${value.toFixed(1)} s`;
  return name === "bytes" ? size(value) : `${count(value)} ${name}`;
}
