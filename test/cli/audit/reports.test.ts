import type { TransformReport } from "../../../runtime/batch";
import { place } from "../../../runtime/places";
import { a, b, finds, lone } from "./sound-lake";
import { curatedKey } from "./values";

describe("npm run audit: reports", () => {
  finds([
    {
      title: "a report that doesn't add up",
      plant: (lake) =>
        lake.change<TransformReport>(place("transformReport", { batchId: b }), (it) => ({
          ...it,
          rowsRead: it.rowsRead + 1,
        })),
      found: { reports: /add up/ },
    },
    {
      title: "a report that is missing",
      plant: (lake) => lake.remove(place("transformReport", { batchId: b })),
      found: { reports: /report is missing/ },
    },
    {
      title: "a report of another run",
      plant: (lake) => lake.changeBatch(b, () => ({ workflowRunId: "wr_other" })),
      found: { reports: /don't belong to the run/ },
    },
    {
      title: "reasons of quarantined rows that differ between a report's files and its total",
      plant: async (lake) => {
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: a }));
        const files = report.files.map((file, index) => (index ? file : { ...file, rowsQuarantined: { bad_id: 2 } }));
        await lake.ledger(await lake.report({ ...report, files }, (await lake.batch(a)).item));
      },
      found: { reports: /reasons of quarantined rows/ },
    },
    {
      title: "a day that the report names and touched.json does not",
      plant: async (lake) => {
        const report = await lake.document<TransformReport>(place("transformReport", { batchId: b }));
        const days = [...report.days, "2026-11-19"];
        await lake.ledger(await lake.report({ ...report, days }, (await lake.batch(b)).item));
      },
      found: { reports: /name other days/ },
    },
    {
      title: "a ledger that differs from the report",
      plant: (lake) => lake.changeBatch(b, (it) => ({ report: { ...it.report!, rowsDuplicate: 0 } })),
      found: { reports: /ledger's report differs/ },
    },
    {
      title: "quarantined rows that are missing",
      plant: (lake) => lake.remove(`${place("quarantinedRows", { batchId: a })}part-0.json`),
      found: { reports: /rows quarantined/ },
    },
    {
      title: "a quarantined row under another reason",
      plant: async (lake) => {
        const key = `${place("quarantinedRows", { batchId: a })}part-0.json`;
        const rows = Buffer.from(await lake.bytes(key)).toString();
        await lake.put(key, rows.replace("missing_user_id", "missing_track_id"));
      },
      found: { reports: /rows quarantined/ },
    },
    {
      title: "a missing curated file",
      plant: async (lake) => {
        await lake.remove(curatedKey(lone, "2026-11-20"));
        for (const [, { pk, sk }] of await lake.scan(lake.outputs.metricsTableName))
          if (`${pk}${sk}`.includes("2026-11-20")) await lake.metric(pk as string, sk as string, undefined);
      },
      found: { reports: /rows kept/ },
    },
  ]);
});
