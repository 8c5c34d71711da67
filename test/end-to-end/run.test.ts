import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { GetTableCommand } from "@aws-sdk/client-glue";
import { execa } from "execa";
import { readDataFolder, uploadAll } from "../../cli/start/load";
import layout from "../../layout.json";
import { oracle, root } from "../support/commands";
import { deployedPermissions, recordedCalls } from "../support/deployed-permissions";
import { folders } from "../support/folders";
import { differences } from "../support/permissions";
import { LivePipeline } from "./live-pipeline";

/** The one end-to-end run of `npm test`. The others in this folder are part of `npm run test:all`. */
describe("a run of the whole program", () => {
  let live: LivePipeline;

  before(async () => {
    live = await LivePipeline.start();
  });
  after(() => live?.close());

  it("turns CSVs into the metrics that the oracle computes, and archives them byte for byte", async () => {
    const files = (await readDataFolder(live.data)).streams;
    await uploadAll(live.target.s3, live.bucket, files);
    const batches = await live.settled();
    assert.ok(batches.length > 0 && batches.every(({ state }) => state === "ARCHIVED"), JSON.stringify(batches));
    assert.equal(await live.metrics(), await oracle(live.data));
    assert.deepEqual(await live.keys(layout.incoming), []);
    const settled = [...(await live.keys(folders.archived)), ...(await live.keys(folders.quarantinedFiles))];
    for (const { key, file } of files) {
      const moved = settled.filter((one) => one.endsWith(`/${key.slice(layout.incoming.length)}`));
      assert.equal(moved.length, 1, key);
      assert.deepEqual(await live.bytes(moved[0]!), await readFile(file));
    }
  });

  it("answers the manual's queries through the catalog's table, with the metrics' numbers", async () => {
    const { Table } = await live.glue.send(
      new GetTableCommand({ DatabaseName: String(live.cloud.outputs.catalogDatabaseName), Name: "listens" }),
    );
    const location = Table!.StorageDescriptor!.Location!.replace(`s3://${live.bucket}/`, "");
    const copy = path.join(live.folder, "curated");
    for (const key of await live.keys(location)) {
      const file = path.join(copy, key.slice(location.length));
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, await live.bytes(key));
    }
    const items: Record<string, string | number>[] = (await live.metrics())
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const days = items.filter(({ sk }) => sk === "SUMMARY");
    const busiest = days.reduce((one, other) => (Number(other.listens) > Number(one.listens) ? other : one));
    const day = String(busiest.pk).slice("DAY#".length);
    const manual = await readFile(path.join(root, "docs", "operations.md"), "utf8");
    const dates = days.map(({ pk }) => String(pk).slice("DAY#".length)).sort();
    const queries = [...manual.matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, sql]) =>
      sql!.replaceAll("2024-06-25", day).replace("2024-06-01", dates[0]!).replace("2024-06-30", dates.at(-1)!),
    );
    const everyone = "SELECT DISTINCT listen_date, user_id FROM listens";

    const { stdout } = await execa(
      path.join(root, ".local", "python", "bin", "python"),
      [path.join(root, "test", "end-to-end", "catalog_query.py")],
      { input: JSON.stringify({ table: Table, folder: copy, queries: [...queries, everyone] }) },
    );
    const [tracks, countries, genres, months, listeners]: (string | number)[][][] = JSON.parse(stdout).rows;
    const ofDay = (kind: string) =>
      items
        .filter(({ pk, sk }) => String(pk).startsWith(`${kind}#`) && sk === `DAY#${day}`)
        .map((item) => ({ ...item, name: String(item.pk).slice(kind.length + 1) }) as Record<string, string | number>)
        .sort((one, other) => Number(other.listens) - Number(one.listens) || (one.name! < other.name! ? -1 : 1));
    assert.deepEqual(
      tracks!.map(([track, , listens, listeners]) => [track, listens, listeners]),
      ofDay("TRACK")
        .slice(0, 10)
        .map(({ name, listens, unique_listeners }) => [name, listens, unique_listeners]),
    );
    assert.ok(countries!.length > 1);
    assert.equal(
      countries!.reduce((sum, [, , users]) => sum + Number(users), 0),
      busiest.unique_listeners,
    );
    assert.deepEqual(
      genres!.map(([genre, listens, ms]) => [genre, listens, Number(ms)]),
      ofDay("GENRE").map(({ name, listens, listening_ms }) => [name, listens, listening_ms]),
    );
    assert.deepEqual(
      months,
      [...new Set(dates.map((date) => date.slice(0, 7)))].map((month) => [
        `${month}-01`,
        days.reduce((sum, { pk, listens }) => sum + (String(pk).startsWith(`DAY#${month}`) ? Number(listens) : 0), 0),
        new Set(listeners!.flatMap(([date, user]) => (String(date).startsWith(month) ? [user] : []))).size,
      ]),
    );
  });

  it("asks for nothing that its roles may not do", async () => {
    const calls = await recordedCalls(live.authorizations, live.cloud);
    const roles = ["archive", "publish", "sense", "transform"];
    for (const role of roles)
      assert.ok(
        calls.some((call) => call.role === role),
        role,
      );
    const problems = differences(await deployedPermissions(live.cloud), calls, []);
    // One run does not need every permission; flow.test.ts does.
    assert.deepEqual(
      problems.filter((one) => !one.endsWith("nothing needs it")),
      [],
    );
  });
});
