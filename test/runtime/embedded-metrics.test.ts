// One file: the metrics of each event, and the stories of the log that they come from.
import assert from "node:assert/strict";
import { withMetrics } from "../../runtime/embedded-metrics";
import { observedTick } from "../../runtime/observe";
import { pause, requestReplay } from "../../runtime/operator";
import { connect } from "../../runtime/world";
import { folders } from "../support/folders";
import { createSimulation } from "../support/simulated-pipeline";

type Line = Record<string, unknown>;
interface Directive {
  Namespace: string;
  Dimensions: string[][];
  Metrics: { Name: string; Unit: string }[];
}

const MINUTE = 60_000;

function directives(line: Line): Directive[] {
  return ((line._aws as { CloudWatchMetrics: Directive[] } | undefined)?.CloudWatchMetrics ?? []) as Directive[];
}

/**
 * The metrics of a line as CloudWatch would take them: those that are declared and have a number at the line's root.
 */
function metrics(line: Line): Record<string, number> {
  const told = withMetrics(line, "music-streams/test", 1);
  const names = directives(told).flatMap(({ Metrics }) => Metrics.map(({ Name }) => Name));
  for (const name of names) assert.equal(typeof told[name], "number", name);
  return Object.fromEntries(names.map((name) => [name, told[name] as number]));
}

describe("a line's metrics", () => {
  it("are embedded as CloudWatch's specification says, next to what the line tells", () => {
    const line = { event: "claimed", batch_id: "b", files: 7, bytes: 911 };
    assert.deepEqual(withMetrics(line, "music-streams/dev", 1_700_000_000_000), {
      ...line,
      FilesClaimed: 7,
      BytesClaimed: 911,
      _aws: {
        Timestamp: 1_700_000_000_000,
        CloudWatchMetrics: [
          {
            Namespace: "music-streams/dev",
            Dimensions: [[]],
            Metrics: [
              { Name: "FilesClaimed", Unit: "Count" },
              { Name: "BytesClaimed", Unit: "Bytes" },
            ],
          },
        ],
      },
    });
  });

  it("tell a failed run for its job, and for all jobs together", () => {
    const told = withMetrics({ event: "runFailed", job: "publish" }, "n", 1);
    assert.deepEqual(directives(told)[0]?.Dimensions, [[], ["Job"]]);
    assert.deepEqual([told.RunsFailed, told.Job], [1, "publish"]);
  });

  it("count a workflow that can't be started as a failure, and one that is busy not", () => {
    const told = withMetrics({ level: "ERROR", event: "runNotStarted" }, "n", 1);
    assert.deepEqual([told.RunsFailed, told.Job], [1, "workflow"]);
    assert.deepEqual(metrics({ level: "INFO", event: "runNotStarted" }), {});
  });

  it("tell an archived batch's rows by what became of them", () => {
    const report = {
      rowsRead: 200,
      rowsKept: 150,
      rowsDuplicate: 40,
      rowsQuarantined: { bad_id: 4, malformed_row: 6 },
    };
    const referenceFaults = ["songs.csv was not used: missing_columns", "users.csv, line 7: a quote is not closed"];
    assert.deepEqual(metrics({ event: "archived", report: { ...report, filesQuarantined: 2, referenceFaults } }), {
      BatchesArchived: 1,
      RowsRead: 200,
      RowsKept: 150,
      RowsDuplicate: 40,
      RowsQuarantined: 10,
      FilesQuarantined: 2,
      ReferenceFaults: 2,
      RowsQuarantinedPercent: 5,
    });
  });

  it("tell how long a job took, if it succeeded, and what it used in any case", () => {
    const line = { event: "jobEnded", job: "transform", state: "SUCCEEDED", seconds: 70, dpu_seconds: 110.5 };
    const told = withMetrics(line, "n", 1);
    assert.deepEqual(metrics(line), { TransformSeconds: 70, DpuSeconds: 110.5 });
    assert.deepEqual(
      directives(told).map(({ Dimensions, Metrics }) => [Metrics[0]?.Name, Dimensions]),
      [
        ["TransformSeconds", [[]]],
        ["DpuSeconds", [[], ["Job"]]],
      ],
    );
    assert.equal(told.Job, "transform");
    assert.deepEqual(metrics({ ...line, job: "publish" }), { PublishSeconds: 70, DpuSeconds: 110.5 });
    assert.deepEqual(metrics({ ...line, state: "FAILED" }), { DpuSeconds: 110.5 });
    assert.deepEqual(metrics({ event: "jobEnded", job: "transform", state: "ERROR" }), {});
  });

  it("have no share of quarantined rows where no row was read", () => {
    const report = { rowsRead: 0, rowsKept: 0, rowsDuplicate: 0, rowsQuarantined: {}, filesQuarantined: 1 };
    assert.ok(!("RowsQuarantinedPercent" in metrics({ event: "archived", report })));
  });

  it("have a share of bad rows that leaves out the rows of forgotten listeners, also when a tick repeats it", async () => {
    const rowsQuarantined = { bad_id: 5, forgotten: 60 };
    const report = { rowsRead: 100, rowsKept: 35, rowsDuplicate: 0, rowsQuarantined, filesQuarantined: 0 };
    const told = metrics({ event: "archived", report });
    assert.deepEqual([told.RowsQuarantined, told.RowsQuarantinedPercent], [65, 5]);
    for (const [body, percent] of [
      ["l1,l2,l3,BAD", 25],
      ["l1,l2", undefined],
    ] as const) {
      const simulation = createSimulation();
      simulation.s3.put(`${folders.forgotten}l2`, "{}");
      simulation.drop("a.csv", body);
      await observedTick(simulation.actor().world, 60_000);
      simulation.finish("good");
      await observedTick(simulation.actor().world, 60_000);
      const repeated = simulation.logs.find(({ event }) => event === "recentOutcomes");
      assert.equal(repeated?.rows_quarantined_percent, percent);
    }
  });

  it("are none for a line that counts nothing", () => {
    const line = { event: "runStarted", batch_id: "b" };
    assert.equal(withMetrics(line, "n", 1), line);
  });
});

