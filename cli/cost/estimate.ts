import { counted, size } from "../../terminal/format";
import { assumed, measured } from "./measured";
import { prices } from "./prices";

/** What arrives, and how the stack is set. */
export interface Load {
  listensPerDay: number;
  /** Batches that the schedule allows: 288 at `rate(5 minutes)`. */
  batchesPerDay: number;
  filesPerDay: number;
  /** Tracks that are played. */
  tracks: number;
  genres: number;
  /** G.1X workers of transform, with the driver. Not given: as few as keep up. */
  workers?: number;
}

/** One line of the bill: an amount for a month, and its price. */
export interface Line {
  what: string;
  amount: number;
  unit: string;
  usd: number;
}

export interface Estimate {
  batchesPerDay: number;
  workers: number;
  transformSeconds: number;
  /** Of an average batch: the day is half full. With Spark it is unknown. */
  publishSeconds: number | undefined;
  lines: Line[];
  usd: number;
  /** The same jobs and tables, started by managed Airflow. */
  airflowUsd: number;
  /** One DuckDB task for each batch on Fargate, and the same tables. Undefined: a day fits no task. */
  fargateUsd: number | undefined;
  limits: string[];
}

export const daysOfMonth = 30;
const hoursOfMonth = 24 * daysOfMonth;
const secondsOfDay = 86_400;
const cpusPerWorker = 4;
export const leastBilledSeconds = 60;
/** Of Pulumi.yaml. */
export const defaults = { maxBatchFiles: 5000, maxBatchBytes: 10_737_418_240 };
// Settings: numberOfWorkers takes at most so many.
const mostWorkers = 299;
// publish_duckdb.py: memory for each byte of Parquet, and the shares of memory and disk that it takes.
const needPerByte = 20;
const memoryShare = 0.6;
const diskShare = 0.9;
// Amazon ECS Developer Guide, "Task CPU and memory": sizes that fit most, and the largest.
const tasks = [
  { cpus: 4, gb: 16 },
  { cpus: 16, gb: 120 },
];

/** Estimates a month of 30 days, at its end: that long, nothing has been deleted. */
export function estimate(load: Load): Estimate {
  const inShell = fitsShell(load.listensPerDay);
  const { workers, batches } = pace(load, inShell);
  const listens = load.listensPerDay / batches;
  const month = batches * daysOfMonth;
  const transform = transformSeconds(listens, workers);
  const publish = publishSeconds(load, batches);
  const items = itemsOf(load, batches);
  const lines = [
    line("transform", (month * workers * Math.max(leastBilledSeconds, transform)) / 3600, "DPU hours", "sparkDpuHour"),
    ...(inShell
      ? [line("publish", (month * Math.max(leastBilledSeconds, publish)) / 3600, "DPU hours", "shellDpuHour")]
      : []),
    ...tables(load, month, items),
    ...bucket(load),
    line("ticks", load.batchesPerDay * daysOfMonth * assumed.tickSeconds * 0.5, "GB seconds", "lambdaGbSecond"),
    line("embedded metrics", assumed.metrics, "metrics", "metricMonth"),
    line("alarms", assumed.alarms, "alarms", "alarmMonth"),
  ];
  const usd = sum(lines);
  return {
    batchesPerDay: batches,
    workers,
    transformSeconds: transform,
    publishSeconds: inShell ? publish : undefined,
    lines,
    usd,
    airflowUsd: usd + hoursOfMonth * prices.airflowHour.usd,
    fargateUsd: fargate(load, batches, sum([...tables(load, month, items), ...bucket(load)])),
    limits: limits(load, batches, workers, inShell),
  };
}

/** The fewest workers with which the batches asked for fit into a day; with the most, as many batches as fit. */
function pace(load: Load, inShell: boolean): { workers: number; batches: number } {
  const seconds = (batches: number, workers: number) =>
    assumed.startSeconds +
    transformSeconds(load.listensPerDay / batches, workers) +
    (inShell ? publishSeconds(load, batches) : 0);
  const keepsUp = (batches: number, workers: number) => batches * seconds(batches, workers) <= secondsOfDay;
  const few = load.workers ?? 2;
  const most = load.workers ?? mostWorkers;
  for (let workers = few; workers <= most; workers += 1)
    if (keepsUp(load.batchesPerDay, workers)) return { workers, batches: load.batchesPerDay };
  // More workers would not help when publish is what takes the time.
  const workers = load.workers ?? fewestFor(load, most);
  let batches = load.batchesPerDay;
  while (batches > 1 && !keepsUp(batches, workers)) batches -= 1;
  return { workers, batches };
}

/** Workers with which transform takes no longer than the shortest run that is billed. */
function fewestFor(load: Load, most: number): number {
  for (let workers = 2; workers < most; workers += 1)
    if (transformSeconds(load.listensPerDay / load.batchesPerDay, workers) <= leastBilledSeconds) return workers;
  return most;
}

