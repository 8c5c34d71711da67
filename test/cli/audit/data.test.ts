import type { Manifest, TransformReport } from "../../../runtime/batch";
import { place } from "../../../runtime/places";
import { folders } from "../../support/folders";
import type { Lake } from "./lake";
import { a, b, files, finds, first, lone, second } from "./sound-lake";
import { archivedKey, bodyOf, curatedKey, day, rowOf } from "./values";

describe("npm run audit: rows and metrics", () => {
  finds([
    {
      title: "a FAILED batch's curated rows that remain",
      plant: async (lake) => {
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
      title: "a FAILED batch's quarantined rows that remain",
      plant: (lake) =>
        lake.put(`${place("quarantinedRows", { batchId: second })}part-0.json`, '{"reason": "bad_id"}\n'),
      found: { curated: /not archived/ },
    },
    {
      title: "a FAILED batch's copies that remain",
      plant: (lake) => lake.put(`${place("staged", { batchId: second })}wr/streams/newline/000000.csv`, "x"),
      found: { curated: /copies of a batch/ },
    },
    {
      title: "a forgotten listener's curated rows",
      plant: (lake) => lake.put(place("forgotten", { userId: "u5" }), "{}"),
      found: { curated: /a forgotten listener has curated rows/ },
      remedy: /^npx music-streams forget u5$/,
    },
    {
      title: "a forgotten listener's curated rows, and not that the archive lacks them, with --deep",
      plant: (lake) => lake.put(place("forgotten", { userId: "u5" }), "{}"),
      found: { curated: /a forgotten listener has curated rows/ },
      deep: true,
    },
    {
      title: "a forgotten listener in the text of a quarantined row",
      plant: (lake) => lake.put(place("forgotten", { userId: "soon" }), "{}"),
      found: { curated: /a quarantined row names a forgotten listener/ },
      remedy: /^npx music-streams forget soon$/,
    },
    {
      title: "a listen that two batches have",
      plant: async (lake) => {
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
      title: "an archived file whose header has no names that its run took",
      plant: (lake) =>
        lake.change<TransformReport>(place("transformReport", { batchId: lone }), (report) => ({
          ...report,
          columnNames: { user_id: ["user"] },
        })),
      deep: true,
      found: { deep: /holds no readable table|not in the archive|no archived/ },
    },
    {
      title: "a curated row on another day",
      plant: async (lake) => {
        const rows = [["u1", "hit", "2026-11-21 01:00:00"]].map((one) => rowOf(one as never));
        await lake.flush([{ key: curatedKey(lone, "2026-11-20"), rows }], []);
      },
      found: { curated: /another day/ },
    },
    {
      title: "a curated file on a day that its batch does not name",
      plant: async (lake) => {
        await lake.change<object>(place("touched", { batchId: lone }), () => ({ days: [] }));
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: lone }));
        await lake.ledger(await lake.report({ ...report, days: [] }, (await lake.batch(lone)).item));
      },
      found: { curated: /does not name/ },
    },
    {
      title: "a curated file that is no Parquet",
      plant: async (lake) => {
        const key = curatedKey(lone, "2026-11-20");
        const whole = await lake.bytes(key);
        await lake.put(key, whole.subarray(0, whole.length - 10));
        for (const [, { pk, sk }] of await lake.scan(lake.outputs.metricsTableName))
          if (`${pk}${sk}`.includes("2026-11-20")) await lake.metric(pk as string, sk as string, undefined);
      },
      found: { curated: /can't be read/, reports: /rows kept/ },
    },
    {
      title: "an object below curated/ that is no curated file",
      plant: (lake) => lake.put(`${folders.listens}listen_date=2026-11-18/part-0.parquet`, "x"),
      found: { curated: /no curated file/ },
    },
    {
      title: "a changed metric",
      plant: (lake) => lake.changeItem("TRACK#hit", "DAY#2026-11-18", () => ({ listens: 4 })),
      found: { metrics: /an item differs/ },
    },
    {
      title: "a missing item",
      plant: (lake) => lake.metric("GENRE#rock", "DAY#2026-11-19", undefined),
      found: { metrics: /is missing/ },
    },
    {
      title: "an item too many",
      plant: (lake) => lake.changeItem("TRACK#hit", "DAY#2026-11-18", () => ({ pk: "TRACK#nobody" })),
      found: { metrics: /too many/ },
    },
    {
      title: "an item with keys that no metric has",
      plant: (lake) => lake.metric("TRACK#hit", "TOTAL", { listens: 1 }),
      found: { metrics: /too many/ },
    },
    {
      title: "ranks in a wrong order",
      plant: (lake) =>
        lake.changeItem("DAY#2026-11-18", "TOP_GENRES", ({ genres }: { genres: object[] }) => ({
          genres: [...genres].reverse(),
        })),
      found: { metrics: /an item differs/ },
    },
    ...["TOP_TRACKS", "HOURS", "COUNTRIES"].flatMap((sk) => [
      {
        title: `a day's ${sk} with a wrong number`,
        plant: (lake: Lake) =>
          lake.changeItem("DAY#2026-11-18", sk, (item: Record<string, { listens: number }[]>) => {
            const [name, entries] = Object.entries(item).find(([, value]) => Array.isArray(value))!;
            return { [name]: entries.with(0, { ...entries[0]!, listens: 99 }) };
          }),
        found: { metrics: /an item differs/ },
      },
      {
        title: `a missing ${sk} of a day that has the others`,
        plant: (lake: Lake) => lake.metric("DAY#2026-11-18", sk, undefined),
        found: { metrics: /is missing/ },
      },
    ]),
    {
      title: "a day's items that are all gone",
      plant: async (lake) => {
        for (const sk of ["SUMMARY", "TOP_GENRES", "TOP_TRACKS", "HOURS", "COUNTRIES"])
          await lake.metric("DAY#2026-11-18", sk, undefined);
      },
      found: { metrics: /is missing/ },
    },
    {
      title: "countries in a wrong order",
      plant: (lake) =>
        lake.changeItem("DAY#2026-11-18", "COUNTRIES", ({ countries }: { countries: object[] }) => ({
          countries: [...countries].reverse(),
        })),
      found: { metrics: /an item differs/ },
    },
    {
      title: "an item that no batch published",
      plant: (lake) => lake.changeItem("DAY#2026-11-18", "SUMMARY", () => ({ batch_id: "20200101T000000Z-AAAAAAAA" })),
      found: { metrics: /which batch published it/ },
    },
    {
      title: "an item that the index has at a wrong place",
      plant: (lake) => lake.changeItem("GENRE#rock", "DAY#2026-11-19", () => ({ listed_in: "GENRES#2026-11-18" })),
      found: { metrics: /listed where it does not belong/ },
    },
    {
      title: "a track that is listed",
      plant: (lake) => lake.changeItem("TRACK#hit", "DAY#2026-11-18", () => ({ listed_in: "DAYS" })),
      found: { metrics: /listed where it does not belong/ },
    },
    {
      title: "a listen in the archive that isn't curated",
      plant: async (lake) => {
        // It has the same size, so only its rows differ.
        const other = bodyOf(files.lone).replace("u1", "u2");
        const etag = await lake.put(archivedKey(lone, files.lone), other);
        const claimed = (it: Manifest) => ({ ...it, files: it.files.map((file) => ({ ...file, etag })) });
        await lake.change<Manifest>(place("manifest", { batchId: lone }), claimed);
      },
      found: { deep: /an archived listen is not curated|in no archived file/ },
      deep: true,
    },
    {
      title: "a curated listen that no archived file holds",
      plant: async (lake) => {
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
      title: "an archived file that holds no readable table",
      plant: async (lake) => {
        const body = `${"x".repeat(bodyOf(files.lone).length - 1)}\n`;
        const etag = await lake.put(archivedKey(lone, files.lone), body);
        await lake.change<Manifest>(place("manifest", { batchId: lone }), (it) => ({
          ...it,
          files: it.files.map((file) => ({ ...file, etag })),
        }));
      },
      found: { deep: /no readable table|in no archived file/ },
      deep: true,
    },
    {
      title: "a quarantined file that holds a readable table",
      plant: async (lake) => {
        const body = bodyOf({ name: "", listens: [["u1", "hit", "2026-11-18 10:00:00"]] });
        const key = place("quarantinedFile", { date: day, batchId: a, name: files.noTable.name });
        const etag = await lake.put(key, body);
        await lake.change<Manifest>(place("manifest", { batchId: a }), (it) => ({
          ...it,
          files: it.files.map((file) =>
            file.name === files.noTable.name ? { ...file, etag, size: body.length } : file,
          ),
        }));
        await lake.changeBatch(a, (it) => ({
          bytes: it.bytes + body.length - files.noTable.quarantinedFile.body.length,
        }));
      },
      found: { deep: /not what was reported/ },
      deep: true,
    },
  ]);
});
