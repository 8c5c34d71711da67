import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { PlotOptions } from "@observablehq/plot";
import { count, duration } from "../terminal/format";
import { DAY_MS, type Fresh, HOUR_MS, INCIDENTS, type Incident, type Month, START_MS, simulate } from "./month";

const DAYS = 30;
/** Ticks, in minutes. The first is the default, and is drawn. */
export const SCHEDULES = [5, 15, 60];
const BEGIN = "<!-- npm run bench -- month -->";
const END = "<!-- the end of it -->";

export const play = (minutes: number): Promise<Month> => simulate(minutes * 60_000, DAYS, INCIDENTS);

/** Plays the month at each schedule, and writes its tables and its drawing into docs/. */
export async function writeMonth(root: string): Promise<void> {
  const page = path.join(root, "docs", "scale.md");
  const months: { minutes: number; month: Month }[] = [];
  for (const minutes of SCHEDULES) months.push({ minutes, month: await play(minutes) });
  const tables = [
    "| a tick every | runs | failed runs | median | 95 % within | longest | DPU hours | USD for the jobs |",
    "|---|---:|---:|---:|---:|---:|---:|---:|",
    ...months.map(({ minutes, month }) => scheduleRow(minutes, month)),
    "",
    "| what happens, with a tick every 5 minutes | longest wait of a file from then | all are in the metrics after its end |",
    "|---|---:|---:|",
    ...INCIDENTS.map((incident) => incidentRow(incident, months[0]!.month)),
  ];
  const text = await readFile(page, "utf8");
  const [before, after] = [text.slice(0, text.indexOf(BEGIN)), text.slice(text.indexOf(END))];
  await writeFile(page, `${before}${BEGIN}\n\n${tables.join("\n")}\n\n${after}`);
  await writeFile(path.join(root, "docs", "scale-month.svg"), await drawing(months[0]!.month));
}

const waitOf = ({ landedMs, publishedMs }: Fresh) => publishedMs - landedMs;
const live = (month: Month) => month.files.filter(({ isBackFill }) => !isBackFill);

export function scheduleRow(minutes: number, month: Month): string {
  const waits = live(month)
    .map(waitOf)
    .sort((one, other) => one - other);
  const at = (share: number) => duration(waits[Math.min(waits.length - 1, Math.floor(waits.length * share))]!);
  const cells = [`${minutes} minutes`, count(month.runs), count(month.failedRuns), at(0.5), at(0.95), at(1)];
  return `| ${[...cells, count(Math.round(month.dpuHours)), count(Math.round(month.usd))].join(" | ")} |`;
}

export function incidentRow({ what, kind, from, days }: Incident, month: Month): string {
  const [beginsMs, endsMs] = [START_MS + from * DAY_MS, START_MS + (from + days) * DAY_MS];
  const during = month.files.filter(({ landedMs }) => landedMs >= beginsMs && landedMs < endsMs);
  const published = Math.max(...during.map(({ publishedMs }) => publishedMs));
  // Live files wait behind a back-fill, also those that land after it.
  const waiting = live(month).filter(({ landedMs }) => landedMs >= beginsMs && landedMs < Math.max(endsMs, published));
  const longest = Math.max(...waiting.map(waitOf));
  const name = kind === "backFill" ? `${what} (its live files)` : what;
  return `| ${name} | ${duration(longest)} | ${duration(published - endsMs)} |`;
}

/** How long the files of each hour waited, at a logarithmic scale: the median, and the longest. */
async function drawing(month: Month): Promise<string> {
  const { plot, lineY, ruleY, ruleX, text } = await import("@observablehq/plot");
  const { parseHTML } = await import("linkedom");
  const byHour = new Map<number, number[]>();
  for (const file of live(month)) {
    const hour = Math.floor((file.landedMs - START_MS) / HOUR_MS);
    byHour.set(hour, [...(byHour.get(hour) ?? []), waitOf(file) / 60_000]);
  }
  const hours = [...byHour].sort(([one], [other]) => one - other);
  const points = hours.map(([hour, waits]) => {
    const sorted = waits.sort((one, other) => one - other);
    return { day: hour / 24, median: sorted[sorted.length >> 1]!, longest: sorted.at(-1)! };
  });
  const parsed: unknown = parseHTML("<html><body></body></html>");
  const { document } = parsed as { document: NonNullable<PlotOptions["document"]> };
  const incidents = INCIDENTS.map(({ what, from }) => ({ from, what }));
  const svg = plot({
    ...{ document, width: 900, height: 340, marginLeft: 60, marginTop: 40 },
    style: { background: "white", color: "#333", fontFamily: "sans-serif", fontSize: "12px" },
    x: { label: "day of the month", domain: [0, DAYS] },
    y: { type: "log", label: "minutes from landing to the metrics: median (dark) and longest", grid: true, ticks: 4 },
    marks: [
      ruleX(incidents, { x: "from", stroke: "#bbb", strokeDasharray: "3,3" }),
      text(incidents, { x: "from", text: "what", frameAnchor: "top", dy: -14, lineWidth: 12, fontSize: 10 }),
      lineY(points, { x: "day", y: "longest", stroke: "#d08030" }),
      lineY(points, { x: "day", y: "median", stroke: "#1f4e9c" }),
      ruleY([1]),
    ],
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  for (const style of svg.querySelectorAll("style")) style.remove();
  const title = document.createElement("title");
  title.textContent = "How long files wait, by the hour in which they land";
  svg.prepend(title);
  return `${svg.outerHTML}\n`;
}
