import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Holder, type Lock, takeLock, takeOver } from "../../../local/toolchain/lock.cjs";
import { until } from "../../support/commands";

const lockModule = path.join(__dirname, "..", "..", "..", "local", "toolchain", "lock.cjs");
/** Each process tries when it gets a line, tells what it got, and holds it until it is killed. */
const program = `
  const { takeLock } = require(${JSON.stringify(lockModule)});
  process.stdout.write("ready ");
  process.stdin.once("data", () => {
    const taken = takeLock(process.argv[1], "/project");
    const { spawn } = require("node:child_process");
    if ("release" in taken && process.argv[2]) {
      const group = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
      taken.add(group.pid);
    }
    process.stdout.write("release" in taken ? "held" : "refused");
  });`;

describe("a lock", () => {
  let folder: string;
  let file: string;
  const started: ChildProcess[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-lock-"));
    file = path.join(folder, "lock");
  });
  afterEach(async () => {
    for (const process of started.splice(0)) process.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  async function contender(...more: string[]) {
    const child = spawn(process.execPath, ["-e", program, file, ...more], { stdio: ["pipe", "pipe", "inherit"] });
    started.push(child);
    let said = "";
    child.stdout.on("data", (text) => {
      said += text;
    });
    await until("a contender is ready", async () => said === "ready ");
    const answer = () => said.slice("ready ".length);
    return { child, answer, go: () => child.stdin.write("go\n") };
  }
  type Contender = Awaited<ReturnType<typeof contender>>;
  async function race(count: number): Promise<Contender[]> {
    const all = await Promise.all(Array.from({ length: count }, () => contender()));
    for (const one of all) one.go();
    await until("each has an answer", async () => all.every(({ answer }) => answer() !== ""));
    return all;
  }
  async function killed({ child }: Contender): Promise<void> {
    child.kill("SIGKILL");
    await once(child, "close");
  }
  function taken(): Lock {
    const lock = takeLock(file, "/here");
    assert.ok("release" in lock, `held by ${JSON.stringify(lock)}`);
    return lock;
  }
  function refused(): Holder {
    const holder = takeLock(file, "/here");
    assert.ok(!("release" in holder), "another process holds it");
    return holder;
  }

  it("goes to one of several processes that try at the same moment, also when its holder was killed", async () => {
    for (let round = 0; round < 4; round++) {
      const all = await race(6);
      const holders = all.filter(({ answer }) => answer() === "held");
      assert.equal(holders.length, 1, `round ${round}`);
      assert.equal(refused().pid, holders[0]!.child.pid);
      assert.equal(refused().root, "/project");
      for (const one of all) await killed(one);
      assert.deepEqual(await readdir(folder), ["lock"]);
    }
    taken().release();
    assert.deepEqual(await readdir(folder), []);
  });

  it("stays with a fast process that took it while a slow one still judged its dead holder", async () => {
    const draft = path.join(folder, "draft");
    await writeFile(file, "the fast one");
    await writeFile(draft, "the slow one");
    assert.equal(takeOver(file, "the dead one", draft), false);
    assert.equal(await readFile(file, "utf8"), "the fast one");
    assert.equal(takeOver(file, "the fast one", draft), true);
    assert.equal(await readFile(file, "utf8"), "the slow one");
    assert.deepEqual(await readdir(folder), ["lock"]);
  });

  it("is refused to its own process too, until it is released; a second release changes nothing", () => {
    const { toISOString } = Date.prototype;
    // Locks that a process takes within a millisecond have the same time.
    Date.prototype.toISOString = () => "2026-11-23T10:00:00.000Z";
    try {
      const lock = taken();
      assert.equal(refused().pid, process.pid);
      lock.release();
      const next = taken();
      lock.release();
      assert.equal(refused().pid, process.pid);
      next.release();
    } finally {
      Date.prototype.toISOString = toISOString;
    }
  });

  it("is taken from a process whose id another process has by now, and from one of another boot", async () => {
    for (const change of [{ startedAt: "1" }, { boot: "another" }]) {
      const lock = taken();
      const holder = JSON.parse(await readFile(file, "utf8"));
      await writeFile(file, JSON.stringify({ ...holder, ...change }));
      taken();
      lock.release();
      await rm(file);
    }
  });

  it("names process groups that a killed holder left running, and keeps naming them until it is released", async () => {
    const holder = await contender("with a group");
    holder.go();
    await until("it is held", async () => holder.answer() === "held");
    await killed(holder);
    const [group] = taken().leftovers;
    assert.ok(group);
    assert.deepEqual(
      JSON.parse(await readFile(file, "utf8")).groups.map(({ pid }: { pid: number }) => pid),
      [group],
    );
    process.kill(-group, "SIGKILL");
    await rm(file);
  });

  it("is taken where a machine that lost power left an empty file, or a takeover that was cut off", async () => {
    await writeFile(file, "");
    const long = new Date(Date.now() - 60_000);
    await writeFile(`${file}.takeover`, "");
    await utimes(`${file}.takeover`, long, long);
    taken().release();
    assert.deepEqual(await readdir(folder), []);
  });

  it("respects the lock of version 0.1.0, which holds a process id alone", async () => {
    await writeFile(file, String(process.pid));
    assert.equal(refused().pid, process.pid);
    const ended = await contender();
    await killed(ended);
    await writeFile(file, String(ended.child.pid));
    taken().release();
  });
});
