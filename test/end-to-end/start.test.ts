import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  commandOf,
  familyOf,
  isAlive,
  listeningAddresses,
  npm,
  oracle,
  realData,
  root,
  until,
} from "../support/commands";
import { writeOddFolder } from "../support/odd-files";
import { dataFolder } from "./data";

describe("npm start", () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-start-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  const kept = () => path.join(folder, "kept");
  const exported = () => path.join(folder, "metrics.ndjson");

  it("--once turns the data into the metrics that the oracle computes, attribute by attribute", async () => {
    const data = await dataFolder(folder);
    const started = Date.now();
    const run = await npm(
      "start",
      ...["--once", "--port", "0", "--keep", kept(), "--data", data, "--export", exported()],
    );
    console.log(`      npm start -- --once took ${((Date.now() - started) / 1000).toFixed(1)} s`);
    assert.equal(run.exitCode, 0, run.all);
    assert.equal(await readFile(exported(), "utf8"), await oracle(data));
    assert.match(run.stdout, /Top genres/);
    if (realData) assert.match(run.stdout, /read 22,692 = kept 22,692 \+ duplicate 0 \+ quarantined 0/);
  });

  it("--keep goes on with the data of the last time; it stays until Ctrl-C, listens on loopback only, and leaves no process", async () => {
    const again = path.join(folder, "again.ndjson");
    const run = npm("start", "--port", "0", "--keep", kept(), "--export", again);
    let output = "";
    run.all.on("data", (chunk) => {
      output += chunk;
    });
    const sockets = new Set<string>();
    await until("npm start is ready", async () => {
      for (const address of await listeningAddresses(await familyOf(run.pid!))) sockets.add(address);
      if (!isAlive(run.pid!)) throw new Error(`npm start ended early:\n${output}`);
      return output.includes("The local cloud is ready");
    });
    assert.match(output, /Going on with the data in .*kept: nothing is loaded/);
    assert.ok((await readFile(exported())).length > 0);
    assert.equal(await readFile(again, "utf8"), await readFile(exported(), "utf8"));
    const modeOf = async (file: string) => (await stat(file)).mode & 0o777;
    const local = path.join(root, ".local");
    assert.deepEqual(
      await Promise.all([local, path.join(local, "run.json"), kept()].map(modeOf)),
      [0o700, 0o600, 0o700],
    );
    const family = await familyOf(run.pid!);
    assert.ok(sockets.size >= 2, "the emulator and the local Glue listen");
    for (const address of sockets) assert.match(address, /^(127\.0\.0\.1|\[::1\]|\[::ffff:127\.0\.0\.1\]):/);
    run.kill("SIGINT");
    await run;
    await until("every process is gone", async () => !family.some(isAlive));
  });

  it("--once takes a folder of odd files: it counts the readable rows, and names the reason of each quarantined file", async () => {
    const data = path.join(folder, "odd");
    const odd = await writeOddFolder(data);
    const metrics = path.join(folder, "odd.ndjson");
    const run = await npm("start", "--once", "--port", "0", "--data", data, "--export", metrics);
    assert.equal(run.exitCode, 0, run.all);
    assert.equal(await readFile(metrics, "utf8"), await oracle(data));
    for (const [name, reason] of Object.entries(odd.badFiles))
      assert.ok(run.stdout.includes(`quarantined ${name}: ${reason}`), `${name}: ${run.stdout}`);
    for (const [reason, rows] of Object.entries(odd.badRows))
      assert.ok(run.stdout.includes(`${reason} ${rows}`), `${reason}: ${run.stdout}`);
  });

  it("takes a Ctrl-C while it starts, which a terminal sends to all its processes at once", async () => {
    const run = npm("start", "--port", "0");
    let output = "";
    run.all.on("data", (chunk) => {
      output += chunk;
    });
    await until("npm start is deploying", async () => output.includes("Deploying"));
    const family = await familyOf(run.pid!);
    const own = family.filter((pid) => /bootstrap|music-streams|main\.ts|npm/.test(commandOf(pid)));
    assert.ok(own.length >= 3, "npm, the front door and the program");
    for (const pid of own) process.kill(pid, "SIGINT");
    await run;
    assert.match(output, /Stopping/);
    await until("every process is gone", async () => !family.some(isAlive));
  });

  it("says that the emulator died, where its log is, what is kept and what to do", async () => {
    const own = path.join(folder, "died");
    const run = npm("start", "--port", "0", "--keep", own);
    let output = "";
    run.all.on("data", (chunk) => {
      output += chunk;
    });
    await until("a batch is in flight", async () => {
      if (!isAlive(run.pid!)) throw new Error(`npm start ended early:\n${output}`);
      return /transform +running/.test(output);
    });
    const family = await familyOf(run.pid!);
    const emulator = family.find((pid) => /^\S+ \S*emulator\.py$/.test(commandOf(pid)));
    process.kill(emulator!, "SIGKILL");
    const { exitCode } = await run;
    assert.equal(exitCode, 1, output);
    assert.match(output, /The emulator \(MiniStack\) has died \(killed by SIGKILL\)\. .*ran out of memory/);
    assert.match(output, /The end of its log, \S+emulator\.log:\n {4}\S/);
    assert.ok(output.includes(`All files are kept in ${own}, but not the ledger and the metrics. Start again`), output);
    assert.doesNotMatch(output, /ECONNREFUSED|No answer from the service/);
    await until("every process is gone", async () => !family.some(isAlive));
  });

  it("says what is missing before it starts anything", async () => {
    const run = await npm("start", "--once", "--data", path.join(folder, "nowhere"));
    assert.equal(run.exitCode, 2);
    assert.match(run.stderr, /nowhere: there is no such folder/);
    const exported = await npm("start", "--once", "--export", path.join(folder, "no", "metrics.ndjson"));
    assert.equal(exported.exitCode, 2);
    assert.match(exported.stderr, /--export .*metrics.ndjson: there is no folder/);
  });

  it("names a port that is in use, and the way out", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const run = await npm("start", "--once", "--port", String(port));
    server.close();
    assert.equal(run.exitCode, 1);
    assert.match(run.stderr, new RegExp(`Port ${port} is in use.*--port N`));
  });
});
