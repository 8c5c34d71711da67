import type { PlotOptions } from "@observablehq/plot";
import { brief, count } from "../terminal/format";
import { type Html, html, table, verbatim } from "./html";

export interface ChartRow {
  name: string;
  value: number;
  /** The value in the table, where it is not a count. */
  text?: string;
  /** The name in the table, as a link. */
  link?: Html;
  /** The row that the page is about. */
  isMarked?: boolean;
}

export interface Chart {
  title: string;
  /** What a row is, such as "genre". No two charts of a page have the same. */
  of: string;
  /** What is measured, with its unit. */
  measure: string;
  /** `bars`: a bar for each row, largest on top, with its name. `columns`: in the order of time, from left to right. */
  kind: "bars" | "columns";
  rows: readonly ChartRow[];
}

const width = 480;
const longestName = 22;

/** A drawing with its table. The same rows make both, so both say the same. */
export async function chart({ title, of, measure, kind, rows }: Chart): Promise<Html> {
  if (rows.length === 0) return html`<figure><figcaption>${title}</figcaption><p>Nothing to draw yet.</p></figure>`;
  const drawn = await draw(kind === "bars" ? await bars(rows, measure) : await columns(rows, measure));
  const cells = rows.map(({ name, link, value, text }) => [link ?? name, text ?? count(value)]);
  return html`<figure><figcaption>${title}</figcaption>
<div class="drawing" role="img" aria-label="${title}: the table below has the numbers">${drawn}</div>
<details id="table-of-${of}"><summary>Table: ${title}</summary>
${table(title, [of, measure], cells, [measure])}</details></figure>`;
}

/** Plot takes a third of a second to load, so the first chart loads it. */
const plot = () => import("@observablehq/plot");
const fill = (row: ChartRow) => (row.isMarked ? "var(--mark)" : "var(--bar)");

async function bars(rows: readonly ChartRow[], measure: string): Promise<PlotOptions> {
  const { barX, ruleX } = await plot();
  // Two names may be the same once they are cut, so a bar's place is its number.
  const label = (at: number) => brief(rows[at]?.name ?? "", longestName);
  return {
    height: 50 + 26 * rows.length,
    marginLeft: 150,
    x: { label: measure, grid: true, ticks: 5, tickFormat: "~s", zero: true },
    y: { type: "band", label: null, tickFormat: label, tickSize: 0 },
    marks: [barX(rows, { x: "value", y: (_, at) => at, fill }), ruleX([0])],
  };
}

async function columns(rows: readonly ChartRow[], measure: string): Promise<PlotOptions> {
  const { barY, ruleY } = await plot();
  const every = Math.max(1, Math.ceil(rows.length / 5));
  return {
    height: 220,
    marginLeft: 50,
    x: {
      type: "band",
      label: null,
      ticks: rows.map((_, at) => at).filter((at) => at % every === 0),
      tickFormat: (at: number) => brief(rows[at]?.name ?? "", 16),
    },
    y: { label: measure, grid: true, ticks: 5, tickFormat: "~s", zero: true },
    marks: [barY(rows, { x: (_, at) => at, y: "value", fill }), ruleY([0])],
  };
}

/** Draws to SVG without a browser. Plot's own style element would be inline style: console.css has what it needs. */
async function draw(options: PlotOptions): Promise<Html> {
  const { plot: drawPlot } = await plot();
  const { parseHTML } = await import("linkedom");
  const page: unknown = parseHTML("<html><body></body></html>");
  const { document } = page as { document: NonNullable<PlotOptions["document"]> };
  const svg = drawPlot({ document, width, className: "plot", ...options });
  for (const style of svg.querySelectorAll("style")) style.remove();
  for (const one of [svg, ...svg.querySelectorAll("[style]")]) one.removeAttribute("style");
  svg.setAttribute("aria-hidden", "true");
  return verbatim(svg.toString());
}
