import type { Manifest, TransformReport } from "../../../runtime/batch";
import { place } from "../../../runtime/places";
import { folders } from "../../support/folders";
import { a, again, b, failed, files, finds, lone, replayed, second } from "./sound-lake";
import { archivedKey, at, bodyOf, day } from "./values";

describe("npm run audit: files", () => {
  finds([
    {
      title: "a file that lies in the archive and in failed/",
      plant: (lake) => lake.put(place("failed", { date: day, batchId: a, name: files.a.name }), bodyOf(files.a)),
      found: { files: /two places/ },
    },
    {
      title: "a claimed version that is still in incoming/ after its batch",
      plant: async (lake) => {
        await lake.put(`${folders.incoming}${files.lone.name}`, bodyOf(files.lone));
        await lake.changeBatch(lone, () => ({ claimedAt: new Date(Date.now() + 3_600_000).toISOString() }));
      },
      found: { files: new RegExp(`still in ${folders.incoming}`) },
    },
    {
      title: "a failed batch's file that is still in incoming/",
      plant: async (lake) => {
        await lake.put(`${folders.incoming}${files.bad.name}`, bodyOf(files.bad));
        await lake.changeBatch(second, () => ({ claimedAt: new Date(Date.now() + 3_600_000).toISOString() }));
      },
      found: { files: new RegExp(`still in ${folders.incoming}`) },
    },
    {
      title: "a lost failed file whose name another file has",
      plant: async (lake) => {
        await lake.remove(place("failed", { date: day, batchId: second, name: files.bad.name }));
        await lake.put(`${folders.incoming}${files.bad.name}`, "another");
      },
      found: { files: /lost/ },
    },
    {
      title: "a lost file",
      plant: (lake) => lake.remove(archivedKey(b, files.b)),
      found: { files: /lost/ },
    },
    {
      title: "a lost file of a replayed batch",
      plant: (lake) => lake.remove(archivedKey(replayed, files.r)),
      found: { files: /lost/ },
    },
    {
      title: "a lost failed file",
      plant: (lake) => lake.remove(place("failed", { date: day, batchId: second, name: files.bad.name })),
      found: { files: /lost/ },
    },
    {
      title: "a lost file that was put back",
      plant: (lake) => lake.changeBatch(again, () => ({ claimedAt: at(failed, 1) })),
      found: { files: /put back is lost/ },
    },
    {
      title: "a file that is archived, though the ledger counts it as changed",
      plant: (lake) => lake.put(archivedKey(a, files.left), bodyOf(files.left)),
      found: { files: /other moves/ },
    },
    {
      title: "an archived file of no batch",
      plant: (lake) => lake.put(`${folders.archived}${day}/20261120T100500Z-STRANGER/x.csv`, "x"),
      found: { files: /of no batch/ },
    },
    {
      title: "an archived file on another day than its batch's",
      plant: (lake) => lake.put(`${folders.archived}2026-11-21/${a}/x.csv`, "x"),
      found: { files: /of no batch/ },
    },
    {
      title: "a file below quarantine/files/ that no batch's manifest names",
      plant: (lake) => lake.put(`${folders.quarantinedFiles}${day}/${b}/x.csv`, "x"),
      found: { files: /of no batch/ },
    },
    {
      title: "a file that was archived by two batches",
      plant: async (lake) => {
        const from = (await lake.document<Manifest>(place("manifest", { batchId: lone }))).files[0]!;
        await lake.put(archivedKey(b, files.lone), bodyOf(files.lone));
        await lake.change<Manifest>(place("manifest", { batchId: b }), (it) => ({ ...it, files: [...it.files, from] }));
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
      plant: (lake) =>
        lake.change<Manifest>(place("manifest", { batchId: replayed }), (it) => ({
          ...it,
          files: it.files.map((file) => ({ ...file, key: archivedKey(lone, files.lone) })),
        })),
      found: { files: /another batch's folder|of no batch|two places/ },
    },
    {
      title: "a file of another size",
      plant: (lake) => lake.put(archivedKey(a, files.a), `${bodyOf(files.a)}u,t,2026-11-18 10:00:00\n`),
      found: { files: /another size/ },
    },
    {
      title: "a file of the same size with other bytes",
      plant: (lake) => lake.put(archivedKey(lone, files.lone), bodyOf(files.lone).replace("u1", "u2")),
      found: { files: /other bytes/ },
    },
  ]);
});
