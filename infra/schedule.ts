/** Checks expressions of EventBridge Scheduler by its User Guide, "Schedule types". */

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const UNIT_MINUTES: Record<string, number> = { minute: 1, hour: 60, day: 24 * 60 };

interface Field {
  least: number;
  most: number;
  /** Names of the values, beginning with `least`. */
  names?: string[];
  /** Other texts that may replace a value. */
  also?: RegExp;
}

const FIELDS: Field[] = [
  { least: 0, most: 59 },
  { least: 0, most: 23 },
  { least: 1, most: 31, also: /^(\?|LW?|L-([1-9]|[12]\d|30)|([1-9]|[12]\d|3[01])W)$/ },
  { least: 1, most: 12, names: MONTHS },
  { least: 1, most: 7, names: DAYS, also: /^(\?|L|[1-7]L|[1-7]#[1-5])$/ },
  { least: 1970, most: 2199 },
];

/** Whether Scheduler accepts the expression as a recurring schedule. */
export function isSchedule(expression: string): boolean {
  return pauseMinutes(expression) !== undefined || isCron(expression);
}

/** The pause of a `rate(...)`; undefined for anything else. The unit is singular for 1 and plural above. */
export function pauseMinutes(expression: string): number | undefined {
  const [, digits, unit = "", plural] = /^rate\(([1-9]\d{0,5}) (minute|hour|day)(s?)\)$/.exec(expression) ?? [];
  if (digits === undefined || (digits === "1") !== (plural === "")) return undefined;
  return Number(digits) * UNIT_MINUTES[unit]!;
}

function isCron(expression: string): boolean {
  const fields = /^cron\(([^()]+)\)$/.exec(expression)?.[1]?.trim().split(/\s+/);
  if (fields?.length !== FIELDS.length) return false;
  // Exactly one of the two day fields is left open.
  if ((fields[2] === "?") === (fields[4] === "?")) return false;
  return fields.every((text, at) => text.split(",").every((item, _, all) => isItem(item, FIELDS[at]!, all.length)));
}

/** Whether an item of a field's list is a value, a range, an increment, or another text that the field allows. */
function isItem(item: string, field: Field, items: number): boolean {
  if (field.also?.test(item)) return items === 1 || (item !== "?" && !item.includes("#"));
  const [, from = "", to, step] = /^(\*|\w+)(?:-(\w+))?(?:\/(\d+))?$/.exec(item) ?? [];
  if (step !== undefined && !(Number(step) >= 1 && Number(step) <= field.most)) return false;
  if (from === "*") return to === undefined;
  return [from, to ?? from].every((value) => isValue(value, field));
}

function isValue(value: string, { least, most, names }: Field): boolean {
  if (names?.includes(value.toUpperCase())) return true;
  return /^\d+$/.test(value) && Number(value) >= least && Number(value) <= most;
}
