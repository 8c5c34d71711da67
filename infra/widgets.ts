import * as pulumi from "@pulumi/pulumi";

/** A widget of a dashboard (Amazon CloudWatch API reference, "Dashboard body structure and syntax"). */
export interface Widget {
  type: "metric" | "alarm" | "log" | "text";
  properties: Record<string, unknown>;
}

/** Namespace, name, dimensions and options of a metric; or an expression over other metrics. */
export type Metric = (pulumi.Input<string> | Record<string, unknown>)[];

/** A part of the page: how to read it, and its widgets. */
export interface Section {
  /** In Markdown. */
  text: string;
  widgets: Widget[];
}

const COLUMNS = 24;
const TEXT_HEIGHT = 3;
const HEIGHT = 6;

export function graph(title: string, stat: string, metrics: Metric[], more: Record<string, unknown> = {}): Widget {
  return { type: "metric", properties: { title, stat, metrics, period: 300, view: "timeSeries", ...more } };
}

/**
 * The result of a query over log groups (Amazon CloudWatch Logs User Guide, "CloudWatch Logs Insights query syntax").
 */
export function table(title: string, groups: pulumi.Input<string>[], query: string): Widget {
  const sources = pulumi.all(groups).apply((names) => names.map((name) => `SOURCE '${name}'`).join(" | "));
  return { type: "log", properties: { title, query: pulumi.interpolate`${sources} | ${query}`, view: "table" } };
}

/**
 * Places the widgets: one section below the other, first its text, then two widgets in a row. A table takes the whole
 * width, and so does a widget without a neighbour.
 */
export function arranged(sections: Section[], region: pulumi.Input<string>): object[] {
  const placed: object[] = [];
  let y = 0;
  for (const { text, widgets } of sections) {
    placed.push({ type: "text", properties: { markdown: text }, x: 0, y, width: COLUMNS, height: TEXT_HEIGHT });
    y += TEXT_HEIGHT;
    let x = 0;
    widgets.forEach((widget, at) => {
      const next = widgets[at + 1];
      const isWide = widget.type === "log" || (x === 0 && (next === undefined || next.type === "log"));
      const width = isWide ? COLUMNS : COLUMNS / 2;
      const properties = widget.type === "alarm" ? widget.properties : { region, ...widget.properties };
      placed.push({ type: widget.type, properties, x, y, width, height: HEIGHT });
      x = (x + width) % COLUMNS;
      if (x === 0) y += HEIGHT;
    });
  }
  return placed;
}
