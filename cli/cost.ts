import { columns, count, counted, duration } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { daysOfMonth, type Estimate, estimate, type Load } from "./cost/estimate";
import { prices, pricesOf } from "./cost/prices";

interface Options extends Omit<Load, "filesPerDay"> {
  filesPerDay?: number;
  json?: boolean;
}

/** `cost`: what a month costs on AWS, next to managed Airflow and to DuckDB on Fargate. */
export async function run(_: string[], { json, ...options }: Options, terminal: Terminal): Promise<number> {
  const load: Load = { ...options, filesPerDay: options.filesPerDay ?? options.batchesPerDay };
  const found = estimate(load);
  await terminal.out(json ? `${JSON.stringify({ load, ...found, pricesOf }, null, 2)}\n` : textOf(load, found));
  return 0;
}

function textOf(load: Load, found: Estimate): string {
  const { batchesPerDay, workers, transformSeconds, publishSeconds, lines } = found;
  const publish = publishSeconds === undefined ? "with Spark, not measured" : duration(1000 * publishSeconds);
  const unchecked = Object.values(prices).filter(({ sure }) => sure === "unchecked").length;
  const rows = lines.map(({ what, amount, unit, usd }) => [what, amountText(amount), unit, usdText(usd)]);
  const least = publishSeconds === undefined ? "at least " : "";
  const ways = [
    ["this pipeline", `${least}${usdText(found.usd)}`],
    ["the same jobs, started by managed Airflow (mw1.small)", `${least}${usdText(found.airflowUsd)}`],
    [
      "a DuckDB task on Fargate for each batch",
      found.fargateUsd === undefined ? "too large" : usdText(found.fargateUsd),
    ],
  ];
  return [
    [
      `${counted(load.listensPerDay, "listen")} a day`,
      counted(load.filesPerDay, "file"),
      counted(batchesPerDay, "batch", "batches"),
    ].join(", "),
    `transform ${duration(1000 * transformSeconds)} on ${workers} G.1X, publish ${publish}`,
    "",
    ...columns([`a month of ${counted(daysOfMonth, "day")}`, "amount", "unit", "USD"], rows, ["amount", "USD"]),
    "",
    ...columns(["in all", "USD a month"], ways, ["USD a month"]),
    "",
    ...found.limits,
    "The DuckDB task has no quarantine, no reconciliation and no replay: you would write them.",
    `Prices of us-east-1, ${pricesOf}, from cli/cost/prices.ts; unchecked: ${unchecked}. No run on AWS was measured.\n`,
  ].join("\n");
}

function amountText(amount: number): string {
  return amount >= 100 ? count(Math.round(amount)) : amount.toPrecision(2);
}

function usdText(usd: number): string {
  return usd >= 100 ? count(Math.round(usd)) : usd.toFixed(2);
}
