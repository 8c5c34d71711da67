import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import { main } from "../../cli/audit";
import type { Breach, CheckName, Information } from "../../cli/audit/findings";
import type { Batch, Manifest, ManifestFile, TransformReport } from "../../runtime/batch";
import { place } from "../../runtime/places";
import { root } from "../support/commands";
import { folders } from "../support/folders";
import { at, bodyOf, day, type Given, Lake, rowOf } from "./audit-lake";
import type { Said } from "./pipeline";

const [a, b, split, first, second, failed, again, replayed, lone] = [
  "20261120T100000Z-AAAAAAAA",
  "20261120T101000Z-BBBBBBBB",
  "20261120T102000Z-SPLITSSS",
  "20261120T102000Z-FIRSTHAL",
  "20261120T102000Z-SECONDHA",
  "20261120T103000Z-FAILEDFA",
  "20261120T104000Z-AGAINAGA",
  "20261120T105000Z-REPLAYED",
  "20261120T110000Z-LONELONE",
] as const;

const files = {
  a: {
    name: "a ü.csv",
    listens: [
      ["u1", "hit", "2026-11-18 10:00:00"],
      ["u1", "hit", "2026-11-18 10:05:00"],
      ["u2", "hit", "2026-11-18 10:00:00"],
      ["u2", "song", "2026-11-18 23:59:59.999999"],
      ["u3", "tune", "2026-11-19 00:00:00"],
      ["u3", "tune", "2026-11-19 00:00:00"],
    ],
    rejected: { missing_user_id: [",hit,2026-11-18 10:00:00"], bad_listen_time: ["u1,hit,\u2028soon"] },
  },
  noTable: { name: "no table.csv", unreadable: { body: "one,two\n1,2\n", reason: "missing_columns" } },
  changed: { name: "changed.csv", listens: [["u9", "hit", "2026-11-18 09:00:00"]], overwritten: "changed" },
  left: { name: "left.csv", listens: [["u4", "hit", "2026-11-19 08:00:00"]], overwritten: "left" },
  b: {
    name: `deep/${"long".repeat(240)}.csv`,
    listens: [
      ["u1", "hit", "2026-11-18 10:00:00"],
      ["u5", "song", "2026-11-18 11:00:00"],
      ["u5", "unknown", "2026-11-18 11:00:01"],
    ],
  },
  half: { name: "half.csv", listens: [["u6", "tune", "2026-11-19 06:00:00"]] },
  bad: { name: "bad.csv", listens: [["u7", "hit", "2026-11-19 07:00:00"]] },
  back: { name: "back.csv", listens: [["u8", "song", "2026-11-19 08:00:00"]] },
  r: { name: "r.csv", listens: [["u8", "hit", "2026-11-19 09:00:00"]] },
  empty: { name: "empty.csv", unreadable: { body: "\n", reason: "empty_file" } },
  lone: { name: "lone.csv", listens: [["u1", "hit", "2026-11-20 01:00:00"]] },
} satisfies Record<string, Given>;

interface Told {
  checks: { check: CheckName; looked: Record<string, number>; breaches: number }[];
  breaches: Breach[];
  information: Information[];
}

