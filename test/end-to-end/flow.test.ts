import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CloudWatchLogsClient, paginateFilterLogEvents } from "@aws-sdk/client-cloudwatch-logs";
import { GetJobCommand, GetTableCommand, GlueClient, UpdateJobCommand } from "@aws-sdk/client-glue";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
} from "@aws-sdk/client-s3";
import { execa } from "execa";
import pMap from "p-map";
import { exportMetrics } from "../../cli/metrics";
import { readDataFolder, uploadAll } from "../../cli/start/load";
import { type Watch, watchPipeline } from "../../cli/start/watch";
import { localTarget, type Target } from "../../cli/target";
import layout from "../../layout.json";
import { type LocalCloud, startCloud } from "../../local/cloud";
import { localCredentials } from "../../local/credentials";
import { generateSample } from "../../local/sample/generator";
import type { Batch, Manifest } from "../../runtime/batch";
import { listAll } from "../../runtime/lake";
import { readPipeline } from "../../runtime/ledger";
import { requestReplay } from "../../runtime/operator";
import { connect, type World } from "../../runtime/world";
import { npm, oracle, realData, root, until } from "../support/commands";
import { deployedPermissions, recordedCalls } from "../support/deployed-permissions";
import { folders } from "../support/folders";
import { differences, dispensable } from "../support/permissions";
import { UNRECORDED } from "./unrecorded";

/**
 * The list of what must hold, in one local cloud, with real Spark and the Lambdas as Pulumi serialised them.
 */
