// One file, because its stories share one local cloud, and the last test looks at the calls of all.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { CloudWatchLogsClient, paginateFilterLogEvents } from "@aws-sdk/client-cloudwatch-logs";
import { GetJobCommand, UpdateJobCommand } from "@aws-sdk/client-glue";
import {
  DeleteObjectCommand,
  GetObjectTaggingCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
} from "@aws-sdk/client-s3";
import pMap from "p-map";
import type { BatchRow } from "../../cli/ledger";
import { readDataFolder, uploadAll } from "../../cli/start/load";
import layout from "../../layout.json";
import type { Batch, Manifest } from "../../runtime/batch";
import { readPipeline } from "../../runtime/ledger";
import { pause, requestReplay, resume } from "../../runtime/operator";
import { place } from "../../runtime/places";
import { npm, oracle, until } from "../support/commands";
import { deployedPermissions, recordedCalls } from "../support/deployed-permissions";
import { folders } from "../support/folders";
import { differences, dispensable } from "../support/permissions";
import { csv, LivePipeline } from "./live-pipeline";
import { UNRECORDED } from "./unrecorded";

// One cloud for all tests: the last ones check what all the others did.
describe("the pipeline on the local cloud", () => {
  let live: LivePipeline;
  let scheduled: string;
  /** The batches of the files that changed during a run. */
  let changedBatches: Batch[];
  /** The batch whose first attempt failed, and the songs that its next attempt lacked. */
  let failed: Batch;
  let songs: { key: string; body: Uint8Array }[];

  before(async () => {
    live = await LivePipeline.start();
    const Tagging = { TagSet: [{ Key: "origin", Value: "partner" }] };
    for (const Key of await live.keys(layout.reference))
      await live.target.s3.send(new PutObjectTaggingCommand({ Bucket: live.bucket, Key, Tagging }));
  });
  after(() => live?.close());

  const manifestOf = async ({ batchId }: Batch): Promise<Manifest> =>
    JSON.parse((await live.bytes(place("manifest", { batchId }))).toString());
  const namesIn = async (batch: Batch) => (await manifestOf(batch)).files.map(({ name }) => name).sort();

  it("takes one file a batch, and publishes the metrics of all files", async () => {
    const files = (await readDataFolder(live.data)).streams;
    for (const file of files) {
      await uploadAll(live.target.s3, live.bucket, [file]);
      await live.settled();
    }
    assert.equal(await live.metrics(), await oracle(live.data));
    assert.deepEqual(await live.keys(layout.incoming), []);
    const today = new Date().toISOString().slice(0, 10);
    const archived = [
      ...(await live.keys(`${folders.archived}${today}/`)),
      ...(await live.keys(folders.quarantinedFiles)),
    ];
    for (const file of files) {
      const key = archived.find((one) => one.endsWith(`/${file.key.slice(layout.incoming.length)}`));
      assert.ok(key, `${file.key} is in today's folder`);
      assert.deepEqual(await live.bytes(key), await readFile(file.file));
    }
  });

  it("counts nothing twice when `npm run drop` brings the same files again", async () => {
    const before = await live.metrics();
    const files = (await readDataFolder(live.data)).streams
      .map((file) => file.file)
      .filter((file) => /\.csv$/.test(file))
      .slice(0, 2);
    await live.settled();
    const dropped = await npm("drop", "--prefix", "again", "--wait", ...files);
    assert.equal(dropped.exitCode, 0, dropped.all);
    assert.equal(await live.metrics(), before);
    const [batch] = JSON.parse((await npm("batches", "--json")).stdout);
    assert.equal(batch.state, "ARCHIVED");
    assert.equal(batch.rowsKept, 0);
    assert.ok(batch.rowsDuplicate > 0);
    assert.equal(batch.files, files.length);
    live.skip(batch.batchId);
  });

  it("leaves a file that lands during a run to the next batch", async () => {
    // Paused, so that one batch claims both.
    await pause(live.world);
    await live.put(`${folders.incoming}first.csv`, csv(["land-1,landTrack,2024-07-01 10:00:00"]));
    await live.put(`${folders.incoming}rewritten.csv`, csv(["over-1,overTrack,2024-07-02 10:00:00"]));
    await resume(live.world);
    const running = await live.inState("RUNNING");
    await live.put(`${folders.incoming}second.csv`, csv(["land-2,landTrack,2024-07-01 10:00:00"]));
    await live.put(
      `${folders.incoming}rewritten.csv`,
      csv(["over-1,overTrack,2024-07-02 10:00:00", "over-2,overTrack,2024-07-02 11:00:00"]),
    );
    changedBatches = await live.settled();
    const [first, second] = changedBatches;
    assert.equal(first?.batchId, running.batchId);
    assert.deepEqual(await namesIn(first!), ["first.csv", "rewritten.csv"]);
    assert.ok((await namesIn(second!)).includes("second.csv"));
    assert.match(await live.metrics(), /"pk":"TRACK#landTrack","sk":"DAY#2024-07-01",.*"listens":2/);
  });

  it("leaves a changed file in incoming, and the next batch claims it", async () => {
    assert.equal(changedBatches.length, 2);
    assert.deepEqual(await live.keys(layout.incoming), []);
    assert.deepEqual(await namesIn(changedBatches[1]!), ["rewritten.csv", "second.csv"]);
    const second = await live.bytes(
      (await live.keys(folders.archived)).find((key) => key.endsWith(`${changedBatches[1]!.batchId}/rewritten.csv`))!,
    );
    assert.match(second.toString(), /over-2/);
    assert.match(await live.metrics(), /"pk":"TRACK#overTrack","sk":"DAY#2024-07-02",.*"listens":2/);
  });

  it("keeps the files of a failed attempt in incoming, records the error, and makes the next attempt", async () => {
    const { Job } = await live.glue.send(new GetJobCommand({ JobName: live.target.outputs.transformJobName }));
    const { Name, CreatedOn, LastModifiedOn, AllocatedCapacity, MaxCapacity, ProfileName, ...update } = Job!;
    await live.put(`${folders.scripts}broken.py`, "raise ValueError('planted')\n");
    const broken = {
      ...update,
      Command: { ...update.Command, ScriptLocation: `s3://${live.bucket}/${folders.scripts}broken.py` },
    };
    await live.glue.send(new UpdateJobCommand({ JobName: Name!, JobUpdate: broken }));
    await live.put(`${folders.incoming}retried.csv`, csv(["fail-1,failTrack,2024-07-03 10:00:00"]));
    failed = await live.inState("RETRY");
    assert.match(failed.error ?? "", /planted/);
    assert.deepEqual(await live.keys(layout.incoming), [`${folders.incoming}retried.csv`]);
    assert.doesNotMatch(await live.metrics(), /failTrack/);
    // The next attempt finds the script in order, but no songs.
    songs = await Promise.all(
      (await live.keys(layout.reference + layout.songs)).map(async (key) => ({ key, body: await live.bytes(key) })),
    );
    for (const { key: Key } of songs) await live.target.s3.send(new DeleteObjectCommand({ Bucket: live.bucket, Key }));
    await live.glue.send(new UpdateJobCommand({ JobName: Name!, JobUpdate: update }));
    const next = await until("the next attempt", async () => {
      const batch = await live.inState("RETRY");
      return batch.error?.includes("planted") ? undefined : batch;
    });
    assert.equal(next.batchId, failed.batchId);
    assert.ok(next.attempt > failed.attempt);
  });

  it("makes attempts until missing reference data is there", async () => {
    const { error = "" } = await live.inState("RETRY");
    assert.match(error, new RegExp(layout.reference + layout.songs.slice(0, -1)));
    assert.deepEqual(await live.keys(layout.incoming), [`${folders.incoming}retried.csv`]);
    await Promise.all(songs.map(({ key, body }) => live.put(key, body)));
    const last = (await live.settled()).at(-1)!;
    assert.equal(last.batchId, failed.batchId);
    assert.equal(last.state, "ARCHIVED");
    assert.ok(last.attempt > failed.attempt);
    assert.match(await live.metrics(), /failTrack/);
  });

  it("claims a file on its schedule alone", async () => {
    // One row and one file are to be quarantined.
    const rows = ["tick-1,tickTrack,2024-07-06 10:00:00", "fail-1,tickTrack,2024-07-06 11:00:00"];
    const body = csv([...rows, "tick-2,,2024-07-06 10:00:00"]);
    await live.put(`${folders.incoming}no-table.csv`, "no,columns\n1,2\n");
    const tagged = {
      Bucket: live.bucket,
      Key: `${folders.incoming}scheduled.csv`,
      Body: body,
      Tagging: "origin=partner",
    };
    await live.target.s3.send(new PutObjectCommand(tagged));
    // This only reads: nobody asks for an early tick.
    await until("the schedule ticks", async () => (await readPipeline(live.world)).inFlight);
    const batches = await live.settled();
    assert.ok(batches.every(({ state }) => state === "ARCHIVED"));
    assert.match(await live.metrics(), /tickTrack/);
    assert.match((await live.keys(folders.quarantinedFiles)).join("\n"), /\/no-table\.csv$/m);
    const key = (await live.keys(folders.archived)).find((one) => one.endsWith("/scheduled.csv"))!;
    const { TagSet } = await live.target.s3.send(new GetObjectTaggingCommand({ Bucket: live.bucket, Key: key }));
    assert.deepEqual(TagSet, [{ Key: "origin", Value: "partner" }]);
    scheduled = key.split("/").at(-2)!;
  });

  it("replays an archived batch with the same metrics", async () => {
    const before = await live.metrics();
    await requestReplay(live.world, scheduled);
    await live.settled();
    const again = (await live.look()).batches.find((batch) => batch.batchId === scheduled);
    assert.equal(again?.state, "ARCHIVED");
    assert.ok(again.attempt > 1, "it ran again");
    assert.equal(await live.metrics(), before);
  });

  it("forgets a listener of two batches with `npm run forget -- --wait`, and keeps all others", async () => {
    assert.match(await live.metrics(), /"pk":"TRACK#tickTrack","sk":"DAY#2024-07-06",.*"listens":2/);
    const forgetting = npm("forget", "fail-1", "--wait");
    await until("the listener is on the list", async () => (await live.keys(folders.forgotten)).length > 0);
    await live.settled();
    const { exitCode, stdout, all } = await forgetting;
    assert.equal(exitCode, 0, all);
    assert.match(stdout, /\nNothing of listener fail-1 is left in /);
    const after = await live.metrics();
    assert.match(after, /"pk":"TRACK#tickTrack","sk":"DAY#2024-07-06",.*"listens":1/);
    assert.doesNotMatch(after, /failTrack/);
    const batches: BatchRow[] = JSON.parse((await npm("batches", "--json")).stdout);
    const ran = batches.filter(({ rowsQuarantined }) => rowsQuarantined?.forgotten);
    assert.deepEqual(ran.map(({ batchId }) => batchId).sort(), [failed.batchId, scheduled].sort());
    for (const { batchId } of ran)
      for (const key of await live.keys(place("quarantinedRows", { batchId })))
        assert.doesNotMatch((await live.bytes(key)).toString(), /fail-1/);
  });

  it("claims more than a page of objects, odd names included, and ignores what is not CSV", async () => {
    const odd = `a b|plus+|100%|%2B|q'uote|q"uote|ä日本|[x]|st*r|_under|.dot|deep/_a/.b/c|UPPER`.split("|");
    const names = [
      ...odd.map((name) => `${name}.csv`),
      ...Array.from({ length: 1100 - odd.length }, (_, n) => `many/${n}.csv`),
    ];
    await pMap(
      names,
      (name, n) => live.put(`${folders.incoming}${name}`, csv([`many-${n},manyTrack,2024-07-05 10:00:00`])),
      {
        concurrency: 32,
      },
    );
    await live.put(`${folders.incoming}marker/`, "");
    await live.put(`${folders.incoming}readme.txt`, "not a CSV");
    const batches = await live.settled();
    assert.equal(
      batches.reduce((sum, batch) => sum + (batch.report?.rowsKept ?? 0), 0),
      names.length,
    );
    assert.deepEqual((await live.keys(layout.incoming)).sort(), [
      `${folders.incoming}marker/`,
      `${folders.incoming}readme.txt`,
    ]);
    assert.deepEqual(batches[0]?.ignored, { folders: 1, notCsv: 1 });
    const archived = (await live.keys(folders.archived)).join("\n");
    for (const name of odd) assert.ok(archived.includes(`/${name}.csv`), name);
    assert.match(
      await live.metrics(),
      new RegExp(`"pk":"TRACK#manyTrack","sk":"DAY#2024-07-05",.*"listens":${names.length}`),
    );
  });

  it("lists the ledger in `npm run batches -- --json`, newest first", async () => {
    const batches: Record<string, unknown>[] = JSON.parse((await npm("batches", "--json")).stdout);
    const ids = batches.map((batch) => String(batch.batchId));
    assert.deepEqual(ids, [...ids].sort().reverse());
    const wanted =
      "batchId state attempt files rowsRead rowsKept rowsDuplicate rowsQuarantined filesQuarantined unknownTracks unknownUsers claimedAt settledAt error";
    for (const batch of batches) for (const name of wanted.split(" ")) assert.ok(name in batch, name);
    assert.ok(batches.every((batch) => batch.state === "ARCHIVED"));
  });

  it("names the batch in every log line of the jobs, and has both jobs' last lines for each batch", async () => {
    const logs = new CloudWatchLogsClient({
      endpoint: live.cloud.endpoint,
      region: live.cloud.region,
      credentials: live.cloud.credentials,
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

  it("lost nothing and counted nothing twice: `npm run audit -- --deep` finds no breach", async () => {
    const done = await npm("audit", "--deep");
    assert.equal(done.exitCode, 0, done.all);
    // A check that names no number checked nothing.
    for (const check of ["files", "ledger", "reports", "curated", "metrics", "deep"])
      assert.match(done.stdout, new RegExp(`^✔ ${check} +[1-9][0-9,]* `, "m"));
  });

  it("needed exactly its roles' permissions: the lack of any one would be noticed", async () => {
    const calls = await recordedCalls(live.authorizations, live.cloud);
    const permissions = await deployedPermissions(live.cloud);
    // Which Lambda does what depends on timing: test/runtime/permissions.test.ts finds what they need.
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
