// One file, because every page is asked through the same fixtures.
import assert from "node:assert/strict";
import { parseHTML } from "linkedom";
import { consoleApp, reportOf } from "../../console/app";
import type { Source } from "../../console/source";
import { NoCloudError } from "../../terminal/errors";
import { batch, CONTROLS, detail, ESCAPED, HOSTILE, hostileSource, idOf, line, NOW, sourceOf } from "./fixtures";

const key = "key";

/** What these tests need of a page's elements: the project's types know no browser. */
interface Element {
  tagName: string;
  textContent: string | null;
  attributes: Iterable<{ name: string }>;
  children: Iterable<Element>;
  getAttribute(name: string): string | null;
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): Iterable<Element> & { length: number };
}

/** The console of a source, asked as its own pages ask it. */
function consoleOf(source: Source, liveMs = 5) {
  const stop = new AbortController();
  const app = consoleApp({ source: () => source, key, liveMs, stop: stop.signal });
  const ask = (path: string) =>
    app.request(`http://localhost${path}`, {
      headers: { host: "localhost", cookie: `music-streams-localhost=${key}` },
    });
  const page = async (path: string, status = 200) => {
    const answer = await ask(path);
    const text = await answer.text();
    assert.equal(answer.status, status, text);
    const { document } = parseHTML(text) as unknown as { document: Element };
    return { text, document, words: words(document.querySelector("main")!) };
  };
  return { ask, page, stop: () => stop.abort() };
}

const words = (element: Element) => element.textContent!.replace(/\s+/g, " ");
const cellsOf = (document: Element, caption: string) =>
  [...document.querySelectorAll("table")]
    .filter((table) => table.querySelector("caption")?.textContent === caption)
    .flatMap((table) => [...table.querySelectorAll("tbody tr")])
    .map((row) => [...row.children].map((cell) => cell.textContent));

const every = (id: string, name: string) => [
  "/batches",
  `/batches?before=${encodeURIComponent(name)}`,
  `/batch?${new URLSearchParams({ id, job: "transform", attempt: "1" })}`,
  `/batch?${new URLSearchParams({ id })}`,
  "/quarantine",
  "/days",
  "/day",
  `/day?${new URLSearchParams({ date: name })}`,
  `/genre?${new URLSearchParams({ name })}`,
  `/genre?${new URLSearchParams({ name, date: name })}`,
  `/artist?${new URLSearchParams({ name })}`,
  `/track?${new URLSearchParams({ id: name })}`,
  "/freshness",
];

