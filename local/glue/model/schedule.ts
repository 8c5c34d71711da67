import { invalidInput } from "../errors";

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Names for the numbers from `from` on. */
  readonly names?: readonly string[];
  readonly of: (time: Date) => number;
}

const FIELDS: readonly Field[] = [
  { name: "minutes", from: 0, to: 59, of: (time) => time.getUTCMinutes() },
  { name: "hours", from: 0, to: 23, of: (time) => time.getUTCHours() },
  { name: "day of month", from: 1, to: 31, of: (time) => time.getUTCDate() },
  { name: "month", from: 1, to: 12, names: MONTHS, of: (time) => time.getUTCMonth() + 1 },
  { name: "day of week", from: 1, to: 7, names: DAYS, of: (time) => time.getUTCDay() + 1 },
  { name: "year", from: 1970, to: 2199, of: (time) => time.getUTCFullYear() },
];

/**
 * Reads a schedule of a trigger, `cron(minutes hours day-of-month month day-of-week year)` in UTC ("Time-based
 * schedules for jobs and crawlers").
 * @returns a function that checks whether a minute is in the schedule
 * @throws GlueError InvalidInputException; also for the wildcards L, W and #, which the local Glue does not support
 */
export function parseSchedule(schedule: string): (time: Date) => boolean {
  const [, body] = /^cron\((.*)\)$/.exec(schedule.trim()) ?? [];
  const parts = body?.trim().split(/\s+/) ?? [];
  if (parts.length !== FIELDS.length) throw wrong(schedule, "it must be cron() with six fields");
  if ((parts[2] === "?") === (parts[4] === "?")) throw wrong(schedule, "one of day of month and day of week must be ?");
  const sets = FIELDS.map((field, index) => values(schedule, field, parts[index]!.toUpperCase()));
  return (time) => FIELDS.every((field, index) => sets[index]!.has(field.of(time)));
}

function values(schedule: string, field: Field, part: string): Set<number> {
  const found = new Set<number>();
  const number = (text: string) => {
    const named = field.names?.indexOf(text) ?? -1;
    const value = named >= 0 ? field.from + named : /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= field.from && value <= field.to)) throw wrong(schedule, `${text} is no value for ${field.name}`);
    return value;
  };
  for (const item of part.split(",")) {
    if (/^[LW]$|\dW$|\dL$|#/.test(item)) throw wrong(schedule, `the local Glue does not support ${item}`);
    const [range = "", step = "1"] = item.split("/");
    const [first = "", last] = range.split("-");
    const all = first === "*" || first === "?";
    const from = all ? field.from : number(first);
    const to = all ? field.to : last !== undefined ? number(last) : item.includes("/") ? field.to : from;
    const by = /^[1-9]\d*$/.test(step) ? Number(step) : Number.NaN;
    if (Number.isNaN(by) || to < from) throw wrong(schedule, `${item} is no value for ${field.name}`);
    for (let value = from; value <= to; value += by) found.add(value);
  }
  return found;
}

const wrong = (schedule: string, why: string) => invalidInput(`Invalid schedule expression ${schedule}: ${why}.`);
