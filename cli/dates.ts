import { UsageError } from "../terminal/errors";

/** Whether a text is a day of the calendar, as YYYY-MM-DD. */
export function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

/** Throws a UsageError for what is no day. */
export function requireDate(text: string): void {
  if (!isDate(text)) throw new UsageError(`"${text}" is not a date. Write it as YYYY-MM-DD, for example 2024-06-25.`);
}

export function dayAfter(date: string): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
}