describe("the pipeline on the local cloud", function () {
  this.timeout(240_000);
  let cloud: LocalCloud;
  let target: Target;
  let world: World;
  let watch: Watch;
  let glue: GlueClient;
  let data: string;
  let folder: string;
  let bucket: string;
  let scheduled: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-flow-"));
    data = realData ?? path.join(folder, "generated");
    if (!realData) await generateSample(data);
    const authorizationsFile = path.join(folder, "authorizations.ndjson");
    cloud = await startCloud({ root, port: 0, log: () => {}, authorizationsFile });
    target = localTarget(cloud);
    bucket = target.outputs.bucketName;
    glue = new GlueClient({
      endpoint: cloud.glueEndpoint,
      region: cloud.region,
      credentials: localCredentials,
    });
    world = connect(
      { s3: target.s3, glue, documents: target.documents },
      {
        BUCKET: bucket,
        LEDGER_TABLE: target.outputs.ledgerTableName,
        WORKFLOW: target.outputs.workflowName,
        TRANSFORM_JOB: target.outputs.transformJobName,
        PUBLISH_JOB: target.outputs.publishJobName,
        LIMITS: JSON.stringify({
          maxBatchFiles: 1,
          maxBatchBytes: 1,
          maxAttempts: 1,
          retryPauseSeconds: 1,
          maxRetryPauseSeconds: 1,
        }),
      },
    );
    watch = watchPipeline(world, target.lambda, target.outputs.senseFunctionName, glue);
    await uploadAll(target.s3, bucket, (await readDataFolder(data)).reference);
    const Tagging = { TagSet: [{ Key: "origin", Value: "partner" }] };
    for (const Key of await keys(layout.reference))
      await target.s3.send(new PutObjectTaggingCommand({ Bucket: bucket, Key, Tagging }));
  });
  after(async () => {
    await cloud?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const put = (key: string, body: string | Uint8Array) =>
    target.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
  const keys = async (prefix: string) => (await listAll(world, prefix)).map((object) => object.key);
  const bytes = async (key: string) => {
    const found = await target.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return Buffer.from(await found.Body!.transformToByteArray());
  };
  const manifestOf = async (batch: Batch): Promise<Manifest> =>
    JSON.parse((await bytes(layout.manifest.replace("{batchId}", batch.batchId))).toString());
  const metrics = async () => {
    const lines: string[] = [];
    await exportMetrics(target, (chunk) => void lines.push(chunk));
    return lines.join("");
  };
  const known: string[] = [];
  /** Until nothing waits or is in flight; the batches that came since the last call, oldest first. */
  async function settled(limitMs = 120_000): Promise<Batch[]> {
    const moment = await until("the pipeline is quiet", limitMs, async () => {
      const now = await watch.look();
      return now.isQuiet && now;
    });
    const fresh = moment.batches.filter((batch) => !known.includes(batch.batchId));
    known.push(...fresh.map((batch) => batch.batchId));
    return fresh;
  }
  async function inState(state: string): Promise<Batch> {
    return until(`a batch is ${state}`, 60_000, async () => {
      const moment = await watch.look();
      return moment.batches.find((batch) => batch.batchId === moment.inFlight && batch.state === state);
    });
  }
  const csv = (rows: string[]) => `user_id,track_id,listen_time\n${rows.join("\n")}\n`;

  it("takes one file a batch, and comes to the metrics of both", async () => {
    const files = (await readDataFolder(data)).streams;
    for (const file of files) {
      await uploadAll(target.s3, bucket, [file]);
      await settled();
    }
    assert.equal(await metrics(), await oracle(data));
    assert.deepEqual(await keys(layout.incoming), []);
    const today = new Date().toISOString().slice(0, 10);
    const archived = [...(await keys(`${folders.archived}${today}/`)), ...(await keys(folders.quarantinedFiles))];
    for (const file of files) {
      const key = archived.find((one) => one.endsWith(`/${file.key.slice(layout.incoming.length)}`));
      assert.ok(key, `${file.key} is in today's folder`);
      assert.deepEqual(await bytes(key), await readFile(file.file));
    }
  });

  it("counts nothing twice when the same files come again, by `npm run drop`", async () => {
    const before = await metrics();
    const files = (await readDataFolder(data)).streams
      .map((file) => file.file)
      .filter((file) => /\.csv$/.test(file))
      .slice(0, 2);
    await settled();
    const dropped = await npm("drop", "--prefix", "again", "--wait", ...files);
    assert.equal(dropped.exitCode, 0, dropped.all);
    assert.equal(await metrics(), before);
    const [batch] = JSON.parse((await npm("batches", "--json")).stdout);
    assert.equal(batch.state, "ARCHIVED");
    assert.equal(batch.rowsKept, 0);
    assert.ok(batch.rowsDuplicate > 0);
    assert.equal(batch.files, files.length);
    known.push(batch.batchId);
  });

  it("does not touch a file that lands during a run, and takes it next", async () => {
    await put(`${folders.incoming}first.csv`, csv(["land-1,landTrack,2024-07-01 10:00:00"]));
    const running = await inState("RUNNING");
    await put(`${folders.incoming}second.csv`, csv(["land-2,landTrack,2024-07-01 10:00:00"]));
    const [first, second] = await settled();
    assert.equal(first?.batchId, running.batchId);
    assert.deepEqual(
      (await manifestOf(first!)).files.map((file) => file.name),
      ["first.csv"],
    );
    assert.deepEqual(
      (await manifestOf(second!)).files.map((file) => file.name),
      ["second.csv"],
    );
    assert.match(await metrics(), /"pk":"TRACK#landTrack","sk":"DAY#2024-07-01",.*"listens":2/);
  });

  it("leaves a file that is overwritten after the claim in incoming, and processes it next", async () => {
    await put(`${folders.incoming}rewritten.csv`, csv(["over-1,overTrack,2024-07-02 10:00:00"]));
    await inState("RUNNING");
    await put(
      `${folders.incoming}rewritten.csv`,
      csv(["over-1,overTrack,2024-07-02 10:00:00", "over-2,overTrack,2024-07-02 11:00:00"]),
    );
    const batches = await settled();
    assert.equal(batches.length, 2);
    assert.deepEqual(await keys(layout.incoming), []);
    const second = await bytes(
      (await keys(folders.archived)).find((key) => key.endsWith(`${batches[1]!.batchId}/rewritten.csv`))!,
    );
    assert.match(second.toString(), /over-2/);
    assert.match(await metrics(), /"pk":"TRACK#overTrack","sk":"DAY#2024-07-02",.*"listens":2/);
  });

  it("keeps the files of a failed job in incoming, marks the batch with the error, and tries again", async () => {
    const { Job } = await glue.send(new GetJobCommand({ JobName: target.outputs.transformJobName }));
    const { Name, CreatedOn, LastModifiedOn, AllocatedCapacity, MaxCapacity, ProfileName, ...update } = Job!;
    await put(`${folders.scripts}broken.py`, "raise ValueError('planted')\n");
    const broken = {
      ...update,
      Command: { ...update.Command, ScriptLocation: `s3://${bucket}/${folders.scripts}broken.py` },
    };
    await glue.send(new UpdateJobCommand({ JobName: Name!, JobUpdate: broken }));
    await put(`${folders.incoming}retried.csv`, csv(["fail-1,failTrack,2024-07-03 10:00:00"]));
    const failed = await inState("RETRY");
    assert.match(failed.error ?? "", /planted/);
    assert.deepEqual(await keys(layout.incoming), [`${folders.incoming}retried.csv`]);
    assert.doesNotMatch(await metrics(), /failTrack/);
    await glue.send(new UpdateJobCommand({ JobName: Name!, JobUpdate: update }));
    const batches = await settled();
    const last = batches.at(-1)!;
    assert.equal(last.batchId, failed.batchId);
    assert.equal(last.state, "ARCHIVED");
    assert.ok(last.attempt > 1);
    assert.match(await metrics(), /failTrack/);
  });

  it("waits for reference data that is missing", async () => {
    const songs = await keys(layout.reference + layout.songs);
    const kept = await Promise.all(songs.map(bytes));
    for (const key of songs) await target.s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    await put(`${folders.incoming}no-reference.csv`, csv(["ref-1,refTrack,2024-07-04 10:00:00"]));
    const failed = await inState("RETRY");
    assert.match(failed.error ?? "", new RegExp(layout.reference + layout.songs.slice(0, -1)));
    assert.deepEqual(await keys(layout.incoming), [`${folders.incoming}no-reference.csv`]);
    await Promise.all(songs.map((key, at) => put(key, kept[at]!)));
    const batches = await settled();
    assert.equal(batches.at(-1)?.state, "ARCHIVED");
    assert.match(await metrics(), /refTrack/);
  });

  it("takes a file by its schedule alone", async () => {
    // With a row that is rejected, and next to a file that is.
    const body = csv(["tick-1,tickTrack,2024-07-06 10:00:00", "tick-2,,2024-07-06 10:00:00"]);
    await put(`${folders.incoming}no-table.csv`, "no,columns\n1,2\n");
    const tagged = { Bucket: bucket, Key: `${folders.incoming}scheduled.csv`, Body: body, Tagging: "origin=partner" };
    await target.s3.send(new PutObjectCommand(tagged));
    // Only reads: nobody asks sense for an early tick.
    await until("the schedule ticks", 100_000, async () => (await readPipeline(world)).inFlight);
    const batches = await settled();
    assert.ok(batches.every(({ state }) => state === "ARCHIVED"));
    assert.match(await metrics(), /tickTrack/);
    assert.match((await keys(folders.quarantinedFiles)).join("\n"), /\/no-table\.csv$/m);
    const key = (await keys(folders.archived)).find((one) => one.endsWith("/scheduled.csv"))!;
    const { TagSet } = await target.s3.send(new GetObjectTaggingCommand({ Bucket: bucket, Key: key }));
    assert.deepEqual(TagSet, [{ Key: "origin", Value: "partner" }]);
    scheduled = key.split("/").at(-2)!;
  });

  it("runs an archived batch again when a person asks, and comes to the same", async () => {
    const before = await metrics();
    await requestReplay(world, scheduled);
    await settled();
    const again = (await watch.look()).batches.find((batch) => batch.batchId === scheduled);
    assert.equal(again?.state, "ARCHIVED");
    assert.ok(again.attempt > 1, "it ran again");
    assert.equal(await metrics(), before);
  });

  it("claims more than a page of objects, odd names included, and leaves alone what is not CSV", async () => {
    const odd = [
      "a b",
      "plus+",
      "100%",
      "%2B",
      "q'uote",
      'q"uote',
      "ä日本",
      "[x]",
      "st*r",
      "_under",
      ".dot",
      "deep/_a/.b/c",
      "UPPER",
    ];
    const names = [
      ...odd.map((name) => `${name}.csv`),
      ...Array.from({ length: 1100 - odd.length }, (_, n) => `many/${n}.csv`),
    ];
    await pMap(
      names,
      (name, n) => put(`${folders.incoming}${name}`, csv([`many-${n},manyTrack,2024-07-05 10:00:00`])),
      {
        concurrency: 32,
      },
    );
    await put(`${folders.incoming}marker/`, "");
    await put(`${folders.incoming}readme.txt`, "not a CSV");
    const batches = await settled(200_000);
    assert.equal(
      batches.reduce((sum, batch) => sum + (batch.report?.rowsKept ?? 0), 0),
      names.length,
    );
    assert.deepEqual((await keys(layout.incoming)).sort(), [
      `${folders.incoming}marker/`,
      `${folders.incoming}readme.txt`,
    ]);
    assert.deepEqual(batches[0]?.ignored, { folders: 1, notCsv: 1 });
    const archived = (await keys(folders.archived)).join("\n");
    for (const name of odd) assert.ok(archived.includes(`/${name}.csv`), name);
    assert.match(
      await metrics(),
      new RegExp(`"pk":"TRACK#manyTrack","sk":"DAY#2024-07-05",.*"listens":${names.length}`),
    );
  });

  it("shows in `npm run batches -- --json` what the ledger knows, newest first", async () => {
    const file = path.join(folder, "batches.json");
    await writeFile(file, (await npm("batches", "--json")).stdout);
    const batches: Record<string, unknown>[] = JSON.parse(await readFile(file, "utf8"));
    const ids = batches.map((batch) => String(batch.batchId));
    assert.deepEqual(ids, [...ids].sort().reverse());
    const wanted =
      "batchId state attempt files rowsRead rowsKept rowsDuplicate rowsQuarantined filesQuarantined unknownTracks unknownUsers claimedAt settledAt error";
    for (const batch of batches) for (const name of wanted.split(" ")) assert.ok(name in batch, name);
    assert.ok(batches.every((batch) => batch.state === "ARCHIVED"));
  });

  it("finds the lines of all jobs by their batch: each that the jobs write names one, and each batch has both jobs' last", async () => {
    const logs = new CloudWatchLogsClient({
      endpoint: cloud.endpoint,
      region: cloud.region,
      credentials: localCredentials,
    });
    const groups = [
      `/aws-glue/jobs/music-streams-local/music-streams-transform/output`,
      "/aws-glue/python-jobs/output",
    ];
    const found: Record<string, unknown>[] = [];
    for (const logGroupName of groups)
      for await (const page of paginateFilterLogEvents({ client: logs }, { logGroupName }))
        for (const { message = "" } of page.events ?? []) if (message.startsWith("{")) found.push(JSON.parse(message));
    const batches: Batch[] = JSON.parse((await npm("batches", "--json")).stdout);
    const ids = batches.map(({ batchId }) => batchId);
    for (const line of found) {
      assert.match(String(line.job), /^(transform|publish)$/);
      assert.ok(ids.includes(String(line.batch_id)), JSON.stringify(line));
      assert.match(String(line.workflow_run_id), /^wr_/);
    }
    const ends = found.filter(({ event }) => event === "reconciled" || event === "done");
    for (const batchId of ids) assert.ok(ends.filter((line) => line.batch_id === batchId).length >= 2, batchId);
    assert.ok(
      found.some(
        ({ level, error }) =>
          level === "ERROR" && new RegExp(layout.reference + layout.songs.slice(0, -1)).test(String(error)),
      ),
    );
  });

  it("lets Athena ask the listens as the manual says: through the catalog's table, with the metrics' numbers", async () => {
    const { Table } = await glue.send(
      new GetTableCommand({ DatabaseName: String(cloud.outputs.catalogDatabaseName), Name: "listens" }),
    );
    const location = Table!.StorageDescriptor!.Location!.replace(`s3://${bucket}/`, "");
    const copy = path.join(folder, "curated");
    for (const key of await keys(location)) {
      const file = path.join(copy, key.slice(location.length));
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, await bytes(key));
    }
    const items: Record<string, string | number>[] = (await metrics())
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const days = items.filter(({ sk }) => sk === "SUMMARY");
    const busiest = days.reduce((one, other) => (Number(other.listens) > Number(one.listens) ? other : one));
    const day = String(busiest.pk).slice("DAY#".length);
    const manual = await readFile(path.join(root, "docs", "operations.md"), "utf8");
    const queries = [...manual.matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, sql]) =>
      sql!.replaceAll("2024-06-25", day),
    );

    const { stdout } = await execa(
      path.join(root, ".local", "python", "bin", "python"),
      [path.join(root, "test", "end-to-end", "catalog_query.py")],
      { input: JSON.stringify({ table: Table, folder: copy, queries }) },
    );
    const [tracks, countries, genres]: (string | number)[][][] = JSON.parse(stdout).rows;
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
  });

  it("lost nothing in all this and counted nothing twice: `npm run audit -- --deep` finds no breach", async () => {
    const done = await npm("audit", "--deep");
    assert.equal(done.exitCode, 0, done.all);
    // What it says nothing of, it has not looked at.
    for (const check of ["files", "ledger", "reports", "curated", "metrics", "deep"])
      assert.match(done.stdout, new RegExp(`^✔ ${check} +[1-9][0-9,]* `, "m"));
  });

  it("did all this by what its roles may do, and removing any one permission would be noticed", async () => {
    const calls = await recordedCalls(path.join(folder, "authorizations.ndjson"), cloud);
    const permissions = await deployedPermissions(cloud);
    // Which Lambda does what is chance here: what they need is found in simulated histories
    // (test/runtime/permissions.test.ts).
    const isOfLambda = ({ role }: { role: string }) => role === "sense" || role === "archive";
    const ofLambdas = differences(permissions.filter(isOfLambda), calls.filter(isOfLambda), []);
    assert.ok(calls.some(isOfLambda));
    assert.deepEqual(
      ofLambdas.filter((one) => !one.endsWith("nothing needs it")),
      [],
    );

    const roles = [...new Set(permissions.map(({ role }) => role))].sort();
    assert.deepEqual(roles, ["archive", "publish", "sense", "sense-schedule", "transform"]);
    const others = permissions.filter((one) => !isOfLambda(one));
    const theirs = calls.filter((one) => !isOfLambda(one));
    assert.deepEqual(differences(others, theirs, UNRECORDED), []);
    assert.deepEqual(dispensable(others, theirs, UNRECORDED), []);
  });
});
