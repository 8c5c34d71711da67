import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { describeError } from "../terminal/errors";
import { guard } from "./guard";
import { type Html, html, link, pathTo, verbatim } from "./html";
import { batchView } from "./pages/batch";
import { batchesView } from "./pages/batches";
import { artistView, daysView, dayView, genreView, trackView } from "./pages/day";
import { freshnessView } from "./pages/freshness";
import { quarantineView } from "./pages/quarantine";
import type { Source } from "./source";
import { still, type View } from "./view";

const asset = (name: string) => readFileSync(path.join(__dirname, "assets", name), "utf8");

type Page = (source: Source, query: Record<string, string>, nowMs: number) => Promise<View | undefined>;

const pages: Record<string, Page> = {
  "/batches": (source, { before }, nowMs) => batchesView(source, before || undefined, nowMs),
  "/batch": async (source, { id, ...filter }, nowMs) => (id ? batchView(source, id, filter, nowMs) : undefined),
  "/quarantine": quarantineView,
  "/days": daysView,
  "/day": (source, { date }) => dayView(source, date),
  "/genre": (source, { name = "", date }) => genreView(source, name, date),
  "/artist": (source, { name = "" }) => artistView(source, name),
  "/track": (source, { id = "" }) => trackView(source, id),
  "/freshness": (source, _, nowMs) => freshnessView(source, nowMs),
};
const menu = { batches: "Batches", quarantine: "Quarantine", days: "Days", freshness: "Freshness" };

export interface ConsoleOptions {
  /** The pipeline to show; undefined while it starts. */
  source: () => Source | undefined;
  /** What a browser must know to see anything. */
  key: string;
  /** How often a page that somebody looks at is read again. */
  liveMs: number;
  /** Ends the live pages. */
  stop: AbortSignal;
}

/** The console's pages, behind its guard. Every page works without JavaScript. */
export function consoleApp({ source, key, liveMs, stop }: ConsoleOptions): Hono {
  const app = new Hono();
  app.use(guard(key));
  for (const [name, type] of [
    ["console.css", "text/css; charset=utf-8"],
    ["live.js", "text/javascript; charset=utf-8"],
  ] as const) {
    const body = asset(name);
    app.get(`/${name}`, (context) => context.body(body, 200, { "content-type": type }));
  }
  app.get("/", (context) => context.redirect(pathTo("batches")));

  for (const [address, page] of Object.entries(pages))
    app.get(address, async (context) => {
      const shown = source();
      // There is nothing yet that could send changes.
      if (!shown) return context.html(message("Starting", "The local cloud is starting."), 200, { Refresh: "2" });
      const view = await page(shown, context.req.query(), Date.now());
      if (!view) return context.html(message("Not found", "The ledger has no such batch.", shown), 404);
      const url = new URL(context.req.url);
      return context.html(pageOf(view, shown, view.isLive ? url.pathname + url.search : undefined));
    });

  // Sends each part of a page that has changed, until the page can't change any more.
  app.get("/live", (context) => {
    const wanted = new URL(context.req.query("of") ?? "/", "http://localhost");
    const page = pages[wanted.pathname];
    const shown = source();
    if (!page || !shown) return context.notFound();
    const query = Object.fromEntries(wanted.searchParams);
    return streamSSE(context, async (stream) => {
      const sent = new Map<string, string>();
      while (!stream.aborted && !stop.aborted) {
        const view = await page(shown, query, Date.now()).catch(describeError);
        if (typeof view === "string") await stream.writeSSE({ event: "problem", data: view });
        else {
          for (const { id, html: part } of view?.parts ?? []) {
            const text = String(part);
            if (sent.get(id) !== text) await stream.writeSSE({ event: "part", data: JSON.stringify({ id, text }) });
            sent.set(id, text);
          }
          if (!view?.isLive) break;
        }
        await sleep(liveMs, undefined, { signal: stop }).catch(() => undefined);
      }
      await stream.writeSSE({ event: "end", data: "" });
    });
  });

  app.notFound((context) => context.html(message("Not found", "There is no such page.", source()), 404));
  app.onError((error, context) =>
    context.html(message("The pipeline does not answer", describeError(error), source()), 502),
  );
  return app;
}

/** A batch as one file that needs no server; undefined if the ledger has no such batch. */
export async function reportOf(source: Source, batchId: string, nowMs: number): Promise<string | undefined> {
  const view = await batchView(source, batchId, {}, nowMs);
  if (!view) return undefined;
  const style = verbatim(`<style>${asset("console.css")}.choices { display: none }</style>`);
  const written = html`<p class="note">Written ${new Date(nowMs).toISOString()} about ${source.name}.</p>`;
  const report = String(document(view.title, style, html`<main>${mainOf(view)}${written}</main>`));
  // No other page is there to link to. Data is escaped, so these are our own tags.
  return report.replace(/<a [^>]*>|<\/a>/g, "");
}

function document(title: string, head: Html, body: Html): Html {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${title} - music-streams</title>${head}</head>
<body>${body}</body></html>`;
}

function mainOf({ title, parts }: View): Html {
  return html`<h1>${title}</h1>${parts.map(({ id, html: part }) => html`<section id="${id}">${part}</section>`)}`;
}

/** `live`: the address whose parts change while the page is open. */
function pageOf(view: View, source: Source | undefined, live?: string): Html {
  const items = Object.entries(menu).map(([page, text]) => html`${link(pathTo(page), text)} `);
  const script = html`<script src="/live.js" defer></script>`;
  const head = html`<link rel="stylesheet" href="/console.css">${live === undefined ? "" : script}`;
  const main = live === undefined ? html`<main>` : html`<main data-live="${live}">`;
  return document(
    view.title,
    head,
    html`<header><strong>music-streams</strong> <span>${source?.name ?? ""}</span><nav aria-label="Pages">${items}</nav></header>
${main}${mainOf(view)}<p id="live" class="note" role="status"></p></main>`,
  );
}

function message(title: string, text: string, source?: Source): Html {
  return pageOf(still(title, html`<p>${text.split("\n").map((line) => html`${line}<br>`)}</p>`), source);
}
