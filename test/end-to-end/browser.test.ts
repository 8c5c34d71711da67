import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { IAMClient, ListRolesCommand } from "@aws-sdk/client-iam";
import { LambdaClient, ListFunctionsCommand } from "@aws-sdk/client-lambda";
import { ListBucketsCommand, S3Client } from "@aws-sdk/client-s3";
import { execaSync } from "execa";
import pMap from "p-map";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { findBrowser } from "../support/browser";
import { familyOf, isAlive, listeningAddresses, npm, oracle, root, until } from "../support/commands";
import { dataFolder } from "./data";
import { RealConsole } from "./real-console";

/** Names that the browser, and it alone, resolves to this machine: an attacker's, and one that was rebound. */
const EVIL = "evil.example";
const REBOUND = "rebound.example";
/** How long a page waits for an answer. */
const WAIT_MS = 4_000;

/** In a real browser, web pages try what they can on every listener of `npm start`, and its console is looked at. */
describe("web pages", () => {
  let folder: string;
  let executablePath: string | undefined;
  /** The one `npm start`, and what it printed. */
  let run: ReturnType<typeof npm> | undefined;
  let output = "";
  let context: BrowserContext;
  let control: Server;
  /** What the pages of other origins asked of the control server. */
  const arrived = new Set<string>();
  /** The status of every answer that the browser got, by port. */
  const answers = new Map<number, Set<number>>();

  before(async function () {
    executablePath = findBrowser();
    if (!executablePath) return this.skip();
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-browser-"));
    // Chromium's own protection of local addresses asks a person: the cloud must be safe without it.
    const off = "LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessForNavigations";
    context = await chromium.launchPersistentContext(path.join(folder, "profile"), {
      executablePath,
      args: [
        "--no-sandbox",
        `--disable-features=${off}`,
        `--host-resolver-rules=MAP ${EVIL} 127.0.0.1,MAP ${REBOUND} 127.0.0.1`,
      ],
    });
    context.on("response", (response) => {
      const port = Number(new URL(response.url()).port);
      if (!response.fromServiceWorker() && !response.url().endsWith("/page"))
        answers.set(port, (answers.get(port) ?? new Set()).add(response.status()));
    });
    const attacks = await readFile(path.join(__dirname, "attacks.html"), "utf8");
    // The attacker's pages, whatever their origin: the browser gets them from here.
    await context.route("**/page", (route) => route.fulfill({ contentType: "text/html", body: attacks }));
  });

  after(async () => {
    await context?.close();
    control?.close();
    run?.kill("SIGINT");
    await run;
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  const exported = () => path.join(folder, "metrics.ndjson");

  /** Every attack on a port: from another origin by both names of this machine, and by a name that was rebound. */
  async function attackPort(port: number, key: string): Promise<string[]> {
    const ways = [
      [`http://${EVIL}/page`, `http://127.0.0.1:${port}`],
      [`http://${EVIL}/page`, `http://localhost:${port}`],
      [`http://${REBOUND}:${port}/page`, `http://${REBOUND}:${port}`],
    ] as const;
    const found = ways.map(async ([url, origin]) => {
      const page: Page = await context.newPage();
      await page.goto(url);
      const reached = (await page.evaluate(`attack(${JSON.stringify({ origin, key, waitMs: WAIT_MS })})`)) as string[];
      await page.close();
      return reached.map((way) => `${way} on ${origin}`);
    });
    return (await Promise.all(found)).flat();
  }

  /** Few at once, because pages that wait for the machine find nothing. */
  const attackEach = (ports: [port: number, command: string][], known: string) =>
    pMap(
      ports,
      async ([port, command]) => assert.deepEqual(await attackPort(port, known), [], `port ${port}: ${command}`),
      { concurrency: 3 },
    );

  it("reach a server that does not defend itself, by every way of this test", async () => {
    control = createServer((request, response) => {
      request.resume();
      arrived.add(
        `${request.method} ${request.url!.replace(/[?&]X-Amz.*/, "")} ${request.headers["content-type"] ?? ""}`,
      );
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-allow-headers", "*");
      response.setHeader("access-control-allow-methods", "*");
      const type = request.url?.includes("image") ? "image/svg+xml" : "text/html";
      response.writeHead(200, { "content-type": type });
      response.end(type === "text/html" ? "" : '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>');
    });
    control.on("upgrade", (request, socket) => {
      arrived.add(`upgrade ${request.headers.upgrade}`);
      socket.destroy();
    });
    await new Promise<void>((resolve) => control.listen(0, "127.0.0.1", resolve));
    const { port } = control.address() as AddressInfo;
    const reached = await attackPort(port, "any");
    for (const way of ["reset with CORS", "simple post with CORS", "put", "target", "image", "script"])
      assert.equal(reached.filter((one) => one.startsWith(`${way} on`)).length, 3, `${way}: ${reached.join("\n")}`);
    assert.deepEqual([...answers.get(port)!], [200]);
    const text = "text/plain;charset=UTF-8";
    for (const one of [
      `POST / ${text}`,
      `POST /2015-03-31/functions ${text}`,
      "POST / application/x-www-form-urlencoded",
      "POST /_ministack/reset application/x-www-form-urlencoded",
      `POST /_ministack/reset ${text}`,
      "GET / ",
      "GET /?frame ",
      "upgrade websocket",
    ])
      assert.ok(arrived.has(one), `${one}: ${[...arrived].join("\n")}`);
  });

  it("get nothing and change nothing on any listener of npm start", async () => {
    const data = await dataFolder(folder);
    const started = npm("start", "--port", "0", "--data", data, "--export", exported());
    run = started;
    const family = () => familyOf(started.pid!);
    started.all.on("data", (chunk) => {
      output += chunk;
    });
    const key = async () => {
      const file = await readFile(path.join(root, ".local", "run.json"), "utf8").catch(() => "{}");
      return String(JSON.parse(file).credentials?.accessKeyId ?? "test");
    };
    const attacked = new Map<number, string>();
    const attackAll = async () => {
      const commands = await listeners(await family());
      const fresh = [...commands].filter(([port]) => !attacked.has(port));
      for (const [port, command] of fresh) attacked.set(port, command);
      const known = await key();
      await attackEach(fresh, known);
    };
    await until("npm start is ready", async () => {
      if (!isAlive(started.pid!)) throw new Error(`npm start ended early:\n${output}`);
      await attackAll();
      return output.includes("The local cloud is ready");
    });
    // Once more with all that is there, and with the credentials' name known.
    const listening = await listeners(await family());
    await attackEach([...listening], await key());
    const commands = [...attacked.values()];
    assert.ok(
      commands.some((command) => /\bjava /.test(command)),
      `Spark listened while it ran:\n${commands.join("\n")}`,
    );
    // Spark's listeners speak no HTTP.
    const servers = [...listening].filter(([, command]) => !command.includes("standby.py")).map(([port]) => port);
    assert.ok(servers.length >= 2, "the emulator and the local Glue listen");
    for (const port of attacked.keys())
      for (const status of answers.get(port) ?? []) assert.ok([400, 403].includes(status), `${status} on ${port}`);
    for (const port of servers) assert.ok(answers.get(port)?.has(403), `port ${port} refuses pages`);
    await assertUnchanged();
    assert.equal(await readFile(exported(), "utf8"), await oracle(data));
  });

  it("the console shows that run with the numbers that commands print, and a dropped file that goes through it", async () => {
    const url = /^Console: (http\S+)$/m.exec(output)![1]!;
    const browser = await chromium.launch({ executablePath: executablePath!, args: ["--no-sandbox"] });
    try {
      const shown = await RealConsole.open(browser, url);
      await shown.hasTheLedgersNumbers();
      await shown.hasTheMetricsNumbers(exported());
      await shown.showsADroppedFile(folder);
    } finally {
      await browser.close();
    }
  });
});

/** The ports on which these processes listen, with the command line. */
async function listeners(pids: number[]): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (const pid of pids)
    for (const address of await listeningAddresses([pid]))
      found.set(
        Number(address.split(":").at(-1)),
        execaSync("ps", ["-ww", "-p", `${pid}`, "-o", "args="], { reject: false }).stdout,
      );
  return found;
}

/** The cloud holds what the program deployed, and nothing of the pages. */
async function assertUnchanged(): Promise<void> {
  const { endpoint, region, credentials, outputs } = JSON.parse(
    await readFile(path.join(root, ".local", "run.json"), "utf8"),
  );
  const cloud = { endpoint, region, credentials };
  const { Buckets = [] } = await new S3Client({ ...cloud, forcePathStyle: true }).send(new ListBucketsCommand({}));
  assert.deepEqual(
    Buckets.map(({ Name }) => Name),
    [outputs.bucketName],
  );
  const { Roles = [] } = await new IAMClient(cloud).send(new ListRolesCommand({}));
  assert.ok(Roles.length > 0 && Roles.every(({ RoleName }) => RoleName!.startsWith("music-streams-")));
  const { Functions = [] } = await new LambdaClient(cloud).send(new ListFunctionsCommand({}));
  assert.ok(Functions.length > 0 && Functions.every(({ FunctionName }) => FunctionName!.startsWith("music-streams-")));
}
