import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import type { Manifest, ManifestFile } from "../../runtime/batch";
import { place } from "../../runtime/places";
import { root, typescript } from "../support/commands";
import { folders } from "../support/folders";
import { FULL, timeLimitMs } from "../support/full";
import type { Lake } from "./audit/lake";
import { a, audit, files, lone, second, soundLake } from "./audit/sound-lake";
import { archivedKey, bodyOf, day, type Given } from "./audit/values";
import { startPipeline, verb } from "./pipeline";

const main = verb("audit");

describe("npm run audit", () => {
  let lake: Lake;

  before(async () => {
    lake = await soundLake();
  });
  afterEach(() => lake.restore());

  it("finds no breach where nothing was ever dropped", async () => {
    const pipeline = await startPipeline();
    const empty = await pipeline.run(main, "--deep");
    await pipeline.close();
    assert.equal(empty.code, 0, empty.notes.join("\n"));
    assert.match(empty.out, /^✔ files +nothing there: no breach\n(✔ .*: no breach\n){5}No breach in 6 checks\.\n$/);
  });

  it("finds no breach in a sound pipeline with batches of every kind, and says what it checked", async () => {
    const { code, checks, breaches, information } = await audit(lake, "--deep");
    assert.deepEqual(breaches, []);
    assert.equal(code, 0);
    const looked = Object.fromEntries(checks.map((check) => [check.check, check.looked]));
    assert.deepEqual(looked.files, { "waiting objects": 4, objects: 9, batches: 9, files: 11 });
    assert.deepEqual(looked.ledger, { batches: 9, turns: 0, manifests: 9 });
    assert.deepEqual(looked.reports, { batches: 6, files: 7, "quarantined rows": 2, "curated rows": 12 });
    assert.deepEqual(looked.curated, { days: 3, files: 7, rows: 12 });
    assert.equal(looked.metrics?.items, looked.metrics?.["recomputed items"]);
    assert.ok(looked.metrics!.items! > 15);
    assert.deepEqual(looked.deep, { "quarantined files": 2, "archived files": 6, "distinct archived listens": 11 });
    assert.deepEqual(
      information.map(({ check, count }) => [check, count]),
      [
        ["ledger", 1],
        ["curated", 2],
        ["deep", 1],
      ],
    );
  });

  it("reads each of many days from its own files, though all are equally long", async function () {
    const days = FULL ? 60 : 15;
    this.timeout(timeLimitMs(days, 1000));
    const listens = Array.from({ length: days }, (_, n): [string, string, string] => {
      const date = new Date(Date.UTC(2026, 8, 1 + n)).toISOString().slice(0, 10);
      return [`v${100 + n}`, "hit", `${date} 10:00:00`];
    });
    await lake.archived("20261120T115000Z-MANYDAYS", [{ name: "days.csv", listens }]);
    await lake.flush();
    await lake.turn("CLAIMS", { claims: 20 });
    const { checks, breaches } = await audit(lake, "--deep");
    assert.deepEqual(breaches, []);
    assert.equal(checks.find(({ check }) => check === "curated")?.looked.days, days + 3);
  });

  it("prints a line per check, a line per breach with what to do, and a summary", async () => {
    const sound = await lake.pipeline.run(main);
    assert.equal(sound.code, 0);
    assert.match(
      sound.out,
      /^✔ files .*: no breach\n✔ ledger .*\n✔ reports .*\n✔ curated .*\n✔ metrics .*\nℹ .*\nℹ .*\nNo breach in 5 checks\.\n$/,
    );
    await lake.put(`${folders.archived}${day}/${a}/\u001b[31m.csv`, "x");
    const { code, out } = await lake.pipeline.run(main);
    assert.equal(code, 1);
    assert.match(
      out,
      new RegExp(
        `^✖ files .*: 1 breach\\n {4}a file of no batch: ${folders.archived}.*\\\\u001b\\[31m\\.csv; expected: .*; found: .*; to do: .*\\n✔ ledger`,
      ),
    );
    assert.match(out, /\n1 breach in 1 of 5 checks\. .*\n$/);
  });

  it("names the checks in --help", async () => {
    const { code, out } = await lake.pipeline.run(main, "--help");
    assert.equal(code, 0);
    for (const name of ["files", "ledger", "reports", "curated", "metrics", "deep"])
      assert.match(out, new RegExp(`\n  ${name} `));
  });

  it("reports both sides of an archive whose rows were exchanged", async () => {
    // One of the same size, so that only its rows tell.
    const other = bodyOf(files.lone).replace("u1", "u2");
    const etag = await lake.put(archivedKey(lone, files.lone), other);
    const claimed = (it: Manifest) => ({ ...it, files: it.files.map((file) => ({ ...file, etag })) });
    await lake.change<Manifest>(place("manifest", { batchId: lone }), claimed);
    const { breaches } = await audit(lake, "--deep");
    assert.deepEqual(
      breaches.map(({ what, where }) => [what, where.slice(0, 2)]),
      [
        ["an archived listen is not curated", "u2"],
        ["a curated listen is in no archived file", "u1"],
      ],
    );
  });

  it("leaves out what a batch in flight may have half done, and says so", async () => {
    const batchId = "20261120T120000Z-INFLIGHT";
    await lake.archived(batchId, [{ name: "flies.csv", listens: [["u1", "hit", "2026-11-20 03:00:00"]] }]);
    await lake.put(
      `${folders.incoming}flies.csv`,
      bodyOf({ name: "", listens: [["u1", "hit", "2026-11-20 03:00:00"]] }),
    );
    await lake.flush(undefined, []);
    const { item } = await lake.batch(batchId);
    const { settledAt, moves, ...rest } = item;
    await lake.pipeline.putLedger({ ...rest, state: "PROCESSED" } as Record<string, unknown>);
    const before = await audit(lake);
    assert.equal(before.code, 1, "not in flight, it is a breach");
    await lake.turn("IN_FLIGHT", { batchId });
    await lake.turn("CLAIMS", { claims: 20 });
    const { code, breaches, information } = await audit(lake, "--deep");
    assert.deepEqual(breaches, []);
    assert.equal(code, 0);
    assert.ok(
      information.some(({ text }) =>
        text.includes(`${batchId} is not audited (PROCESSED, in flight), and the rows and metrics of its 1 day`),
      ),
    );
    assert.ok(information.some(({ check, count }) => check === "metrics" && count > 0));
    // Other days are still audited.
    await lake.changeItem("TRACK#hit", "DAY#2026-11-18", () => ({ listens: 4 }));
    assert.equal((await audit(lake)).breaches.length, 1);
  });

  it("says which days of an earlier version lack items, and finds no breach in them", async () => {
    for (const sk of ["TOP_TRACKS", "HOURS", "COUNTRIES"]) await lake.metric("DAY#2026-11-18", sk, undefined);
    const { code, breaches, information } = await audit(lake);
    assert.deepEqual([code, breaches], [0, []]);
    const said = information.filter(({ text }) => text.includes("lack top tracks, hours and countries"));
    assert.deepEqual(
      said.map(({ check, count }) => [check, count]),
      [["metrics", 1]],
    );
  });

  it("accepts a failed file that lies in incoming/ again as put back", async () => {
    await lake.remove(place("failed", { date: day, batchId: second, name: files.bad.name }));
    await lake.put(`${folders.incoming}${files.bad.name}`, bodyOf(files.bad));
    const { breaches, information } = await audit(lake);
    assert.deepEqual(breaches, []);
    assert.ok(information.some(({ text }) => text.includes(`back in ${folders.incoming} without a note`)));
  });

  it("finds no breach in a replay that is queued, is prepared, or ended before it ran", async () => {
    const batchId = "20261120T120000Z-CUTREPLA";
    const read = { name: "read.csv", listens: [["goes", "hit", "2026-11-20 04:00:00"]] } satisfies Given;
    await lake.archived(batchId, [read, files.empty]);
    // The replay leaves this listener out.
    const forgotten = place("forgotten", { userId: "goes" });
    await lake.put(forgotten, "{}");
    await lake.flush();
    await lake.turn("CLAIMS", { claims: 20 });
    const { item } = await lake.batch(batchId);
    const { settledAt, ...rest } = item;
    const asked = { ...rest, state: "REPLAY", replay: true };
    await lake.pipeline.putLedger(asked as Record<string, unknown>);
    await lake.turn(`QUEUE#${batchId}`, { batchId });
    const waiting = await audit(lake, "--deep");
    assert.deepEqual(waiting.breaches, []);
    assert.ok(waiting.information.some(({ text }) => text.includes("whose replay is queued or at work")));

    const key = place("manifest", { batchId });
    const manifest = await lake.document<Manifest>(key);
    const [first, other] = manifest.files as [ManifestFile, ManifestFile];
    const replay = { ...manifest, files: [{ ...first, key: archivedKey(batchId, read) }], notReplayed: [other] };
    await lake.put(key, JSON.stringify(replay));
    const prepared = { ...asked, prepared: true, files: 1, bytes: first.size };
    await lake.pipeline.putLedger(prepared as Record<string, unknown>);
    assert.deepEqual((await audit(lake, "--deep")).breaches, []);

    await lake.leaveQueue(batchId);
    await lake.ledger(item);
    assert.match((await audit(lake)).breaches[0]?.what ?? "", /forgotten listener/, "nothing will remove the row");
    await lake.remove(forgotten);
    const ended = await audit(lake, "--deep");
    assert.deepEqual(ended.breaches, []);
  });

  it("finds no breach in a replay that left a forgotten listener out", async () => {
    const batchId = "20261120T120000Z-LEFTOUTS";
    const read = { name: "read.csv", listens: [["u1", "hit", "2026-11-20 04:00:00"]] } satisfies Given;
    const gone = "goes,hit,2026-11-20 04:00:00";
    await lake.archived(batchId, [{ ...read, quarantinedRows: { forgotten: [gone] } }]);
    const rows = JSON.stringify({ key: `${folders.incoming}read.csv`, reason: "forgotten", raw: "" });
    await lake.put(`${place("quarantinedRows", { batchId })}part-0.json`, `${rows}\n`);
    await lake.put(place("forgotten", { userId: "goes" }), "{}");
    await lake.flush();
    await lake.turn("CLAIMS", { claims: 20 });
    assert.deepEqual((await audit(lake, "--deep")).breaches, []);
  });

  it("finds no breach in a file that S3 refused to move", async () => {
    const batchId = "20261120T130000Z-HELDFILE";
    const held = { name: "held.csv", listens: [["u1", "hit", "2026-11-20 05:00:00"]] } satisfies Given;
    await lake.failed(batchId, held, { moves: { moved: 0, quarantined: 0, left: 0, missing: 0, held: 1 } });
    await lake.remove(place("failed", { date: day, batchId, name: held.name }));
    await lake.put(`${folders.incoming}${held.name}`, bodyOf(held));
    await lake.turn("CLAIMS", { claims: 20 });
    assert.deepEqual((await audit(lake)).breaches, []);
  });

  it("finds no breach in an archived file that S3 refused to move", async () => {
    const batchId = "20261120T130000Z-HELDFILE";
    const held = { name: "held.csv", listens: [["u1", "hit", "2026-11-20 05:00:00"]] } satisfies Given;
    await lake.archived(batchId, [held], { moves: { moved: 0, quarantined: 0, left: 0, missing: 0, held: 1 } });
    await lake.remove(archivedKey(batchId, held));
    await lake.put(`${folders.incoming}${held.name}`, bodyOf(held));
    await lake.flush();
    await lake.turn("CLAIMS", { claims: 20 });
    for (const retriedAt of [undefined, "2026-11-20T14:00:00.000Z"]) {
      const { item } = await lake.batch(batchId);
      await lake.ledger({ ...item, ...(retriedAt ? { retriedAt } : {}) });
      assert.deepEqual((await audit(lake, "--deep")).breaches, []);
    }
  });

  it("deletes its folder when it is interrupted, and when it ends", async () => {
    const temporary = await mkdtemp(path.join(tmpdir(), "music-streams-audit-test-"));
    try {
      const run = (note: string) =>
        execa(
          process.execPath,
          [
            ...["--require", typescript, "--eval"],
            `const { exitCodeOf } = require("./terminal/terminal");
             const terminal = { out: () => {}, note: (line) => { ${note} }, interactive: false, env: process.env };
             const place = { root: ${JSON.stringify(lake.pipeline.root)}, cwd: "." };
             exitCodeOf(require("./cli/main").main, ["audit"], { ...terminal, ...place }).then((code) => { process.exitCode = code; });`,
          ],
          { cwd: root, env: { TMPDIR: temporary }, reject: false },
        );
      const cut = await run(
        'if (line.startsWith("rows")) { console.log(...require("node:fs").readdirSync(process.env.TMPDIR)); process.kill(process.pid, "SIGINT"); }',
      );
      assert.equal(cut.exitCode, 130, cut.stderr);
      assert.match(cut.stdout, /music-streams-audit-/);
      assert.doesNotMatch((await readdir(temporary)).join(), /music-streams/);
      const whole = await run("");
      assert.equal(whole.exitCode, 0, whole.stderr);
      assert.doesNotMatch((await readdir(temporary)).join(), /music-streams/);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  });
});
