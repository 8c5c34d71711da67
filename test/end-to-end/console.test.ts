import assert from "node:assert/strict";
import { type Browser, type BrowserContextOptions, chromium } from "playwright-core";
import { type Console, serveConsole } from "../../console/server";
import type { Source } from "../../console/source";
import { batch, detail, hostileSource, idOf, line, NOW, sourceOf } from "../console/fixtures";
import { findBrowser, findings, visit } from "../support/browser";

/** A page that answers later than this is too slow. */
const FIRST_VIEW_MS = 1_000;
const views = ["/batches", "/batch", "/quarantine", "/days", "/day", "/genre", "/artist", "/track", "/freshness"];

describe("the console in a browser", () => {
  let browser: Browser;
  const open: { close(): Promise<unknown> }[] = [];

  before(async function () {
    const executablePath = findBrowser();
    if (!executablePath) return this.skip();
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  });
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  });
  after(() => browser?.close());

  async function serve(source: Source): Promise<Console> {
    const served = await serveConsole(0, source);
    open.push(served);
    return served;
  }

  async function look(url: string, options?: BrowserContextOptions) {
    const visited = await visit(browser, url, options);
    open.push(visited);
    return visited;
  }

  const running = batch(5, { state: "RUNNING", settledAt: null });
  const day = { date: "2024-06-25", listens: 12n, listeners: 3n, listeningMs: 1_000n };
  const full = sourceOf([running, batch(20, { state: "FAILED", error: "transform: poison" }), batch(30)], {
    logs: async () => [line(), line({ isError: true, text: "ValueError: no" })],
    quarantine: async () => ({
      ...{ files: 1, reasons: [{ reason: "bad_id", rows: 30, batches: [idOf(30)] }] },
      first: [{ reason: "bad_id", raw: "u 1,t,x", file: "a.csv", at: "part-0.json, line 1" }],
    }),
    latestDay: async () => "2024-06-25",
    listedDays: async () => [day],
    listedGenres: async () => [{ ...day, genre: "jazz" }],
    days: async () => [day],
    topGenres: async () => [{ ...day, genre: "jazz" }],
    genre: async () => ({ days: [day], topTracks: [] }),
    artist: async () => [{ trackId: "t1", name: "Blue", artists: "A;B" }],
  });
  const failing = async (): Promise<never> => {
    throw new Error("no answer");
  };
  const sources: Record<string, Source> = {
    empty: sourceOf([]),
    full,
    hostile: hostileSource(),
    failing: sourceOf([], {
      pipeline: failing,
      batch: failing,
      quarantine: failing,
      latestDay: failing,
      listedDays: failing,
    }),
    "10,000 batches": sourceOf(Array.from({ length: 10_000 }, (_, at) => batch(at))),
  };

  // In the dark there are other colours, and these show all of them.
  for (const [name, source] of Object.entries(sources))
    for (const colorScheme of ["full", "hostile", "failing"].includes(name)
      ? (["light", "dark"] as const)
      : (["light"] as const))
      it(`has no serious finding of axe-core and fits 360 px: ${name}, ${colorScheme}`, async () => {
        const { url } = await serve(source);
        const { page, wrong, go } = await look(url, { colorScheme, viewport: { width: 360, height: 740 } });
        for (const view of views) {
          const id = (await source.batches({ limit: 1 }))[0]?.batchId ?? "x";
          await go(view === "/batch" ? `/batch?${new URLSearchParams({ id })}` : view);
          // In the dark a page differs by its colours alone.
          assert.deepEqual(await findings(page, colorScheme === "dark" ? ["color-contrast"] : undefined), [], view);
          const widest = await page.evaluate("document.documentElement.scrollWidth");
          assert.ok(Number(widest) <= 360, `${view} is ${widest} px wide`);
        }
        // Pages of errors have an error's status, which the browser notes.
        assert.deepEqual(
          wrong.filter((text) => !/status of (404|502)/.test(text)),
          [],
        );
      });

  it("shows its first view of 10,000 batches within a second", async () => {
    const { url } = await serve(sources["10,000 batches"]!);
    const { page, go } = await look(url);
    const startedMs = Date.now();
    await go("/batches");
    await page.locator("table tbody tr").nth(49).waitFor();
    const tookMs = Date.now() - startedMs;
    console.log(`      the first view took ${tookMs} ms`);
    assert.ok(tookMs < FIRST_VIEW_MS, `${tookMs} ms`);
  });

  it("says the same without JavaScript", async () => {
    const { url } = await serve(full);
    const { page, go, wrong } = await look(url, { javaScriptEnabled: false });
    await page
      .getByRole("link", { name: idOf(30) })
      .first()
      .click();
    assert.match((await page.textContent("main"))!, /1,000 read = 900 kept/);
    await go("/day");
    await page.getByText("Table: Top genres").click();
    await page.getByRole("link", { name: "jazz" }).first().click();
    assert.match((await page.textContent("h1"))!, /Genre jazz/);
    assert.deepEqual(wrong, []);
  });

  it("changes while somebody looks, and keeps an open table and the focus", async () => {
    let state = "RUNNING";
    const now = () => batch(1, { state, settledAt: state === "ARCHIVED" ? new Date(NOW).toISOString() : null });
    const { url } = await serve(sourceOf([], { batch: async () => detail(now()), logs: async () => [line()] }));
    const { page, wrong, go } = await look(url);
    await go(`/batch?id=${idOf(1)}`);
    const summary = page.locator("summary");
    await summary.click();
    assert.match((await page.textContent("#batch"))!, /RUNNING/);
    state = "ARCHIVED";
    await page.locator("#batch").getByText("ARCHIVED").waitFor();
    await page.getByText("Nothing changes any more").waitFor();
    assert.equal(await page.locator("details[open]").count(), 1);
    assert.equal(await page.evaluate("document.activeElement.tagName"), "SUMMARY");
    assert.deepEqual(wrong, []);
  });
});
