import { raw, html as tag } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import { printable } from "../terminal/format";

/** HTML that is safe to put into a page. */
export type Html = HtmlEscapedString;

type Value = string | number | bigint | boolean | null | undefined | Html | readonly Value[];

/**
 * A template of HTML. Every text in it may come from data: it is escaped, and its control characters are made visible.
 * Attributes must stand in double quotes.
 */
export function html(strings: TemplateStringsArray, ...values: Value[]): Html {
  return tag(strings, ...values.map(visible)) as Html;
}

/** HTML of Hono is an object, and a text of data is a plain string. */
function visible(value: Value): unknown {
  if (Array.isArray(value)) return value.map(visible);
  return typeof value === "string" ? printable(value) : value;
}

/** Our own file or drawing, as it is. Never give it data. */
export function verbatim(text: string): Html {
  return raw(text);
}

/** A table that scrolls sideways if it must. `caption` names it. Columns named in `right` are aligned right. */
export function table(caption: string, head: string[], rows: readonly Value[][], right: string[] = []): Html {
  const kind = (at: number) => (right.includes(head[at] ?? "") ? "number" : "text");
  return html`<div class="wide" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr>${head.map((title, at) => html`<th scope="col" class="${kind(at)}">${title}</th>`)}</tr></thead>
<tbody>${rows.map((cells) => html`<tr>${cells.map((cell, at) => html`<td class="${kind(at)}">${cell}</td>`)}</tr>`)}</tbody>
</table></div>`;
}

/** A list of names and values. */
export function facts(rows: readonly (readonly [name: string, value: Value])[]): Html {
  return html`<dl>${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** A command to copy. */
export function command(text: string): Html {
  return html`<code class="command">${text}</code>`;
}

/** The address of a page. What it shows is in the query, because a name such as `..` can't stand in a path. */
export function pathTo(page: string, query: Record<string, string> = {}): string {
  const text = new URLSearchParams(query).toString();
  return `/${page}${text && `?${text}`}`;
}

export function link(path: string, text: Value): Html {
  return html`<a href="${path}">${text}</a>`;
}

/** A moment in UTC, to the second; a dash if there is none. */
export function time(moment: string | null | undefined): Html {
  if (!moment) return html`-`;
  return html`<time datetime="${moment}">${moment.slice(0, 19).replace("T", " ")}</time>`;
}
