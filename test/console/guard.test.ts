import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { type Console, serveConsole } from "../../console/server";
import { sourceOf } from "./fixtures";

/** What no page of the console sends. */
const foreign: Record<string, string>[] = [
  { host: "evil.example" },
  // With the console's own port, its cookie fits: what a name that was rebound to this machine sends.
  { host: "evil.example:PORT" },
  { host: "127.0.0.1.evil.example" },
  { host: "evil.example#127.0.0.1" },
  { origin: "http://evil.example" },
  { origin: "null" },
  { origin: "http://127.0.0.1:1" },
  { origin: "https://127.0.0.1" },
  { referer: "http://evil.example/" },
  { referer: "http://127.0.0.1.evil.example/" },
  { "sec-fetch-site": "cross-site" },
  { "sec-fetch-site": "same-site" },
];

/** Requests by hand, because a browser and `fetch` would not send most of these headers. */
describe("the console's guard", () => {
  let served: Console;
  let port: number;
  let key: string;
  before(async () => {
    served = await serveConsole(0, sourceOf([]));
    const url = new URL(served.url);
    [port, key] = [Number(url.port), url.searchParams.get("key")!];
  });
  after(() => served.close());

  async function ask(path: string, headers: Record<string, string> = {}, method = "GET") {
    const sent = request({ host: "127.0.0.1", port, path, method, headers });
    sent.end();
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    let body = "";
    for await (const chunk of answer) body += chunk;
    return { status: answer.statusCode, headers: answer.headers, body };
  }
  const withCookie = (more: Record<string, string> = {}) => ({ cookie: `music-streams-${port}=${key}`, ...more });

  it("gives a page to its own cookie, under a policy without inline code, and never to be stored", async () => {
    const { status, headers, body } = await ask("/batches", withCookie());
    assert.equal(status, 200);
    assert.match(body, /No batches yet/);
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /^default-src 'none'; style-src 'self'; script-src 'self';/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|data:|\*|http/);
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["access-control-allow-origin"], undefined);
    assert.doesNotMatch(body, /<style|style="|<script>|\son\w+="/);
  });

  it("takes the key of the address once, and keeps it in a cookie that no script and no other site gets", async () => {
    const { status, headers } = await ask(`//evil.example/?key=${key}`);
    assert.equal(status, 302);
    assert.equal(headers.location, "/");
    const [cookie = ""] = headers["set-cookie"] ?? [];
    assert.match(cookie, new RegExp(`^music-streams-${port}=${key};`));
    assert.match(cookie, /HttpOnly/);
    assert.match(cookie, /SameSite=Strict/);
  });

  const pages = ["/batches", "/console.css", "/live?of=/batches", "/no-such-page", "/"];
  for (const page of pages) {
    it(`refuses ${page} without the key, or with another one`, async () => {
      for (const [path, headers] of [
        [page, {}],
        [page, { cookie: `music-streams-${port}=${"x".repeat(key.length)}` }],
        [page, { cookie: `music-streams-1=${key}` }],
        [`${page}${page.includes("?") ? "&" : "?"}key=x`, {}],
      ] as const) {
        const { status, headers: got } = await ask(path, headers);
        assert.equal(status, 403, JSON.stringify([path, headers]));
        assert.equal(got["set-cookie"], undefined);
      }
    });

    for (const headers of foreign)
      it(`refuses ${page} with the key and ${JSON.stringify(headers)}`, async () => {
        const sent = Object.entries(headers).map(([name, value]) => [name, value.replace("PORT", String(port))]);
        const { status } = await ask(page, withCookie(Object.fromEntries(sent)));
        assert.ok(status === 403 || status === 400, String(status));
      });
  }

  it("answers its own pages, which name this host", async () => {
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]) {
      const own = { host, origin: `http://${host}`, referer: `http://${host}/batches` };
      const { status } = await ask("/batches", withCookie({ ...own, "sec-fetch-site": "same-origin" }));
      assert.equal(status, 200, host);
    }
    assert.equal((await ask("/batches", withCookie({ "sec-fetch-site": "none" }))).status, 200);
  });

  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    it(`only reads: no ${method}`, async () => assert.equal((await ask("/batches", withCookie(), method)).status, 405));

  it("listens on loopback alone", async () => {
    const elsewhere = connect(port, "127.0.0.2");
    const [error] = await once(elsewhere, "error");
    assert.equal((error as NodeJS.ErrnoException).code, "ECONNREFUSED");
  });

  it("takes another port when its own is taken, and ends although a live page is open", async () => {
    const second = await serveConsole(port, sourceOf([]));
    assert.notEqual(new URL(second.url).port, String(port));
    const url = new URL(second.url);
    const secondKey = url.searchParams.get("key");
    const headers = { cookie: `music-streams-${url.port}=${secondKey}` };
    const live = request({ host: "127.0.0.1", port: url.port, path: "/live?of=/batches", headers });
    live.on("error", () => undefined);
    live.end();
    const [answer] = (await once(live, "response")) as [IncomingMessage];
    assert.equal(answer.headers["content-type"], "text/event-stream");
    answer.on("error", () => undefined);
    answer.resume();
    await second.close();
  });

  it("says that the cloud is starting until there is a pipeline to show", async () => {
    const early = await serveConsole(0);
    const url = new URL(early.url);
    const headers = { cookie: `music-streams-${url.port}=${url.searchParams.get("key")}` };
    const read = async () => (await fetch(`${url.origin}/batches`, { headers })).text();
    assert.match(await read(), /The local cloud is starting/);
    early.show(sourceOf([]));
    assert.match(await read(), /No batches yet/);
    await early.close();
  });
});