/** The driver runs no tasks. */
export function transformSeconds(listens: number, workers: number): number {
  const cores = (workers - 1) * cpusPerWorker;
  return measured.transformSeconds + (measured.transformCoreSeconds * listens) / 1e6 / cores;
}

function publishSeconds(load: Load, batches: number): number {
  return (
    (measured.publishSeconds * load.listensPerDay) / 2 / 1e6 + itemsOf(load, batches) / measured.publishItemsPerSecond
  );
}

/** The day's items together: totals, top genres and tracks, hours, and 60 countries. */
const kbOfDay = 12;

/** Items of 1 KB that a batch changes: its tracks, each genre twice, the day. Evenly played, tracks are most. */
function itemsOf({ listensPerDay, tracks, genres }: Load, batches: number): number {
  const played = tracks * (1 - (1 - 1 / tracks) ** (listensPerDay / batches));
  return played + 2 * genres + kbOfDay;
}

/** Each item is read before it is written. One item for each track and day stays. */
function tables(load: Load, month: number, items: number): Line[] {
  const ofDay = itemsOf(load, 1);
  const gb = (ofDay * daysOfMonth * 1000) / 1e9;
  return [
    line("items written", (month * items) / 1e6, "million units", "writeUnits"),
    line("items read", (month * items) / 1e6, "million units", "readUnits"),
    line("tables", gb, "GB", "tableGbMonth"),
    line("point-in-time recovery", gb, "GB", "recoveryGbMonth"),
  ];
}

/** A CSV counts twice for 30 days: archived, and as an old version below incoming/. */
function bucket({ listensPerDay, filesPerDay, batchesPerDay }: Load): Line[] {
  const listens = listensPerDay * daysOfMonth;
  const files = filesPerDay * daysOfMonth;
  return [
    line("CSVs", (2 * listens * measured.csvBytes) / 1e9, "GB", "s3GbMonth"),
    line("Parquet", (listens * measured.parquetBytes) / 1e9, "GB", "s3GbMonth"),
    line(
      "copies and listings",
      (files * measured.writesPerFile + batchesPerDay * daysOfMonth) / 1e6,
      "million",
      "s3Writes",
    ),
    line("reads of files", (files * measured.readsPerFile) / 1e6, "million", "s3Reads"),
  ];
}

/** The smallest task in which a day's metrics fit the memory, once for each batch. */
function fargate(load: Load, batches: number, rest: number): number | undefined {
  const need = (load.listensPerDay * measured.parquetBytes * needPerByte) / 1e9;
  const task = tasks.find(({ gb }) => need <= memoryShare * gb);
  if (!task) return undefined;
  const seconds =
    (measured.duckdbCoreSeconds * load.listensPerDay) / batches / 1e6 / task.cpus + publishSeconds(load, batches);
  const hours = (batches * daysOfMonth * Math.max(leastBilledSeconds, seconds)) / 3600;
  return rest + hours * (task.cpus * prices.fargateCpuHour.usd + task.gb * prices.fargateGbHour.usd);
}

function fitsShell(listensPerDay: number): boolean {
  const bytes = (listensPerDay * measured.parquetBytes) / 1e9;
  const spilled = Math.max(0, needPerByte * bytes - memoryShare * assumed.shellMemoryGb);
  return bytes + spilled <= diskShare * assumed.shellDiskGb;
}

function limits(load: Load, batches: number, workers: number, inShell: boolean): string[] {
  const found: string[] = [];
  const bytes = (load.listensPerDay / batches) * measured.csvBytes;
  if (bytes > defaults.maxBatchBytes)
    found.push(`A batch has ${size(bytes)}, above the default of maxBatchBytes: raise it, or the rest waits.`);
  if (load.filesPerDay / batches > defaults.maxBatchFiles)
    found.push(
      `A batch has ${counted(Math.round(load.filesPerDay / batches), "file")}, above the default of maxBatchFiles: raise it, or the rest waits.`,
    );
  if (!inShell)
    found.push(
      "A day no longer fits the Python shell: set publishEngine to spark. Its time is not measured, and not in the sum.",
    );
  if (batches < load.batchesPerDay)
    found.push(
      `One batch is in flight at a time, and takes longer than the pause between ticks: ${counted(batches, "batch", "batches")} a day.`,
    );
  if (batches * (assumed.startSeconds + transformSeconds(load.listensPerDay / batches, workers)) > secondsOfDay)
    found.push("Transform can't keep up, even with one batch a day. Set more workers, or a larger workerType.");
  return found;
}

function line(what: string, amount: number, unit: string, price: keyof typeof prices): Line {
  return { what, amount, unit, usd: amount * prices[price].usd };
}

function sum(lines: Line[]): number {
  return lines.reduce((total, { usd }) => total + usd, 0);
}