describe("npm run audit", function () {
  this.timeout(120_000);
  let lake: Lake;
  let empty: Said;

  before(async () => {
    lake = await Lake.start();
    empty = await lake.pipeline.run(main, "--deep");
    await lake.archived(a, [files.a, files.noTable, files.changed, files.left]);
    await lake.archived(b, [files.b]);
    await lake.split(split, [files.half, files.bad], [first, second]);
    await lake.archived(first, [files.half], { parent: split });
    await lake.failed(second, files.bad, { parent: split });
    await lake.failed(failed, files.back, { retriedAt: at(failed, 8) });
    await lake.archived(again, [files.back]);
    await lake.archived(replayed, [files.r, files.empty]);
    await lake.archived(lone, [files.lone]);
    await lake.replayed(replayed);
    await lake.turn("CLAIMS", { claims: lake.claims + 1 });
    await lake.put(`${folders.incoming}waits.csv`, bodyOf(files.half));
    // The same bytes came again.
    await lake.put(`${folders.incoming}half.csv`, bodyOf(files.half));
    await lake.put(place("manifest", { batchId: "20261120T090000Z-NOTHINGN" }), "{}");
    await lake.put(`${folders.archived}2026-11-20/`, "");
    await lake.remove("scratch");
    await lake.flush();
    await lake.save();
  });
  after(() => lake?.pipeline.close());
  afterEach(async () => {
    await lake.restore();
  });

  async function audit(...options: string[]): Promise<Told & { code: number }> {
    const { code, out, notes } = await lake.pipeline.run(main, "--json", ...options);
    assert.ok(out, notes.join("\n"));
    return { ...(JSON.parse(out) as Told), code };
  }

  it("finds no breach where nothing has ever been dropped", () => {
    assert.equal(empty.code, 0, empty.notes.join("\n"));
    assert.match(empty.out, /^✔ files +nothing there: no breach\n(✔ .*: no breach\n){5}No breach in 6 checks\.\n$/);
  });

  it("finds no breach in a sound pipeline with batches of every kind, and says what it looked at", async () => {
    const { code, checks, breaches, information } = await audit("--deep");
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
        ["deep", 1],
      ],
    );
  });

  it("takes each of many days for what it is, though their files are as long as each other's", async () => {
    const listens = Array.from({ length: 60 }, (_, n): [string, string, string] => {
      const date = new Date(Date.UTC(2026, 8, 1 + n)).toISOString().slice(0, 10);
      return [`v${100 + n}`, "hit", `${date} 10:00:00`];
    });
    await lake.archived("20261120T115000Z-MANYDAYS", [{ name: "days.csv", listens }]);
    await lake.flush();
    await lake.turn("CLAIMS", { claims: 20 });
    const { checks, breaches } = await audit("--deep");
    assert.deepEqual(breaches, []);
    assert.equal(checks.find(({ check }) => check === "curated")?.looked.days, 63);
  });

  it("tells a line a check, a line a breach with what to do, and a summary", async () => {
    const sound = await lake.pipeline.run(main);
    assert.equal(sound.code, 0);
    assert.match(
      sound.out,
      /^✔ files .*: no breach\n✔ ledger .*\n✔ reports .*\n✔ curated .*\n✔ metrics .*\nℹ .*\nNo breach in 5 checks\.\n$/,
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

  const archivedKey = (batchId: string, { name }: Given) => place("archived", { date: day, batchId, name });
  const curatedKey = (batchId: string, date: string) => `${place("listensBatch", { date, batchId })}part-0.parquet`;
  const change = async <Content extends object>(key: string, changed: (content: Content) => Content) =>
    void (await lake.put(key, JSON.stringify(changed(await lake.document<Content>(key)))));
  const changeBatch = async (batchId: string, changed: (batch: Batch) => Partial<Batch>) => {
    const { item } = await lake.batch(batchId);
    await lake.ledger({ ...item, ...changed(item) });
  };
  const changeItem = async (pk: string, sk: string, changed: (item: never) => object) => {
    const item = (await lake.scan(lake.outputs.metricsTableName)).get(`${pk} ${sk}`);
    assert.ok(item, `${pk} ${sk}`);
    await lake.metric(pk, sk, { ...item, ...changed(item as never) });
  };

  /** What is planted, and the breaches that must come of it: check and what, nothing else. */
  const planted: { title: string; plant: () => Promise<unknown>; found: Record<string, RegExp>; deep?: true }[] = [
    {
      title: "a file that lies in the archive and in failed/",
      plant: () => lake.put(place("failed", { date: day, batchId: a, name: files.a.name }), bodyOf(files.a)),
      found: { files: /two places/ },
    },
    {
      title: "a claimed version that is still in incoming/ after its batch",
      plant: async () => {
        await lake.put(`${folders.incoming}${files.lone.name}`, bodyOf(files.lone));
        await changeBatch(lone, () => ({ claimedAt: new Date(Date.now() + 3_600_000).toISOString() }));
      },
      found: { files: /still in incoming/ },
    },
    {
      title: "a failed batch's file that is still in incoming/",
      plant: async () => {
        await lake.put(`${folders.incoming}${files.bad.name}`, bodyOf(files.bad));
        await changeBatch(second, () => ({ claimedAt: new Date(Date.now() + 3_600_000).toISOString() }));
      },
      found: { files: /still in incoming/ },
    },
    {
      title: "a lost failed file whose name another file has",
      plant: async () => {
        await lake.remove(place("failed", { date: day, batchId: second, name: files.bad.name }));
        await lake.put(`${folders.incoming}${files.bad.name}`, "another");
      },
      found: { files: /lost/ },
    },
    {
      title: "a lost file",
      plant: () => lake.remove(archivedKey(b, files.b)),
      found: { files: /lost/ },
    },
    {
      title: "a lost file of a replayed batch",
      plant: () => lake.remove(archivedKey(replayed, files.r)),
      found: { files: /lost/ },
    },
    {
      title: "a lost failed file",
      plant: () => lake.remove(place("failed", { date: day, batchId: second, name: files.bad.name })),
      found: { files: /lost/ },
    },
    {
      title: "a lost file that was put back",
      plant: () => changeBatch(again, () => ({ claimedAt: at(failed, 1) })),
      found: { files: /put back is lost/ },
    },
    {
      title: "a file that was overwritten according to the ledger, and is archived all the same",
      plant: () => lake.put(archivedKey(a, files.left), bodyOf(files.left)),
      found: { files: /other moves/ },
    },
    {
      title: "an archived file of no batch",
      plant: () => lake.put(`${folders.archived}${day}/20261120T100500Z-STRANGER/x.csv`, "x"),
      found: { files: /of no batch/ },
    },
    {
      title: "an archived file on another day than its batch's",
      plant: () => lake.put(`${folders.archived}2026-11-21/${a}/x.csv`, "x"),
      found: { files: /of no batch/ },
    },
    {
      title: "a file below quarantine/files/ that no batch's manifest names",
      plant: () => lake.put(`${folders.quarantinedFiles}${day}/${b}/x.csv`, "x"),
      found: { files: /of no batch/ },
    },
    {
      title: "a file that was archived by two batches",
      plant: async () => {
        const from = (await lake.document<Manifest>(place("manifest", { batchId: lone }))).files[0]!;
        await lake.put(archivedKey(b, files.lone), bodyOf(files.lone));
        await change<Manifest>(place("manifest", { batchId: b }), (it) => ({ ...it, files: [...it.files, from] }));
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: b }));
        const more = { name: files.lone.name, rowsRead: 1, rowsKept: 0, rowsDuplicate: 1, rowsQuarantined: {} };
        const { item } = await lake.batch(b);
        const batch = { ...item, files: 2, bytes: item.bytes + from.size, moves: { ...item.moves!, moved: 2 } };
        const wider = {
          rowsRead: report.rowsRead + 1,
          rowsDuplicate: report.rowsDuplicate + 1,
          files: [...report.files, more],
        };
        await lake.ledger(await lake.report({ ...report, ...wider }, batch));
      },
      found: { files: /two batches/ },
    },
    {
      title: "a replayed batch whose file lies in another batch's folder",
      plant: () =>
        change<Manifest>(place("manifest", { batchId: replayed }), (it) => ({
          ...it,
          files: it.files.map((file) => ({ ...file, key: archivedKey(lone, files.lone) })),
        })),
      found: { files: /another batch's folder|of no batch|two places/ },
    },
    {
      title: "a file of another size",
      plant: () => lake.put(archivedKey(a, files.a), `${bodyOf(files.a)}u,t,2026-11-18 10:00:00\n`),
      found: { files: /another size/ },
    },
    {
      title: "a file of the same size with other bytes",
      plant: () => lake.put(archivedKey(lone, files.lone), bodyOf(files.lone).replace("u1", "u2")),
      found: { files: /other bytes/ },
    },
    {
      title: "IN_FLIGHT of a settled batch",
      plant: () => lake.turn("IN_FLIGHT", { batchId: a }),
      found: { ledger: /a turn of a batch that is settled/ },
    },
    {
      title: "a queued batch that the ledger does not know",
      plant: () => lake.turn("QUEUE#20261120T120000Z-UNKNOWNU", { batchId: "20261120T120000Z-UNKNOWNU" }),
      found: { ledger: /does not know/ },
    },
    {
      title: "a batch that is neither settled nor has a turn",
      plant: async () => {
        const manifest = { batchId: "20261120T120000Z-FORGOTTE", claimedAt: at(lone, 5), files: [] };
        await lake.put(place("manifest", manifest), JSON.stringify(manifest));
        const { item } = await lake.batch(lone);
        const fresh = {
          batchId: manifest.batchId,
          state: "CLAIMED" as const,
          version: 1,
          attempt: 1,
          files: 0,
          bytes: 0,
        };
        await lake.ledger({ ...fresh, claimedAt: item.claimedAt, updatedAt: item.updatedAt });
      },
      found: { ledger: /not one turn/ },
    },
    {
      title: "a SPLIT batch whose halves lost a file",
      plant: async () => {
        await change<Manifest>(place("manifest", { batchId: split }), (it) => ({
          ...it,
          files: [...it.files, { ...it.files[0]!, key: `${folders.incoming}third.csv`, name: "third.csv" }],
        }));
        await changeBatch(split, (it) => ({ files: 3, bytes: it.bytes + bodyOf(files.half).length }));
      },
      found: { ledger: /in neither half/ },
    },
    {
      title: "a SPLIT batch whose halves hold a file twice",
      plant: async () => {
        const half = await lake.document<Manifest>(place("manifest", { batchId: first }));
        const bad = await lake.document<Manifest>(place("manifest", { batchId: second }));
        await lake.put(
          place("manifest", { batchId: second }),
          JSON.stringify({ ...bad, files: [...bad.files, ...half.files] }),
        );
        await changeBatch(second, (it) => ({
          files: 2,
          bytes: it.bytes + half.files[0]!.size,
          moves: { ...it.moves!, missing: 1 },
        }));
      },
      found: { ledger: /that the other half has/ },
    },
    {
      title: "a SPLIT batch without halves",
      plant: () => changeBatch(split, () => ({ children: [] })),
      found: { ledger: /has no halves|in neither half/ },
    },
    {
      title: "a SPLIT batch whose half has another parent",
      plant: () => changeBatch(second, () => ({ parent: a })),
      found: { ledger: /not in the ledger as such|in neither half/ },
    },
    {
      title: "a manifest of another batch",
      plant: () => change<Manifest>(place("manifest", { batchId: second }), (it) => ({ ...it, batchId: a })),
      found: { ledger: /of another batch/ },
    },
    {
      title: "a count of claims that was set back",
      plant: () => lake.turn("CLAIMS", { claims: 8 }),
      found: { ledger: /claims is behind/ },
    },
    {
      title: "a batch that has two turns",
      plant: async () => {
        const { settledAt, moves, ...rest } = (await lake.batch(second)).item;
        await lake.pipeline.putLedger(rest as Record<string, unknown>);
        await lake.turn("QUEUE#1", { batchId: second });
        await lake.turn("QUEUE#2", { batchId: second });
      },
      found: { ledger: /not one turn/ },
    },
    {
      title: "an archived batch that does not say when it was settled",
      plant: async () => {
        const { item } = await lake.batch(lone);
        const { settledAt, ...rest } = item;
        await lake.pipeline.putLedger(rest as Record<string, unknown>);
      },
      found: { ledger: /not sound|not one turn/, curated: /not archived/ },
    },
    {
      title: "a count of files that is not the manifest's",
      plant: () => changeBatch(b, () => ({ files: 2 })),
      found: { ledger: /count differently/ },
    },
    {
      title: "a missing manifest",
      plant: () => lake.remove(place("manifest", { batchId: b })),
      found: { ledger: /no manifest/ },
    },
    {
      title: "documents of a batch that the ledger does not know",
      plant: () => lake.put(place("transformReport", { batchId: "20261120T090000Z-NOTHINGN" }), "{}"),
      found: { ledger: /does not know/ },
    },
    {
      title: "a report that doesn't add up",
      plant: () =>
        change<TransformReport>(place("transformReport", { batchId: b }), (it) => ({
          ...it,
          rowsRead: it.rowsRead + 1,
        })),
      found: { reports: /add up/ },
    },
    {
      title: "a report that is missing",
      plant: () => lake.remove(place("transformReport", { batchId: b })),
      found: { reports: /report is missing/ },
    },
    {
      title: "a report of another run",
      plant: () => changeBatch(b, () => ({ workflowRunId: "wr_other" })),
      found: { reports: /don't belong to the run/ },
    },
    {
      title: "reasons of quarantined rows that differ between a report's files and its total",
      plant: async () => {
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: a }));
        const files = report.files.map((file, index) => (index ? file : { ...file, rowsQuarantined: { bad_id: 2 } }));
        await lake.ledger(await lake.report({ ...report, files }, (await lake.batch(a)).item));
      },
      found: { reports: /reasons of quarantined rows/ },
    },
    {
      title: "a day that the report names and touched.json does not",
      plant: async () => {
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: b }));
        const days = [...report.days, "2026-11-19"];
        await lake.ledger(await lake.report({ ...report, days }, (await lake.batch(b)).item));
      },
      found: { reports: /name other days/ },
    },
    {
      title: "a ledger that says something else than the report",
      plant: () => changeBatch(b, (it) => ({ report: { ...it.report!, rowsDuplicate: 0 } })),
      found: { reports: /ledger's report differs/ },
    },
    {
      title: "quarantined rows that are missing",
      plant: () => lake.remove(`${place("quarantinedRows", { batchId: a })}part-0.json`),
      found: { reports: /rows that were quarantined/ },
    },
    {
      title: "a quarantined row under another reason",
      plant: async () => {
        const key = `${place("quarantinedRows", { batchId: a })}part-0.json`;
        const rows = Buffer.from(await lake.bytes(key)).toString();
        await lake.put(key, rows.replace("missing_user_id", "missing_track_id"));
      },
      found: { reports: /rows that were quarantined/ },
    },
    {
      title: "a missing curated file",
      plant: async () => {
        await lake.remove(curatedKey(lone, "2026-11-20"));
        for (const [, { pk, sk }] of await lake.scan(lake.outputs.metricsTableName))
          if (`${pk}${sk}`.includes("2026-11-20")) await lake.metric(pk as string, sk as string, undefined);
      },
      found: { reports: /rows that were kept/ },
    },
    {
      title: "a FAILED batch's curated rows that are left",
      plant: async () => {
        const key = curatedKey(second, "2026-11-19");
        await lake.put(key, await lake.bytes(curatedKey(first, "2026-11-19")));
        await lake.flush(
          [{ key, rows: files.bad.listens.map((one) => rowOf(one as never)) }],
          [{ batchId: second, days: ["2026-11-19"] }],
        );
      },
      found: { curated: /not archived/ },
    },
    {
      title: "a FAILED batch's rejected rows that are left",
      plant: () => lake.put(`${place("quarantinedRows", { batchId: second })}part-0.json`, '{"reason": "bad_id"}\n'),
      found: { curated: /not archived/ },
    },
    {
      title: "a FAILED batch's copies that are left",
      plant: () => lake.put(`${place("staged", { batchId: second })}wr/streams/newline/000000.csv`, "x"),
      found: { curated: /copies of a batch/ },
    },
    {
      title: "a listen that two batches have",
      plant: async () => {
        const rows = [...files.b.listens.slice(1), files.a.listens[2]].map((one) => rowOf(one as never));
        await lake.flush([{ key: curatedKey(b, "2026-11-18"), rows }], [{ batchId: b, days: ["2026-11-18"] }]);
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: b }));
        const kept = { rowsKept: report.rowsKept + 1, rowsDuplicate: report.rowsDuplicate - 1 };
        const wider = { ...report, ...kept, files: [{ ...report.files[0]!, ...kept }] };
        await lake.ledger(await lake.report(wider, (await lake.batch(b)).item));
      },
      found: { curated: /more than once/ },
    },
    {
      title: "a curated row on another day",
      plant: async () => {
        const rows = [["u1", "hit", "2026-11-21 00:00:00"]].map((one) => rowOf(one as never));
        await lake.flush([{ key: curatedKey(lone, "2026-11-20"), rows }], []);
      },
      found: { curated: /another day/ },
    },
    {
      title: "a curated file on a day that its batch does not name",
      plant: async () => {
        await change<object>(place("touched", { batchId: lone }), () => ({ days: [] }));
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: lone }));
        await lake.ledger(await lake.report({ ...report, days: [] }, (await lake.batch(lone)).item));
      },
      found: { curated: /does not name/ },
    },
    {
      title: "a curated file that is no Parquet",
      plant: async () => {
        const key = curatedKey(lone, "2026-11-20");
        const whole = await lake.bytes(key);
        await lake.put(key, whole.subarray(0, whole.length - 10));
        for (const [, { pk, sk }] of await lake.scan(lake.outputs.metricsTableName))
          if (`${pk}${sk}`.includes("2026-11-20")) await lake.metric(pk as string, sk as string, undefined);
      },
      found: { curated: /can't be read/, reports: /rows that were kept/ },
    },
    {
      title: "an object below curated/ that is no curated file",
      plant: () => lake.put(`${folders.listens}listen_date=2026-11-18/part-0.parquet`, "x"),
      found: { curated: /no curated file/ },
    },
    {
      title: "a changed metric",
      plant: () => changeItem("TRACK#hit", "DAY#2026-11-18", () => ({ listens: 4 })),
      found: { metrics: /an item differs/ },
    },
    {
      title: "a missing item",
      plant: () => lake.metric("GENRE#rock", "DAY#2026-11-19", undefined),
      found: { metrics: /is missing/ },
    },
    {
      title: "an item too many",
      plant: () => changeItem("TRACK#hit", "DAY#2026-11-18", () => ({ pk: "TRACK#nobody" })),
      found: { metrics: /too many/ },
    },
    {
      title: "an item with keys that no metric has",
      plant: () => lake.metric("TRACK#hit", "TOTAL", { listens: 1 }),
      found: { metrics: /too many/ },
    },
    {
      title: "ranks in a wrong order",
      plant: () =>
        changeItem("DAY#2026-11-18", "TOP_GENRES", ({ genres }: { genres: object[] }) => ({
          genres: [...genres].reverse(),
        })),
      found: { metrics: /an item differs/ },
    },
    {
      title: "an item that no batch published",
      plant: () => changeItem("DAY#2026-11-18", "SUMMARY", () => ({ batch_id: "20200101T000000Z-AAAAAAAA" })),
      found: { metrics: /who published it/ },
    },
    {
      title: "a listen in the archive that isn't curated",
      plant: async () => {
        // One of the same size, so that only its rows tell.
        const other = bodyOf(files.lone).replace("u1", "u2");
        const etag = await lake.put(archivedKey(lone, files.lone), other);
        const claimed = (it: Manifest) => ({ ...it, files: it.files.map((file) => ({ ...file, etag })) });
        await change<Manifest>(place("manifest", { batchId: lone }), claimed);
      },
      found: { deep: /an archived listen is not curated|in no archived file/ },
      deep: true,
    },
    {
      title: "a curated listen that no archived file holds",
      plant: async () => {
        const rows = [files.lone.listens[0], ["u9", "hit", "2026-11-20 02:00:00"]].map((one) => rowOf(one as never));
        await lake.flush([{ key: curatedKey(lone, "2026-11-20"), rows }], [{ batchId: lone, days: ["2026-11-20"] }]);
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: lone }));
        const kept = { rowsRead: 2, rowsKept: 2 };
        const wider = { ...report, ...kept, files: [{ ...report.files[0]!, ...kept }] };
        await lake.ledger(await lake.report(wider, (await lake.batch(lone)).item));
      },
      found: { deep: /in no archived file/ },
      deep: true,
    },
    {
      title: "an archived file that is no table",
      plant: async () => {
        const body = `${"x".repeat(bodyOf(files.lone).length - 1)}\n`;
        const etag = await lake.put(archivedKey(lone, files.lone), body);
        await change<Manifest>(place("manifest", { batchId: lone }), (it) => ({
          ...it,
          files: it.files.map((file) => ({ ...file, etag })),
        }));
      },
      found: { deep: /no table|in no archived file/ },
      deep: true,
    },
    {
      title: "a file in quarantine that is a table",
      plant: async () => {
        const body = bodyOf({ name: "", listens: [["u1", "hit", "2026-11-18 10:00:00"]] });
        const key = place("quarantinedFile", { date: day, batchId: a, name: files.noTable.name });
        const etag = await lake.put(key, body);
        await change<Manifest>(place("manifest", { batchId: a }), (it) => ({
          ...it,
          files: it.files.map((file) =>
            file.name === files.noTable.name ? { ...file, etag, size: body.length } : file,
          ),
        }));
        await changeBatch(a, (it) => ({ bytes: it.bytes + body.length - files.noTable.unreadable.body.length }));
      },
      found: { deep: /not what was reported/ },
      deep: true,
    },
  ];

  for (const { title, plant, found, deep } of planted)
    it(`finds ${title}, and nothing else`, async () => {
      await plant();
      const { code, breaches, checks } = await audit(...(deep ? ["--deep"] : []));
      assert.equal(code, 1);
      const by = (check: string) => breaches.filter((breach) => breach.check === check);
      assert.deepEqual(
        [...new Set(breaches.map(({ check }) => check))].sort(),
        Object.keys(found).sort(),
        JSON.stringify(breaches),
      );
      for (const [check, what] of Object.entries(found))
        for (const breach of by(check)) assert.match(breach.what, what, JSON.stringify(breach));
      for (const { check, breaches: count } of checks) assert.equal(count, by(check).length);
    });

  it("tells both sides of an archive whose rows were exchanged", async () => {
    await planted.find(({ title }) => title === "a listen in the archive that isn't curated")!.plant();
    const { breaches } = await audit("--deep");
    assert.deepEqual(
      breaches.map(({ what, where }) => [what, where.slice(0, 2)]),
      [
        ["an archived listen is not curated", "u2"],
        ["a curated listen is in no archived file", "u1"],
      ],
    );
  });

  it("leaves out what a batch in flight may have done by half, and says so", async () => {
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
    const before = await audit();
    assert.equal(before.code, 1, "not in flight, it is a breach");
    await lake.turn("IN_FLIGHT", { batchId });
    await lake.turn("CLAIMS", { claims: 20 });
    const { code, breaches, information } = await audit("--deep");
    assert.deepEqual(breaches, []);
    assert.equal(code, 0);
    assert.ok(
      information.some(({ text }) =>
        text.includes(`${batchId} is not audited (PROCESSED, in flight), and the rows and metrics of its 1 days`),
      ),
    );
    assert.ok(information.some(({ check, count }) => check === "metrics" && count > 0));
    // Another day is audited all the same.
    await changeItem("TRACK#hit", "DAY#2026-11-18", () => ({ listens: 4 }));
    assert.equal((await audit()).breaches.length, 1);
  });

  it("takes a failed file that lies in incoming/ again for put back", async () => {
    await lake.remove(place("failed", { date: day, batchId: second, name: files.bad.name }));
    await lake.put(`${folders.incoming}${files.bad.name}`, bodyOf(files.bad));
    const { breaches, information } = await audit();
    assert.deepEqual(breaches, []);
    assert.ok(information.some(({ text }) => text.includes("back in incoming/ without a note")));
  });

  it("finds nothing wrong with a replay that waits for its turn, is prepared, or ended before it ran", async () => {
    const batchId = "20261120T120000Z-CUTREPLA";
    const read = { name: "read.csv", listens: [["u1", "hit", "2026-11-20 04:00:00"]] } satisfies Given;
    await lake.archived(batchId, [read, files.empty]);
    await lake.flush();
    await lake.turn("CLAIMS", { claims: 20 });
    const { item } = await lake.batch(batchId);
    const { settledAt, ...rest } = item;
    const asked = { ...rest, state: "REPLAY", replay: true };
    await lake.pipeline.putLedger(asked as Record<string, unknown>);
    await lake.turn(`QUEUE#${batchId}`, { batchId });
    const waiting = await audit("--deep");
    assert.deepEqual(waiting.breaches, []);
    assert.ok(waiting.information.some(({ text }) => text.includes("wait for their replay")));

    const key = place("manifest", { batchId });
    const manifest = await lake.document<Manifest>(key);
    const [first, other] = manifest.files as [ManifestFile, ManifestFile];
    const replay = { ...manifest, files: [{ ...first, key: archivedKey(batchId, read) }], notReplayed: [other] };
    await lake.put(key, JSON.stringify(replay));
    const prepared = { ...asked, prepared: true, files: 1, bytes: first.size };
    await lake.pipeline.putLedger(prepared as Record<string, unknown>);
    assert.deepEqual((await audit("--deep")).breaches, []);

    await lake.leaveQueue(batchId);
    await lake.ledger(item);
    const ended = await audit("--deep");
    assert.deepEqual(ended.breaches, []);
  });

  it("finds nothing wrong with a file that S3 did not let go", async () => {
    const batchId = "20261120T130000Z-HELDFILE";
    const held = { name: "held.csv", listens: [["u1", "hit", "2026-11-20 05:00:00"]] } satisfies Given;
    await lake.failed(batchId, held, { moves: { moved: 0, quarantined: 0, left: 0, missing: 0, held: 1 } });
    await lake.remove(place("failed", { date: day, batchId, name: held.name }));
    await lake.put(`${folders.incoming}${held.name}`, bodyOf(held));
    await lake.turn("CLAIMS", { claims: 20 });
    assert.deepEqual((await audit()).breaches, []);
  });

  it("removes its folder when it is interrupted, and when it has ended", async () => {
    const temporary = await mkdtemp(path.join(tmpdir(), "music-streams-audit-test-"));
    try {
      const run = (note: string) =>
        execa(
          process.execPath,
          [
            ...["--require", "ts-node/register/transpile-only", "--eval"],
            `const { exitCodeOf } = require("./terminal/terminal");
             const terminal = { out: () => {}, note: (line) => { ${note} }, interactive: false, env: process.env };
             const place = { root: ${JSON.stringify(lake.pipeline.root)}, cwd: "." };
             exitCodeOf(require("./cli/audit").main, [], { ...terminal, ...place }).then((code) => { process.exitCode = code; });`,
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