describe("the console's pages", () => {
  it("are whole when the pipeline is empty", async () => {
    const { page } = consoleOf(sourceOf([]));
    for (const [path, said] of [
      ["/batches", /in flight ?nothing.*No batches yet/],
      ["/quarantine", /Nothing is in quarantine/],
      ["/days", /No day is listed/],
      ["/day", /No day has metrics yet/],
      ["/day?date=2024-06-25", /There are no metrics for 2024-06-25/],
      ["/day?date=2024-99-25", /2024-99-25 is no day/],
      ["/day?date=2024-02-31", /2024-02-31 is no day/],
      ["/batches?before=", /in flight/],
      ["/genre?name=jazz", /No top tracks on any day/],
      ["/artist?name=", /No track of the reference data/],
      ["/artist?name=abba", /No track of the reference data/],
      ["/track?id=t1", /Not in the reference data/],
      ["/freshness", /newest metrics ?none yet/],
    ] as const)
      assert.match((await page(path)).words, said, path);
    assert.match((await page(`/batch?id=${idOf(1)}`, 404)).words, /The ledger has no such batch/);
    assert.match((await page("/batch", 404)).words, /The ledger has no such batch/);
    assert.match((await page("/no-such-page", 404)).words, /There is no such page/);
  });

  it("show a batch: steps, commands, rows that add up, log by attempt, quarantine, files and days", async () => {
    const [id, other] = [idOf(10), idOf(20)];
    const failed = batch(20, { state: "FAILED", error: "transform: poison", rowsRead: null });
    const lines = [
      line({ source: "sense", attempt: null, text: "claimed files=2" }),
      line({ attempt: 1, text: "first attempt" }),
      line({ attempt: 2, text: "ValueError: no", isError: true }),
    ];
    const { page } = consoleOf(sourceOf([batch(10), failed], { logs: async () => lines }));
    const { document, words: all } = await page(`/batch?id=${id}`);
    assert.deepEqual(
      [...document.querySelectorAll(".step strong")].map((one) => one.textContent),
      ["sense", "transform", "publish", "archive"],
    );
    assert.match(words(document.querySelector("#steps")!), /transform donefrom 2026-11-23 12:20:02 18\.0 s1,000 rows/);
    assert.match(all, /1,000 read = 900 kept \+ 60 duplicate \+ 40 quarantined/);
    assert.deepEqual(cellsOf(document, "What became of the rows"), [
      ["read", "1,000"],
      ["kept", "900"],
      ["duplicate", "60"],
      ["bad_id", "30"],
      ["malformed_row", "10"],
    ]);
    assert.deepEqual(cellsOf(document, "Files (3 of 3)"), [
      ["a.csv", "900 kB", "read", "1,000", "900", "60", "40"],
      ["b.csv", "11.0 kB", "quarantined: not_text", "-", "-", "-", "-"],
      ["c.csv", "1 B", "changed", "-", "-", "-", "-"],
    ]);
    assert.match(all, /bad_idu 1,t1,2024-06-25 10:00:00a\.csvpart-0\.json, line 1/);
    assert.match(all, new RegExp(`npx music-streams replay ${id}`));
    assert.doesNotMatch(all, /abandon/);
    assert.equal(document.querySelectorAll(".log li").length, 3);
    assert.match(words(document.querySelector(".log .bad")!), /transform 2 ✖ ValueError: no/);
    const second = await page(`/batch?id=${id}&attempt=2`);
    assert.deepEqual([...second.document.querySelectorAll(".log li")].length, 1);
    const sense = await page(`/batch?id=${id}&job=sense`);
    assert.match(words(sense.document.querySelector(".log")!), /claimed files=2/);

    const bad = await page(`/batch?id=${other}`);
    assert.match(bad.words, /transform: poison/);
    assert.match(bad.words, new RegExp(`npx music-streams retry ${other}`));
    assert.match(bad.words, /Transform has not reported yet/);
  });

  it("list an artist's tracks with links, and say when they can't be read", async () => {
    const tracks = Array.from({ length: 501 }, (_, n) => ({ trackId: `t${n}`, name: undefined, artists: "ABBA" }));
    const asked: string[] = [];
    const artist = async (name: string) => {
      asked.push(name);
      return tracks;
    };
    const { document } = await consoleOf(sourceOf([], { artist })).page("/artist?name=+abba+");
    assert.deepEqual(asked, ["abba"]);
    assert.deepEqual(cellsOf(document, "Tracks (500 of 501)")[0], ["t0", "-", "ABBA"]);
    assert.equal(document.querySelector("tbody a")!.getAttribute("href"), "/track?id=t0");
    const none = await consoleOf(sourceOf([], { artist: async () => undefined })).page("/artist?name=abba");
    assert.match(none.words, /The next batch prepares this search/);
  });

  it("name the stack in every command, and link the run to https alone", async () => {
    const glueConsole = "https://us-east-1.console.aws.amazon.com/glue";
    const source = sourceOf([batch(1, { settledAt: null, state: "RUNNING" })], { stack: "dev" });
    const { document } = await consoleOf({
      ...source,
      batch: async (id) => detail((await source.batches({ limit: 1 }))[0]!, { batchId: id, glueConsole }),
    }).page(`/batch?id=${idOf(1)}`);
    const commands = [...document.querySelectorAll(".command")].map((one) => one.textContent);
    assert.deepEqual(commands, [
      `npx music-streams abandon ${idOf(1)} --stack dev`,
      `npx music-streams logs ${idOf(1)} --stack dev`,
    ]);
    assert.equal(document.querySelector("#steps a")?.getAttribute("href"), glueConsole);
  });

  it("show all else of a batch whose log can't be read", async () => {
    const logs = async () => {
      throw new Error("AccessDenied");
    };
    const { words: all } = await consoleOf(sourceOf([batch(1)], { logs })).page(`/batch?id=${idOf(1)}`);
    assert.match(all, /The log can't be read: AccessDenied/);
    assert.match(all, /1,000 read = 900 kept/);
  });

  it("say that the pipeline does not answer, and what to do", async () => {
    const failing = async (): Promise<never> => {
      throw new NoCloudError("The local cloud is gone. Start it with npm start.");
    };
    const source = sourceOf([], {
      pipeline: failing,
      batch: failing,
      quarantine: failing,
      latestDay: failing,
      listedDays: failing,
    });
    const { page } = consoleOf(source);
    for (const path of ["/batches", "/batch?id=x", "/quarantine", "/days", "/day", "/freshness"])
      assert.match((await page(path, 502)).words, /The local cloud is gone\. Start it with npm start/, path);
  });

  it("escape every text of data and make its control characters visible", async () => {
    const { page } = consoleOf(hostileSource());
    for (const path of every(HOSTILE, HOSTILE)) {
      const { text, document } = await page(path);
      const raw = text.replace(/&quot;/g, '"');
      assert.doesNotMatch(text, /<script>|javascript:/, path);
      assert.doesNotMatch(text, CONTROLS, path);
      assert.ok(!raw.includes(HOSTILE), path);
      assert.ok(text.includes(ESCAPED), path);
      for (const element of document.querySelectorAll("*"))
        for (const { name } of element.attributes)
          assert.match(name, /^[a-z][a-z0-9-]*$|^viewBox$/i, `${path}: <${element.tagName} ${name}>`);
      assert.deepEqual(
        [...document.querySelectorAll("script")].map((one) => one.getAttribute("src") ?? "inline"),
        path.startsWith("/batches?") || !document.querySelector("main[data-live]") ? [] : ["/live.js"],
        path,
      );
      if (path.startsWith("/batch?")) assert.equal(document.querySelectorAll(".command").length, 0, "no id to copy");
      for (const link of document.querySelectorAll("a")) assert.match(link.getAttribute("href")!, /^[/#]/, path);
    }
  });

  it("link to the page of a name whatever it holds", async () => {
    const asked: string[] = [];
    const source = hostileSource();
    const genre = async (name: string) => {
      asked.push(name);
      return source.genre(name);
    };
    for (const name of [HOSTILE.replace(CONTROLS, ""), "..", "a/b?c=d&e#f%41", "ünï ✓"]) {
      const topGenres = async () => [{ genre: name, listens: 1n, listeners: 1n, listeningMs: 1n }];
      const { page } = consoleOf({ ...source, topGenres, listedGenres: topGenres, genre });
      const { document } = await page("/day");
      const links = [...document.querySelectorAll("#genres a")].map((one) => one.getAttribute("href")!);
      assert.equal(links.length, 2);
      for (const one of links) {
        await page(one);
        assert.equal(asked.pop(), name);
      }
    }
  });

  it("page through 10,000 batches, each once, and draw the last 24 hours", async () => {
    const all = Array.from({ length: 10_000 }, (_, at) => batch(at, { state: at % 7 === 0 ? "FAILED" : "ARCHIVED" }));
    const { page } = consoleOf(sourceOf(all));
    const seen: string[] = [];
    let path: string | undefined = "/batches";
    for (let pages = 0; path !== undefined && pages < 5; pages++) {
      const { document, text }: { document: Element; text: string } = await page(path);
      assert.ok(text.length < 200_000, `${path}: ${text.length} characters`);
      seen.push(...cellsOf(document, "Batches, newest first").map(([id]) => id!));
      path = [...document.querySelectorAll(".paging a")]
        .find((one) => one.textContent === "Older")
        ?.getAttribute("href") as string | undefined;
    }
    assert.deepEqual(
      seen,
      all.slice(0, 250).map(({ batchId }) => batchId),
    );
    const last = await page(`/batches?before=${all.at(-50)!.batchId}`);
    assert.equal(cellsOf(last.document, "Batches, newest first").length, 49);
    assert.doesNotMatch(last.words, /Older/);
  });

  it("draw each hour's batches in the cell of their hour, and count those that do not fit", async () => {
    const nowMs = Date.now();
    const minutes = (n: number) => (NOW - (nowMs - n * 60_000)) / 60_000;
    const sinceHour = Math.floor((nowMs % 3_600_000) / 60_000);
    const all = Array.from({ length: 11 }, (_, at) => batch(minutes(sinceHour + 1 + at / 100)));
    const { document } = await consoleOf(sourceOf(all)).page("/batches");
    const cells = [...document.querySelectorAll(".hours li")];
    assert.equal(cells.length, 24);
    assert.equal(cells.at(-2)!.querySelectorAll("a").length, 8);
    assert.match(words(cells.at(-2)!), /\+3$/);
    assert.equal(document.querySelectorAll(".hours a").length, 8);
    assert.equal(cells.at(-2)!.querySelector("a")!.getAttribute("aria-label"), `ARCHIVED, batch ${all[0]!.batchId}`);
  });

  it("give each chart a table with the same numbers, exact whatever their size", async () => {
    const huge = 9_007_199_254_740_993n;
    const day = (date: string, listens: bigint) => ({ date, listens, listeners: 2n, listeningMs: 1n });
    const source = sourceOf([], {
      days: async (dates) => {
        assert.deepEqual([dates[0], dates[7], dates[14]], ["2024-06-18", "2024-06-25", "2024-07-02"]);
        return [day("2024-06-24", 5n), day("2024-06-25", huge)];
      },
      topGenres: async () => [{ genre: "jazz", listens: huge, listeners: 1n, listeningMs: 1n }],
    });
    const { document, words: all } = await consoleOf(source).page("/day?date=2024-06-25");
    assert.match(all, /listens ?9,007,199,254,740,993/);
    assert.deepEqual(cellsOf(document, "Top genres of 2024-06-25"), [["jazz", "9,007,199,254,740,993"]]);
    assert.deepEqual(cellsOf(document, "Listens of the days around it"), [
      ["2024-06-24", "5"],
      ["2024-06-25", "9,007,199,254,740,993"],
    ]);
    assert.doesNotMatch(all, /All \d+ genre/);
    for (const figure of document.querySelectorAll("figure")) {
      assert.equal(figure.querySelectorAll("svg rect").length, figure.querySelectorAll("tbody tr").length);
      assert.equal(figure.querySelectorAll("svg style, svg [style]").length, 0);
    }
  });

  it("list the days, newest first as they come, and all genres of a day", async () => {
    const of = (listens: bigint) => ({ listens, listeners: 2n, listeningMs: 60_000n });
    const first = Date.parse("2020-01-01T00:00:00Z");
    const days = Array.from({ length: 1_001 }, (_, at) => ({
      date: new Date(first - at * 86_400_000).toISOString().slice(0, 10),
      ...of(BigInt(at)),
    }));
    const listedGenres = async () => [
      { genre: "rock", ...of(9_007_199_254_740_993n) },
      { genre: "jazz", ...of(1n) },
    ];
    const { page } = consoleOf(sourceOf([], { listedDays: async () => days, listedGenres }));
    const { document } = await page("/days");
    const rows = cellsOf(document, "Days, newest first (1000 of 1001)");
    assert.equal(rows.length, 1_000);
    assert.deepEqual(rows[1], ["2019-12-31", "1", "2", "1 min 00 s"]);
    const [, link] = [...document.querySelectorAll("td a")].map((one) => one.getAttribute("href")!);
    const day = await page(link!);
    assert.match(day.words, /Day 2019-12-31.*All 2 genres/);
    assert.deepEqual(cellsOf(day.document, "All genres of 2019-12-31"), [
      ["rock", "9,007,199,254,740,993", "2", "1 min 00 s"],
      ["jazz", "1", "2", "1 min 00 s"],
    ]);
  });

  it("show a day's top tracks, its hours and its countries", async () => {
    const of = (listens: bigint) => ({ listens, listeners: 2n, listeningMs: 60_000n });
    const lands = Array.from({ length: 12 }, (_, at) => ({ country: at === 1 ? undefined : `Land ${at}`, ...of(50n) }));
    const dayParts = async () => ({
      topTracks: [{ trackId: "t1", name: "Blue", artists: undefined, ...of(9_007_199_254_740_993n) }],
      hours: Array.from({ length: 24 }, (_, hour) => ({ hour: String(hour), ...of(BigInt(hour)) })),
      countries: lands,
    });
    const { document, words: all } = await consoleOf(sourceOf([], { dayParts })).page("/day?date=2024-06-25");
    assert.deepEqual(cellsOf(document, "Top tracks of 2024-06-25"), [
      ["t1", "Blue", "-", "9,007,199,254,740,993", "2", "1 min 00 s"],
    ]);
    const hours = cellsOf(document, "Listens by hour of 2024-06-25");
    assert.deepEqual([hours.length, hours[0], hours[23]], [24, ["0", "0"], ["23", "23"]]);
    assert.equal(cellsOf(document, "Top countries of 2024-06-25").length, 10);
    const every = cellsOf(document, "All countries of 2024-06-25");
    assert.deepEqual([every.length, every[1]], [12, ["-", "50", "2", "1 min 00 s"]]);
    assert.match(all, /All 12 countries/);
    const none = await consoleOf(sourceOf([])).page("/day?date=2024-06-25");
    assert.match(none.words, /No top tracks on 2024-06-25.*Listens by hour of 2024-06-25 ?Nothing to draw yet/);
  });

  it("give the median, the longest and the share of quarantined rows of archived batches", async () => {
    // One of an earlier version, which does not know when its files landed.
    const slow = batch(2, { landedAt: null, publish: { from: null, to: new Date(NOW - 60_000).toISOString() } });
    const replayed = batch(9999, { attempt: 2, publish: slow.publish });
    const running = batch(1, { state: "RUNNING", publish: { from: null, to: null }, rowsRead: null });
    const { document, words: all } = await consoleOf(sourceOf([running, slow, batch(3), replayed])).page("/freshness");
    assert.match(all, /4\.00 % of those batches' rows/);
    const rows = cellsOf(document, "Durations by step");
    assert.deepEqual(rows[1], ["transform", "2", "18.0 s", "18.0 s"]);
    assert.deepEqual(rows[2], ["publish", "1", "9.0 s", "9.0 s"]);
    assert.deepEqual(rows[4], ["claim to metrics", "2", "45.0 s", "1 min 00 s"]);
    assert.deepEqual(rows[5], ["landing to metrics, oldest file", "1", "50.0 s", "50.0 s"]);
    assert.deepEqual(
      cellsOf(document, "From landing to metrics").map(([, took]) => took),
      ["50.0 s"],
    );
  });

  it("say which batches hold files, as long as nobody retried them", async () => {
    const held = { filesHeld: 2, error: "S3 refused" };
    const all = [batch(1, held), batch(2, { ...held, error: null }), batch(3, { ...held, retriedAt: "2026-11-23" })];
    const source = sourceOf(all, {
      pipeline: async () => ({
        ...{ pausedSince: null, inFlight: null, isQueued: false },
        waiting: { files: 1, bytes: 9, oldest: null, held: 4, isWhole: true },
      }),
    });
    const { document, words: said } = await consoleOf(source).page("/batches");
    assert.match(said, /held ?4 files: the batches below say which to retry/);
    assert.deepEqual(
      cellsOf(document, "Batches, newest first").map((cells) => cells.at(-1)),
      ["2 files held; S3 refused", "2 files held", "S3 refused"],
    );
  });
});

describe("a live page", () => {
  /** The events until the stream ends. */
  async function eventsOf(answer: Response): Promise<{ event: string; data: string }[]> {
    return (await answer.text())
      .split("\n\n")
      .filter(Boolean)
      .map((block) => ({
        event: /^event: (.*)$/m.exec(block)?.[1] ?? "",
        data: [...block.matchAll(/^data: ?(.*)$/gm)].map(([, data]) => data).join("\n"),
      }));
  }

  it("sends the parts that changed, an error while there is one, and ends when the batch is settled", async () => {
    const states = ["RUNNING", "RUNNING", "error", "PROCESSED", "ARCHIVED"];
    let look = 0;
    const source = sourceOf([], {
      batch: async () => {
        const state = states[look++]!;
        if (state === "error") throw new Error("no answer");
        const settledAt = state === "ARCHIVED" ? new Date(NOW).toISOString() : null;
        return detail(batch(1, { state, settledAt, claimedAt: null }));
      },
    });
    const events = await eventsOf(
      await consoleOf(source).ask(`/live?of=${encodeURIComponent(`/batch?id=${idOf(1)}`)}`),
    );
    const parts = events.filter(({ event }) => event === "part").map(({ data }) => JSON.parse(data));
    assert.equal(events.at(-1)!.event, "end");
    assert.equal(look, states.length);
    assert.match(events.find(({ event }) => event === "problem")!.data, /no answer/);
    const about = parts.filter(({ id }) => id === "batch").map(({ text }) => /class="state (\w+)"/.exec(text)?.[1]);
    assert.deepEqual(about, ["RUNNING", "PROCESSED", "ARCHIVED"]);
    assert.equal(parts.filter(({ id }) => id === "files").length, 1, "what did not change is sent once");
  });

  it("has only pages of the console", async () => {
    const { ask } = consoleOf(sourceOf([]));
    for (const of of ["/no-such-page", "/live", "//evil.example/batch-es", "http://evil.example/x"])
      assert.equal((await ask(`/live?of=${encodeURIComponent(of)}`)).status, 404, of);
  });
});

describe("a report", () => {
  it("is one file: no link, no script, nothing from elsewhere, with everything escaped", async () => {
    const report = (await reportOf(hostileSource(), HOSTILE, NOW))!;
    assert.ok(report.includes(ESCAPED));
    assert.match(report, /<style>:root/);
    assert.doesNotMatch(report, /<script|href=|src=|url\(|javascript:/);
    assert.doesNotMatch(report, CONTROLS);
    assert.equal(await reportOf(sourceOf([]), idOf(1), NOW), undefined);
  });
});
