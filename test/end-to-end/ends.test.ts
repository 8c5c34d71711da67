import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { takeLock } from "../../local/toolchain/lock.cjs";
import { stopsAtFailure } from "../support/chain";
import { familyOf, isAlive, npm, root, until } from "../support/commands";
import { KeptStart } from "../support/start-ends";

// One folder that is kept: the second test ends the run that the first one has begun.
describe("npm start -- --keep", () => {
  stopsAtFailure();
  let folder: string;
  let kept: KeptStart;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-ends-"));
    kept = new KeptStart(folder);
  });
  after(async () => {
    await kept.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  it("goes on after Ctrl-C during transform, by itself after kill -9 of a job, and after kill -9 of its own process during publish", async () => {
    // The emulator saves its tables while the next start begins.
    await kept.meet([
      [/transform +running/, "Ctrl-C"],
      [/transform +running/, "job"],
      [/publish +running/, "program"],
    ]);
    // The start after the Ctrl-C knows how the run ended, and waits for nothing.
    assert.match(kept.output, /transform +failed .*The local Glue ended during the run/);
    const output = await kept.check();
    assert.match(output, /Going on with the data in/);
    assert.doesNotMatch(output, /did not shut down cleanly/);
  });

  it("processes every file again after kill -9 of everything, and leaves no lock when it ends", async () => {
    await kept.reach(/Waiting for files/);
    await kept.kill("all");
    const output = await kept.finish();
    assert.match(output, /did not shut down cleanly: .* files will be processed again/);
    assert.ok(!(await readdir(path.join(folder, "kept"))).includes("lock"), "no lock is left");
  });
});

describe("npm start, more than once at a time", () => {
  it("one of two that start at the same moment goes on; all others name it, and change nothing", async () => {
    const runs = [npm("start", "--port", "0"), npm("start", "--port", "0")];
    const outputs = runs.map((run) => follow(run));
    await until("one of them deploys", async () => outputs.some((output) => /Deploying/.test(output())));
    const winner = outputs.findIndex((output) => /Deploying/.test(output()));
    const loser = await runs[1 - winner]!;
    assertRefused(loser);
    const before = await listed(path.join(root, ".local", "cloud"));
    assertRefused(await npm("start", "--port", "4999", "--once"));
    assert.deepEqual(await missing(before), []);
    await until("the first one loads its files", async () => /Loading/.test(outputs[winner]!()));
    assertRefused(await npm("start", "--once"));
    const run = JSON.parse(await readFile(path.join(root, ".local", "run.json"), "utf8"));
    assert.match(run.endpoint, /:\d+$/);
    assert.doesNotMatch(run.endpoint, /:(4999|4566)$/);
    const family = await familyOf(runs[winner]!.pid!);
    runs[winner]!.kill("SIGINT");
    // 130 while it loads, 0 once it waits for work.
    assert.ok([0, 130].includes((await runs[winner]!).exitCode!), outputs[winner]!());
    assert.ok(!(await readdir(path.join(root, ".local"))).includes("cloud.lock"), "no lock is left");
    await until("every process is gone", () => !family.some(isAlive));
  });

  it("leaves a folder of --keep alone that a cloud elsewhere uses", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "music-streams-held-"));
    const lock = takeLock(path.join(folder, "lock"), "/elsewhere");
    assert.ok("release" in lock);
    await mkdir(path.join(folder, "objects"));
    await mkdir(path.join(folder, "state"));
    const before = await listed(folder);
    const run = await npm("start", "--once", "--keep", folder, "--port", "0");
    assert.equal(run.exitCode, 1, run.all);
    assert.match(
      run.stderr,
      new RegExp(`Another local cloud uses the data in ${folder} \\(process ${process.pid} in /else`),
    );
    assert.deepEqual(await listed(folder), before);
    await rm(folder, { recursive: true });
  });

  it("keeps its log of the last time when its port is taken", async () => {
    const log = path.join(root, ".local", "cloud", "emulator", "emulator.log");
    const before = await stat(log);
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const run = await npm("start", "--once", "--port", String(port));
    server.close();
    assert.equal(run.exitCode, 1, run.all);
    assert.equal((await stat(log)).ino, before.ino);
  });
});

function assertRefused(run: Awaited<ReturnType<typeof npm>>): void {
  assert.equal(run.exitCode, 1, run.all);
  assert.match(run.stderr, /A local cloud of this folder is starting or running already \(process \d+ in .*, since 20/);
  assert.doesNotMatch(run.all, /Starting the emulator/);
}

function follow(run: ReturnType<typeof npm>): () => string {
  let output = "";
  run.all.on("data", (text) => {
    output += text;
  });
  return () => output;
}

/** Every file below a folder, with its identity on the disk. */
async function listed(folder: string): Promise<{ file: string; ino: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.map((entry) => path.join(entry.parentPath, entry.name)).sort();
  return Promise.all(files.map(async (file) => ({ file, ino: (await stat(file)).ino })));
}

/** Those of some files that are gone, or are others by now. The first cloud goes on with its temporary files. */
async function missing(before: { file: string; ino: number }[]): Promise<string[]> {
  const lasting = before.filter(({ file }) => !/[/]tmp[/]/.test(file));
  const now = await Promise.all(
    lasting.map(({ file }) =>
      stat(file).then(
        ({ ino }) => ino,
        () => undefined,
      ),
    ),
  );
  return lasting.filter(({ ino }, at) => now[at] !== ino).map(({ file }) => file);
}
