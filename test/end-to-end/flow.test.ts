// One file, because its stories share one local cloud, and the last test looks at the calls of all.
import assert from "node:assert/strict";
import { chmod, cp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
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
import { readDataFolder, type Source, uploadAll } from "../../cli/start/load";
import layout from "../../layout.json";
import type { Batch, Manifest } from "../../runtime/batch";
import { readPipeline } from "../../runtime/ledger";
import { pause, resume } from "../../runtime/operator";
import { place } from "../../runtime/places";
import { npm, oracle, until } from "../support/commands";
import { deployedPermissions, recordedCalls } from "../support/deployed-permissions";
import { folders } from "../support/folders";
import { differences, dispensable } from "../support/permissions";
import { csv, LivePipeline } from "./live-pipeline";
import { UNRECORDED } from "./unrecorded";

/** Rows of the files that are not of the data, by file. `added`: what the changed file has more. */
const rows: Record<string, string[]> = {
  first: ["land-1,landTrack,2024-07-01 10:00:00", "gone-1,goneTrack,2024-07-03 10:00:00"],
  rewritten: ["over-1,overTrack,2024-07-02 10:00:00"],
  added: ["over-2,overTrack,2024-07-02 11:00:00"],
  second: ["land-2,landTrack,2024-07-01 10:00:00"],
  scheduled: ["tick-1,tickTrack,2024-07-06 10:00:00", "gone-1,tickTrack,2024-07-06 11:00:00"],
};
const odd = `a b|plus+|100%|%2B|q'uote|q"uote|ä日本|[x]|st*r|_under|.dot|deep/_a/.b/c|UPPER`.split("|");
/** Names of more files than S3 lists on one page. */
const many = [
  ...odd.map((name) => `${name}.csv`),
  ...Array.from({ length: 1100 - odd.length }, (_, n) => `many/${n}.csv`),
];
const rowOfMany = (n: number) => `many-${n},manyTrack,2024-07-05 10:00:00`;

/** Writes a folder for the oracle: the data, and the rows of all files of the first two batches. */
async function writeExpected(data: string, folder: string): Promise<void> {
  await cp(data, folder, { recursive: true, filter: (file) => !file.endsWith(".md") });
  // The data's own folder may be read-only.
  await chmod(path.join(folder, "streams"), 0o755);
  const { scheduled, ...early } = rows;
  for (const [name, lines] of Object.entries({ ...early, many: many.map((_, n) => rowOfMany(n)) }))
    await writeFile(path.join(folder, "streams", `${name}.csv`), csv(lines));
}

// One cloud for all tests: the last ones check what all the others did.
describe("the pipeline on the local cloud", () => {
  let live: LivePipeline;
  /** A folder for the oracle: the data, and the other files that the first two batches claimed. */
  let expected: string;
  /** Files of the data that are dropped while the first batch runs. The first one of them is in that batch already. */
  let dropped: Source[];
  /** All other files of the data. */
  let others: Source[];
  /** The two batches of the files that landed before and during a run. */
  let first: Batch;
  let second: Batch;
  /** The batch that the schedule claims, whose first attempts fail. */
  let scheduled: Batch;
  /** The same after its first attempt. */
  let failed: Batch;
  let mendJob: () => Promise<unknown>;

  before(async () => {
    live = await LivePipeline.start();
    expected = path.join(live.folder, "expected");
    const Tagging = { TagSet: [{ Key: "origin", Value: "partner" }] };
    for (const Key of await live.keys(layout.reference))
      await live.target.s3.send(new PutObjectTaggingCommand({ Bucket: live.bucket, Key, Tagging }));
  });
  after(() => live?.close());

  const manifestOf = async ({ batchId }: Batch): Promise<Manifest> =>
    JSON.parse((await live.bytes(place("manifest", { batchId }))).toString());
  const namesIn = async (batch: Batch) => (await manifestOf(batch)).files.map(({ name }) => name).sort();

  it("leaves what lands during a run to the next batch, which `npm run drop` waits for", async () => {
    await writeExpected(live.data, expected);
    const streams = (await readDataFolder(live.data)).streams;
    dropped = streams.filter(({ file }) => /\.csv$/.test(file)).slice(0, 2);
    others = streams.filter((stream) => !dropped.includes(stream));
    // Paused, so that one batch claims all.
    await pause(live.world);
    await uploadAll(live.target.s3, live.bucket, dropped.slice(0, 1));
    for (const name of ["first", "rewritten"]) await live.put(`${folders.incoming}${name}.csv`, csv(rows[name]!));
    await resume(live.world);
    const running = await live.inState("RUNNING");
    await pause(live.world);
    await live.put(`${folders.incoming}second.csv`, csv(rows.second!));
    await live.put(`${folders.incoming}rewritten.csv`, csv([...rows.rewritten!, ...rows.added!]));
    await uploadAll(live.target.s3, live.bucket, others);
    await pMap(many, (name, n) => live.put(`${folders.incoming}${name}`, csv([rowOfMany(n)])), { concurrency: 32 });
    await live.put(`${folders.incoming}marker/`, "");
    await live.put(`${folders.incoming}readme.txt`, "not a CSV");
    const dropping = npm("drop", "--prefix", "again", "--wait", ...dropped.map(({ file }) => file));
    await until("both files are dropped", async () => {
      const keys = await live.keys(`${folders.incoming}again/`);
      return keys.length === dropped.length;
    });
    await resume(live.world);
    const batches = await live.settled();
    const { exitCode, all } = await dropping;
    assert.equal(exitCode, 0, all);
    assert.equal(batches.length, 2);
    [first, second] = batches as [Batch, Batch];
    assert.equal(first.batchId, running.batchId);
    const names = dropped.slice(0, 1).map(({ key }) => key.slice(layout.incoming.length));
    assert.deepEqual(await namesIn(first), [...names, "first.csv", "rewritten.csv"].sort());
    assert.ok((await namesIn(second)).includes("second.csv"));
  });

  it("counts nothing twice when the same files come again, and publishes the metrics of all files", async () => {
    assert.equal(await live.metrics(), await oracle(expected));
    const [latest, before]: BatchRow[] = JSON.parse((await npm("batches", "--json")).stdout);
    assert.deepEqual([latest?.batchId, before?.batchId], [second.batchId, first.batchId]);
    assert.equal(latest?.state, "ARCHIVED");
    // All of the first batch came again, but the rows of one file.
    assert.ok(latest.rowsDuplicate! >= before!.rowsKept! - rows.first!.length);
    assert.ok(latest.rowsDuplicate! > rows.rewritten!.length);
    assert.equal(latest.files, 2 + many.length + others.length + dropped.length);
  });

  it("leaves a changed file in incoming, and the next batch claims it", async () => {
    assert.ok((await namesIn(second)).includes("rewritten.csv"));
    const changed = await live.bytes(
      (await live.keys(folders.archived)).find((key) => key.endsWith(`${second.batchId}/rewritten.csv`))!,
    );
    assert.match(changed.toString(), /over-2/);
    assert.match(await live.metrics(), /"pk":"TRACK#overTrack","sk":"DAY#2024-07-02",.*"listens":2/);
    assert.match(await live.metrics(), /"pk":"TRACK#landTrack","sk":"DAY#2024-07-01",.*"listens":2/);
  });

  it("archives every file byte for byte in today's folder", async () => {
    const today = new Date().toISOString().slice(0, 10);
    const archived = [
      ...(await live.keys(`${folders.archived}${today}/`)),
      ...(await live.keys(folders.quarantinedFiles)),
    ];
    const assertArchived = async (name: string, file: string) => {
      const key = archived.find((one) => one.endsWith(`/${name}`));
      assert.ok(key, `${name} is in today's folder`);
      assert.deepEqual(await live.bytes(key), await readFile(file));
    };
    for (const { key, file } of [...dropped.slice(0, 1), ...others])
      await assertArchived(key.slice(layout.incoming.length), file);
    for (const { file } of dropped) await assertArchived(`again/${path.basename(file)}`, file);
  });

  it("claims more than a page of objects, odd names included, and ignores what is not CSV", async () => {
    const names = await namesIn(second);
    for (const name of many) assert.ok(names.includes(name), name);
    assert.deepEqual((await live.keys(layout.incoming)).sort(), [
      `${folders.incoming}marker/`,
      `${folders.incoming}readme.txt`,
    ]);
    assert.deepEqual(second.ignored, { folders: 1, notCsv: 1 });
    const archived = (await live.keys(folders.archived)).join("\n");
    for (const name of odd) assert.ok(archived.includes(`/${name}.csv`), name);
    assert.match(
      await live.metrics(),
      new RegExp(`"pk":"TRACK#manyTrack","sk":"DAY#2024-07-05",.*"listens":${many.length}`),
    );
  });

  it("claims files on its schedule alone", async () => {
    for (const name of ["marker/", "readme.txt"])
      await live.target.s3.send(new DeleteObjectCommand({ Bucket: live.bucket, Key: `${folders.incoming}${name}` }));
    // The first attempt is to fail.
    const { Job } = await live.glue.send(new GetJobCommand({ JobName: live.target.outputs.transformJobName }));
    const { Name, CreatedOn, LastModifiedOn, AllocatedCapacity, MaxCapacity, ProfileName, ...update } = Job!;
    await live.put(`${folders.scripts}broken.py`, "raise ValueError('planted')\n");
    const broken = {
      ...update,
      Command: { ...update.Command, ScriptLocation: `s3://${live.bucket}/${folders.scripts}broken.py` },
    };
    await live.glue.send(new UpdateJobCommand({ JobName: Name!, JobUpdate: broken }));
    mendJob = () => live.glue.send(new UpdateJobCommand({ JobName: Name!, JobUpdate: update }));
    // One row and one file are to be quarantined. The quotes have transform copy the file, which asks for its tags.
    await live.put(`${folders.incoming}no-table.csv`, "no,columns\n1,2\n");
    const tagged = {
      Bucket: live.bucket,
      Key: `${folders.incoming}scheduled.csv`,
      Body: csv([...rows.scheduled!, '"tick-2",,2024-07-06 10:00:00']),
      Tagging: "origin=partner",
    };
    await live.target.s3.send(new PutObjectCommand(tagged));
    // This only reads: nobody asks for an early tick.
    await until("the schedule ticks", async () => (await readPipeline(live.world)).inFlight);
  });

  it("keeps the files of a failed attempt in incoming, records the error, and makes the next attempt", async () => {
    failed = await live.inState("RETRY");
    assert.match(failed.error ?? "", /planted/);
    const inIncoming = ["no-table", "scheduled"].map((name) => `${folders.incoming}${name}.csv`);
    assert.deepEqual((await live.keys(layout.incoming)).sort(), inIncoming);
    assert.doesNotMatch(await live.metrics(), /tickTrack/);
    // The next attempt finds the script in order, but no songs.
    const songs = await Promise.all(
      (await live.keys(layout.reference + layout.songs)).map(async (key) => ({ key, body: await live.bytes(key) })),
    );
    for (const { key: Key } of songs) await live.target.s3.send(new DeleteObjectCommand({ Bucket: live.bucket, Key }));
    await mendJob();
    const next = await until("the next attempt", async () => {
      const batch = await live.inState("RETRY");
      return batch.error?.includes("planted") ? undefined : batch;
    });
    await Promise.all(songs.map(({ key, body }) => live.put(key, body)));
    assert.equal(next.batchId, failed.batchId);
    assert.ok(next.attempt > failed.attempt);
    scheduled = next;
  });

  it("makes attempts until missing reference data is there", async () => {
    assert.match(scheduled.error ?? "", new RegExp(layout.reference + layout.songs.slice(0, -1)));
    const batches = await live.settled();
    assert.deepEqual(
      batches.map(({ batchId, state }) => `${batchId} ${state}`),
      [`${scheduled.batchId} ARCHIVED`],
    );
    assert.ok(batches[0]!.attempt > failed.attempt);
    assert.match(await live.metrics(), /"pk":"TRACK#tickTrack","sk":"DAY#2024-07-06",.*"listens":2/);
    assert.match((await live.keys(folders.quarantinedFiles)).join("\n"), /\/no-table\.csv$/m);
    const key = (await live.keys(folders.archived)).find((one) => one.endsWith("/scheduled.csv"))!;
    assert.equal(key.split("/").at(-2), scheduled.batchId);
    const { TagSet } = await live.target.s3.send(new GetObjectTaggingCommand({ Bucket: live.bucket, Key: key }));
    assert.deepEqual(TagSet, [{ Key: "origin", Value: "partner" }]);
  });

  it("forgets a listener of two batches with `npm run forget -- --wait`, and keeps all others", async () => {
    const forgetting = npm("forget", "gone-1", "--wait");
    await until("the listener is on the list", async () => (await live.keys(folders.forgotten)).length > 0);
    await live.settled();
    const { exitCode, stdout, all } = await forgetting;
    assert.equal(exitCode, 0, all);
    assert.match(stdout, /\nNothing of listener gone-1 is left in /);
    // Both batches ran again, and all that others heard is as it was.
    await writeFile(path.join(expected, "streams", "scheduled.csv"), csv(rows.scheduled!));
    assert.equal(await live.metrics(), await oracle(expected, "gone-1"));
    const after = await live.metrics();
    assert.match(after, /"pk":"TRACK#tickTrack","sk":"DAY#2024-07-06",.*"listens":1/);
    assert.doesNotMatch(after, /goneTrack/);
    const batches: BatchRow[] = JSON.parse((await npm("batches", "--json")).stdout);
    const ran = batches.filter(({ rowsQuarantined }) => rowsQuarantined?.forgotten);
    assert.deepEqual(ran.map(({ batchId }) => batchId).sort(), [first.batchId, scheduled.batchId].sort());
    for (const { batchId } of ran)
      for (const key of await live.keys(place("quarantinedRows", { batchId })))
        assert.doesNotMatch((await live.bytes(key)).toString(), /gone-1/);
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