describe("the pipeline's log", () => {
  async function observed(simulation: ReturnType<typeof createSimulation>): Promise<Line | undefined> {
    const before = simulation.logs.length;
    await observedTick(simulation.actor().world, 60_000);
    return simulation.logs.slice(before).find(({ event }) => event === "observed");
  }

  it("is silent about a quiet pipeline, and costs an idle tick no call: it makes two", async () => {
    const simulation = createSimulation();
    const idle = async () => {
      const actor = simulation.actor();
      await observedTick(actor.world, 60_000);
      return actor.calls;
    };
    assert.deepEqual(await idle(), ["Query", "ListObjectsV2"]);
    simulation.drop("a.csv", "one,BAD");
    await idle();
    simulation.finish("good");
    await idle();
    assert.deepEqual(await idle(), ["Query", "ListObjectsV2", "Query"], "the batch's end is repeated");
    simulation.clock.advance(31 * 60_000);
    assert.deepEqual(await idle(), ["Query", "ListObjectsV2"]);
    simulation.dynamodb.items.delete(JSON.stringify(["PIPELINE", "ENDED"]));
    assert.deepEqual(await idle(), ["Query", "ListObjectsV2", "Query"], "an earlier version noted no end");
  });

  it("is silent about a quiet pipeline, also after a batch", async () => {
    const simulation = createSimulation();
    await observedTick(simulation.actor().world, 60_000);
    assert.deepEqual(simulation.logs, []);
    simulation.drop("a.csv", "one");
    await observed(simulation);
    simulation.finish("good");
    assert.equal(await observed(simulation), undefined, "all is archived");
  });

  it("tells how long the oldest file waits and how long a batch is in flight", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "one");
    simulation.clock.advance(10 * MINUTE);
    assert.equal((await observed(simulation))?.oldest_file_age_seconds, 600);
    simulation.clock.advance(5 * MINUTE);
    simulation.drop("b.csv", "two");
    const line = await observed(simulation);
    assert.equal(line?.batch_id, simulation.inFlight());
    assert.deepEqual(metrics(line!), { WaitingFiles: 2, OldestFileAgeSeconds: 900, BatchAgeSeconds: 300 });
  });

  it("tells which job fails, and how often in a row, until it works again", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "one");
    await observed(simulation);
    for (const failures of [1, 2]) {
      simulation.finish("publishFails");
      const line = await observed(simulation);
      assert.deepEqual([line?.job, metrics(line!).FailuresInARow], ["publish", failures]);
      simulation.clock.advance(60 * MINUTE);
      await observed(simulation);
    }
    simulation.finish("good");
    simulation.drop("b.csv", "two");
    assert.equal((await observed(simulation))?.job, undefined);
    assert.equal(simulation.logs.filter(({ event, job }) => event === "runFailed" && job === "publish").length, 2);
  });

  it("does not call a file waiting that is held until a person says so", async () => {
    const simulation = createSimulation({ limits: { maxAttempts: 1 } });
    simulation.drop("sealed.csv", "one,STUCK,POISON");
    await observed(simulation);
    simulation.finish("good");
    await observed(simulation);
    assert.deepEqual(simulation.s3.keys(folders.incoming), [`${folders.incoming}sealed.csv`]);
    simulation.drop("next.csv", "two");
    assert.equal((await observed(simulation))?.waiting_files, 1);
  });

  it("calls a file waiting that lies in a cold class, and says how many do, until it is restored and goes through", async () => {
    const simulation = createSimulation();
    simulation.drop("old.csv", "one");
    const cold = simulation.s3.objects.get(`${folders.incoming}old.csv`)!;
    cold.storageClass = "GLACIER";
    simulation.clock.advance(10 * MINUTE);
    const alone = await observed(simulation);
    assert.deepEqual([alone?.cold_files, metrics(alone!).WaitingFiles], [1, 1]);
    assert.deepEqual([alone?.batch_id, metrics(alone!).OldestFileAgeSeconds], [undefined, 600]);
    simulation.drop("new.csv", "two");
    const both = await observed(simulation);
    assert.deepEqual([both?.cold_files, both?.waiting_files, both?.oldest_file_age_seconds], [1, 2, 600]);
    simulation.finish("good");
    assert.deepEqual([(await observed(simulation))?.waiting_files], [1]);
    cold.restored = true;
    assert.deepEqual([(await observed(simulation))?.cold_files, simulation.batches().length], [undefined, 2]);
    simulation.finish("good");
    await observed(simulation);
    assert.deepEqual(simulation.s3.keys(folders.incoming), []);
  });

  it("lists incoming/ once in a tick that claims, and once in a tick that waits", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "one");
    for (const doing of ["claims", "waits"]) {
      const actor = simulation.actor();
      await observedTick(actor.world, 60_000);
      const lists = actor.commands.filter(({ input }) => (input as Line).Prefix === folders.incoming);
      assert.equal(lists.length, 1, doing);
    }
  });

  it("counts files that wait while the pipeline is paused", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "one");
    await pause(simulation.actor().world);
    simulation.clock.advance(MINUTE);
    const line = await observed(simulation);
    assert.deepEqual([line?.waiting_files, line?.oldest_file_age_seconds, line?.paused], [1, 60, true]);
  });

  it("counts the failure by which a batch is given up, too", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "POISON");
    for (let attempt = 0; attempt <= simulation.limits.maxAttempts; attempt++) {
      await observed(simulation);
      simulation.finish("good");
      await observed(simulation);
      simulation.clock.advance(60 * MINUTE);
    }
    const failed = simulation.logs.filter(({ event }) => event === "runFailed");
    assert.equal(failed.length, simulation.limits.maxAttempts);
    assert.equal(simulation.logs.filter(({ event }) => event === "batchFailed").length, 1);
  });

  it("tells once for each run what its jobs took and used, also of a run that failed", async () => {
    const simulation = createSimulation();
    const ended = () =>
      simulation.logs
        .filter(({ event }) => event === "jobEnded")
        .map(({ attempt, workflow_run_id, job, state, ...line }) => [
          attempt,
          workflow_run_id,
          job,
          state,
          metrics({ job, state, ...line }),
        ]);
    simulation.drop("a.csv", "one");
    await observed(simulation);
    simulation.finish("publishFails");
    // Two Lambdas work at the same time.
    await Promise.all([observed(simulation), observed(simulation)]);
    const first = [
      [1, "wr_1", "transform", "SUCCEEDED", { TransformSeconds: 70, DpuSeconds: 110.5 }],
      [1, "wr_1", "publish", "FAILED", { DpuSeconds: 20 }],
    ];
    assert.deepEqual(ended(), first);
    simulation.clock.advance(60 * MINUTE);
    await observed(simulation);
    simulation.finish("good");
    await Promise.all([observed(simulation), observed(simulation)]);
    assert.deepEqual(ended(), [
      ...first,
      [2, "wr_2", "transform", "SUCCEEDED", { TransformSeconds: 70, DpuSeconds: 110.5 }],
      [2, "wr_2", "publish", "SUCCEEDED", { PublishSeconds: 20, DpuSeconds: 20 }],
    ]);
  });

  it("tells how long the archiving took, and the batch from its claim on; of a replay the first alone", async () => {
    const simulation = createSimulation();
    const times = () => {
      const line = simulation.logs.findLast(({ event }) => event === "archived");
      const { ArchiveSeconds, BatchSeconds } = metrics(line!);
      return [ArchiveSeconds, BatchSeconds];
    };
    simulation.drop("a.csv", "one");
    await observed(simulation);
    const batchId = simulation.inFlight()!;
    simulation.clock.advance(5 * MINUTE);
    simulation.finish("good");
    // The run succeeded; then S3 fails for half a minute.
    const fault = (_: number, name: string) => (name === "CopyObject" ? ("errorBefore" as const) : undefined);
    await simulation.actor({ fault }).run((world) => observedTick(world, 60_000));
    simulation.clock.advance(MINUTE / 2);
    await observed(simulation);
    assert.deepEqual(times(), [30, 330]);
    simulation.clock.advance(24 * 60 * MINUTE);
    await requestReplay(simulation.actor().world, batchId);
    await observed(simulation);
    simulation.finish("good");
    await observed(simulation);
    assert.deepEqual(times(), [0, undefined]);
  });

  it("names the batch whose step failed with an error that nobody expected", async () => {
    const simulation = createSimulation();
    simulation.drop("a.csv", "one");
    await observed(simulation);
    const batchId = simulation.inFlight();
    const fault = (_: number, name: string) => (name === "GetWorkflowRun" ? ("denied" as const) : undefined);
    const ended = await simulation.actor({ fault }).run((world) => observedTick(world, 60_000));
    assert.ok(typeof ended === "object" && "threw" in ended, "Lambda hears of it as well");
    const { level, batch_id, error } = simulation.logs.find(({ event }) => event === "stepFailed")!;
    assert.deepEqual([level, batch_id, error], ["ERROR", batchId, "AccessDenied: AccessDenied (simulated)"]);
  });

  it("names the batch in each line that concerns one", async () => {
    const simulation = createSimulation();
    for (const name of ["a.csv", "b.csv"]) simulation.drop(name, name);
    await observed(simulation);
    simulation.remove("a.csv");
    simulation.finish("good");
    await observed(simulation);
    assert.ok(simulation.logs.some(({ event }) => event === "fileNotMoved"));
    for (const line of simulation.logs) assert.equal(typeof line.batch_id, "string", JSON.stringify(line));
  });

  it("is, in a Lambda, one JSON object a line on standard output, with time and level at the root", () => {
    const written: string[] = [];
    const write = process.stdout.write;
    const env = { BUCKET: "b", LEDGER_TABLE: "l", WORKFLOW: "w", TRANSFORM_JOB: "t", PUBLISH_JOB: "p" };
    const LIMITS = JSON.stringify(createSimulation().limits);
    const world = (more: object) => connect({} as never, { ...env, LIMITS, ...more });
    process.stdout.write = ((text: string) => written.push(text)) as never;
    try {
      world({ METRICS_NAMESPACE: "music-streams/dev" }).log({ level: "ERROR", event: "batchFailed", error: "a\nb" });
      world({}).log({ event: "batchFailed" });
    } finally {
      process.stdout.write = write;
    }
    assert.equal(written.length, 2);
    for (const text of written) assert.match(text, /^\{[^\n]*\}\n$/);
    const [first, second] = written.map((text) => JSON.parse(text) as Line);
    assert.equal(first?.level, "ERROR");
    assert.ok(Math.abs(Date.parse(String(first?.timestamp)) - Date.now()) < MINUTE);
    assert.equal(directives(first!)[0]?.Namespace, "music-streams/dev");
    assert.deepEqual([second?.level, second?._aws], ["INFO", undefined]);
  });
});
