import * as pulumi from "@pulumi/pulumi";

/** One widget, as Amazon CloudWatch API reference describes it: "Dashboard body structure and syntax". */
export interface Widget {
  type: "metric" | "alarm" | "log" | "text";
  properties: Record<string, unknown>;
}

/** Namespace, name and dimensions of a metric, with what else is to be said of it; or an expression over others. */
export type Metric = (pulumi.Input<string> | Record<string, unknown>)[];

/** A part of the page: how to read it, and what there is to see. */
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

/** What a query finds in log groups (Amazon CloudWatch Logs User Guide, "CloudWatch Logs Insights query syntax"). */
export function table(title: string, groups: pulumi.Input<string>[], query: string): Widget {
  const sources = pulumi.all(groups).apply((names) => names.map((name) => `SOURCE '${name}'`).join(" | "));
  return { type: "log", properties: { title, query: pulumi.interpolate`${sources} | ${query}`, view: "table" } };
}

/**
 * The widgets on their places: each section below the other, its text first, then two in a row. A table, and a widget
 * without a neighbour, has the whole width.
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
