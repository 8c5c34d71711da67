import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, cp, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
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

  it("--once turns the data, odd files among it, into the metrics that the oracle computes, attribute by attribute", async () => {
    const data = await dataFolder(folder);
    const mixed = path.join(folder, "mixed");
    const odd = await writeOddFolder(mixed);
    for (const [from, to] of [
      ["reference/users.csv", "reference/users-1.csv"],
      ["reference/songs.csv", "reference/songs-1.csv"],
      ["streams", "streams/of the data"],
    ] as const)
      await cp(path.join(data, from), path.join(mixed, to), { recursive: true });
    // The data's own folder may be read-only.
    await chmod(path.join(mixed, "streams", "of the data"), 0o755);
    const started = Date.now();
    const run = await npm(
      "start",
      ...["--once", "--port", "0", "--keep", kept(), "--data", mixed, "--export", exported()],
    );
    console.log(`      npm start -- --once took ${((Date.now() - started) / 1000).toFixed(1)} s`);
    assert.equal(run.exitCode, 0, run.all);
    assert.equal(await readFile(exported(), "utf8"), await oracle(mixed));
    assert.match(run.stdout, /Top genres/);
    const counts = /read ([\d,]+) = kept ([\d,]+) \+ duplicate ([\d,]+) \+ quarantined ([\d,]+)/.exec(run.stdout);
    const [read, keptRows, duplicate, quarantined] = counts!.slice(1).map((text) => Number(text.replaceAll(",", "")));
    assert.equal(keptRows, await listensIn(exported()));
    assert.equal(read, keptRows! + duplicate! + quarantined!);
    if (realData) {
      // All rows of the real data are good, and none comes twice.
      assert.ok(keptRows! > 22_692);
      assert.equal(
        quarantined,
        Object.values(odd.badRows).reduce((sum, rows) => sum + rows, 0),
      );
    }
    for (const [name, reason] of Object.entries(odd.badFiles))
      assert.ok(run.stdout.includes(`quarantined ${name}: ${reason}`), `${name}: ${run.stdout}`);
    for (const [reason, rows] of Object.entries(odd.badRows)) {
      const shown = Number(new RegExp(`${reason} (\\d+)`).exec(run.stdout)?.[1]);
      // Generated data have bad rows of their own, real ones none.
      assert.ok(realData ? shown === rows : shown >= rows, `${reason}: ${run.stdout}`);
    }
  });

  describe("-- --keep, with the data of the last time", () => {
    let run: ReturnType<typeof npm>;
    let output = "";
    let family: number[] = [];

    // What goes on does so in the next test.
    after(() => run.kill("SIGINT"));

    it("goes on with it, and listens on loopback only", async () => {
      const again = path.join(folder, "again.ndjson");
      run = npm("start", "--port", "0", "--keep", kept(), "--export", again);
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
      assert.ok(sockets.size >= 2, "the emulator and the local Glue listen");
      for (const address of sockets) assert.match(address, /^(127\.0\.0\.1|\[::1\]|\[::ffff:127\.0\.0\.1\]):/);
    });

    it("says that the emulator died, where its log is, what is kept and what to do, and leaves no process", async () => {
      const file = path.join(folder, "late.csv");
      await writeFile(file, "user_id,track_id,listen_time\nu1,t1,2024-06-30 23:59:59\n");
      const dropped = await npm("drop", file);
      assert.equal(dropped.exitCode, 0, dropped.all);
      await until("a batch is in flight", () => {
        if (!isAlive(run.pid!)) throw new Error(`npm start ended early:\n${output}`);
        return /transform +running/.test(output);
      });
      family = await familyOf(run.pid!);
      const emulator = family.find((pid) => /^\S+ \S*emulator\.py$/.test(commandOf(pid)));
      process.kill(emulator!, "SIGKILL");
      const { exitCode } = await run;
      assert.equal(exitCode, 1, output);
      assert.match(output, /The emulator \(MiniStack\) has died \(killed by SIGKILL\)\. .*ran out of memory/);
      assert.match(output, /The end of its log, \S+emulator\.log:\n {4}\S/);
      assert.ok(
        output.includes(`All files are kept in ${kept()}, but not the ledger and the metrics. Start again`),
        output,
      );
      assert.doesNotMatch(output, /ECONNREFUSED|No answer from the service/);
      await until("every process is gone", async () => !family.some(isAlive));
    });
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

/** All listens of an export of the metrics. */
async function listensIn(file: string): Promise<number> {
  const items: { sk: string; listens: number }[] = (await readFile(file, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return items.reduce((sum, { sk, listens }) => sum + (sk === "SUMMARY" ? listens : 0), 0);
}
