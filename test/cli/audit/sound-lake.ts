import assert from "node:assert/strict";
import type { Breach, CheckName, Information } from "../../../cli/audit/findings";
import layout from "../../../layout.json";
import type { TransformReport } from "../../../runtime/batch";
import { place } from "../../../runtime/places";
import { folders } from "../../support/folders";
import { verb } from "../pipeline";
import { Lake } from "./lake";
import { at, bodyOf, type Given } from "./values";

const main = verb("audit");

export const [a, b, split, first, second, failed, again, replayed, lone] = [
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

export const files = {
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
    quarantinedRows: { missing_user_id: [",hit,2026-11-18 10:00:00"], bad_listen_time: ["u1,hit,\u2028soon"] },
  },
  noTable: { name: "no table.csv", quarantinedFile: { body: "one,two\n1,2\n", reason: "missing_columns" } },
  changed: { name: "changed.csv", listens: [["u9", "hit", "2026-11-18 09:00:00"]], overwritten: "before" },
  left: { name: "left.csv", listens: [["u4", "hit", "2026-11-19 08:00:00"]], overwritten: "after" },
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
  empty: { name: "empty.csv", quarantinedFile: { body: "\n", reason: "empty_file" } },
  lone: {
    ...{ name: "lone.csv", header: "Listener,track_id,listen_time" },
    listens: [["u1", "hit", "2026-11-20 01:00:00"]],
  },
} satisfies Record<string, Given>;

interface Audit {
  checks: { check: CheckName; looked: Record<string, number>; breaches: number }[];
  breaches: Breach[];
  information: Information[];
}

let lake: Promise<Lake> | undefined;

after(async () => (await lake)?.pipeline.close());

/** The sound pipeline that the audit's suites share. Each test restores it. */
export function soundLake(): Promise<Lake> {
  lake ??= build();
  return lake;
}

async function build(): Promise<Lake> {
  const lake = await Lake.start();
  await lake.archived(a, [files.a, files.noTable, files.changed, files.left]);
  await lake.archived(b, [files.b]);
  await lake.split(split, [files.half, files.bad], [first, second]);
  await lake.archived(first, [files.half], { parent: split });
  await lake.failed(second, files.bad, { parent: split });
  await lake.failed(failed, files.back, { retriedAt: at(failed, 8) });
  await lake.archived(again, [files.back]);
  await lake.archived(replayed, [files.r, files.empty]);
  await lake.archived(lone, [files.lone]);
  await lake.change<TransformReport>(place("transformReport", { batchId: lone }), (report) => ({
    ...report,
    columnNames: { user_id: ["user", "listener"] },
  }));
  await lake.replayed(replayed);
  await lake.turn("CLAIMS", { claims: lake.claims + 1 });
  await lake.put(`${folders.incoming}waits.csv`, bodyOf(files.half));
  // The same bytes came again.
  await lake.put(`${folders.incoming}half.csv`, bodyOf(files.half));
  await lake.put(place("manifest", { batchId: "20261120T090000Z-NOTHINGN" }), "{}");
  await lake.put(`${folders.archived}2026-11-20/`, "");
  for (const name of ["_temporary/0/part-0.parquet", "__magic_job-1/job-1/00/task_1.pendingset"])
    await lake.put(`${layout.listens}${name}`, "half");
  await lake.remove("scratch");
  await lake.flush();
  await lake.save();
  return lake;
}

/** Runs the audit on a lake. */
export async function audit(lake: Lake, ...options: string[]): Promise<Audit & { code: number }> {
  const { code, out, notes } = await lake.pipeline.run(main, "--json", ...options);
  assert.ok(out, notes.join("\n"));
  return { ...(JSON.parse(out) as Audit), code };
}

/** A breach to plant, and what the audit must find: by check, what every one of its breaches is. */
export interface Planted {
  title: string;
  plant: (lake: Lake) => Promise<unknown>;
  found: Record<string, RegExp>;
  deep?: true;
  /** Of every breach that it finds. */
  remedy?: RegExp;
}

/** Defines a test for each breach: the audit finds it and nothing else. */
export function finds(planted: Planted[]): void {
  let lake: Lake;
  before(async () => {
    lake = await soundLake();
  });
  afterEach(() => lake.restore());

  for (const { title, plant, found, deep, remedy } of planted)
    it(`finds ${title}, and nothing else`, async () => {
      await plant(lake);
      const { code, breaches, checks } = await audit(lake, ...(deep ? ["--deep"] : []));
      assert.equal(code, 1);
      const by = (check: string) => breaches.filter((breach) => breach.check === check);
      assert.deepEqual(
        [...new Set(breaches.map(({ check }) => check))].sort(),
        Object.keys(found).sort(),
        JSON.stringify(breaches),
      );
      for (const [check, what] of Object.entries(found))
        for (const breach of by(check)) assert.match(breach.what, what, JSON.stringify(breach));
      if (remedy)
        assert.ok(
          breaches.every((breach) => remedy.test(breach.remedy)),
          JSON.stringify(breaches),
        );
      for (const { check, breaches: count } of checks) assert.equal(count, by(check).length);
    });
}
