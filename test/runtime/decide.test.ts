// One file: nearly all of it are tables of cases.
import assert from "node:assert/strict";
import type { WorkflowRun } from "@aws-sdk/client-glue";
import fc from "fast-check";
import type { Batch, BatchState, Limits, Manifest } from "../../runtime/batch";
import { childBatchId, newBatchId } from "../../runtime/batch-id";
import { choose } from "../../runtime/claim";
import { decide, isDue, pauseSeconds } from "../../runtime/decide";
import type { RunFacts } from "../../runtime/facts";
import { judge, usage } from "../../runtime/glue-runs";
import { fileOf, place } from "../../runtime/places";
import { breach } from "../../runtime/reports";
import { connect } from "../../runtime/world";
import { folders, placedName } from "../support/folders";

const NOW = Date.parse("2026-11-23T10:00:00Z");
const LIMITS: Limits = {
  maxBatchFiles: 10,
  maxBatchBytes: 100,
  maxAttempts: 3,
  retryPauseSeconds: 60,
  maxRetryPauseSeconds: 600,
};

function batch(state: BatchState, more: Partial<Batch> = {}): Batch {
  const at = "2026-11-23T09:00:00.000Z";
  return {
    batchId: "B",
    state,
    version: 1,
    attempt: 1,
    files: 2,
    bytes: 9,
    claimedAt: at,
    updatedAt: at,
    dueAt: at,
    ...more,
  };
}

function failure(more: Partial<RunFacts & { outcome: "failed" }> = {}): RunFacts {
  return { outcome: "failed", job: "transform", error: "FAILED: boom", filesFault: true, transformed: false, ...more };
}

const action = (one: Batch, facts?: RunFacts) => decide(one, facts, LIMITS, NOW);

describe("what is done next about a batch", () => {
  const table: [string, Batch, RunFacts | undefined, string][] = [
    ["a claimed batch is started", batch("CLAIMED"), undefined, "start"],
    ["a replay's manifest is pointed at the archive", batch("REPLAY"), undefined, "prepare"],
    ["a prepared replay is started", batch("REPLAY", { prepared: true }), undefined, "start"],
    ["a retry waits for its time", batch("RETRY", { nextAttemptAt: "2026-11-23T10:00:30Z" }), undefined, "wait"],
    ["a retry starts at its time", batch("RETRY", { nextAttemptAt: "2026-11-23T10:00:00Z" }), undefined, "start"],
    ["a retry without a time starts", batch("RETRY"), undefined, "start"],
    [
      "a retry dated hours ahead by a wrong clock starts",
      batch("RETRY", { nextAttemptAt: "2026-11-24T10:00:00Z" }),
      undefined,
      "start",
    ],
    ["a running batch is looked at", batch("RUNNING"), undefined, "look"],
    ["a run that works is waited for", batch("RUNNING"), { outcome: "running" }, "wait"],
    ["a first failure is retried", batch("RUNNING"), failure(), "retry"],
    ["the last failure of several files splits them", batch("RUNNING", { dataFailures: 2 }), failure(), "giveUp"],
    [
      "a fault of the system never isolates",
      batch("RUNNING", { dataFailures: 9, failures: 99 }),
      failure({ filesFault: false }),
      "retry",
    ],
    [
      "files that transform once read are never isolated",
      batch("RUNNING", { dataFailures: 2, transformed: true }),
      failure(),
      "retry",
    ],
    ["a replay is never isolated", batch("RUNNING", { dataFailures: 2, replay: true }), failure(), "retry"],
    ["a half with several files is split by its first failure", batch("RUNNING", { parent: "A" }), failure(), "giveUp"],
    ["a half of one file has all its attempts", batch("RUNNING", { parent: "A", files: 1 }), failure(), "retry"],
    [
      "a file that a person wants tried again is put back",
      batch("FAILED", { puttingBack: true }),
      undefined,
      "putBack",
    ],
    ["a processed batch is archived", batch("PROCESSED"), undefined, "archive"],
    ["a split batch is divided", batch("SPLIT"), undefined, "divide"],
    ["a failed batch is isolated", batch("FAILED"), undefined, "isolate"],
    ["an archived batch in flight is released", batch("ARCHIVED"), undefined, "release"],
  ];
  for (const [title, one, facts, expected] of table) it(title, () => assert.equal(action(one, facts).do, expected));

  it("a batch is due until it has a run, and when its pause is over", () => {
    const paused = batch("RETRY", { nextAttemptAt: "2026-11-23T10:00:00Z" });
    assert.deepEqual([isDue(paused, NOW - 1), isDue(paused, NOW), isDue(batch("RETRY"), NOW)], [false, true, true]);
    const states = ["CLAIMED", "REPLAY", "RUNNING", "PROCESSED", "ARCHIVED", "FAILED", "SPLIT"] as const;
    assert.deepEqual(
      states.filter((state) => isDue(batch(state), NOW)),
      ["CLAIMED"],
    );
  });

  it("spent attempts split several files and fail a single one", () => {
    const spent = { dataFailures: 2 };
    assert.deepEqual(action(batch("RUNNING", spent), failure()), {
      do: "giveUp",
      state: "SPLIT",
      job: "transform",
      error: "FAILED: boom",
      failures: 1,
      dataFailures: 3,
    });
    const single = action(batch("RUNNING", { ...spent, files: 1 }), failure());
    assert.equal(single.do === "giveUp" && single.state, "FAILED");
  });

  it("pauses double with each failure in a row, up to the longest", () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 50, 5000].map((failures) => pauseSeconds(failures, LIMITS)),
      [60, 120, 240, 480, 600, 600, 600],
    );
    const third = action(batch("RUNNING", { failures: 2 }), failure({ filesFault: false }));
    assert.equal(third.do === "retry" && third.nextMs - NOW, 240_000);
  });
});

describe("what a workflow run came to", () => {
  const jobs = { transformJob: "t", publishJob: "p" };
  const node = (Name: string, JobRunState: string, ErrorMessage?: string) =>
    ({ Type: "JOB", Name, JobDetails: { JobRuns: [{ JobRunState, ErrorMessage }] } }) as const;
  const run = (Status: string, nodes: unknown[], Statistics = {}) =>
    ({ Status, Graph: { Nodes: nodes }, Statistics }) as WorkflowRun;
  const good = { TotalActions: 2, SucceededActions: 2 };
  const table: [string, WorkflowRun | undefined, string][] = [
    [
      "both jobs succeeded: success",
      run("COMPLETED", [node("t", "SUCCEEDED"), node("p", "SUCCEEDED")], good),
      "succeeded",
    ],
    [
      "COMPLETED with a failed publish",
      run("COMPLETED", [node("t", "SUCCEEDED"), node("p", "FAILED", "x")]),
      "publish FAILED: x",
    ],
    ["COMPLETED with a failed transform", run("COMPLETED", [node("t", "FAILED", "x")]), "transform FAILED: x"],
    [
      "COMPLETED without publish",
      run("COMPLETED", [node("t", "SUCCEEDED")]),
      "publish the workflow run ended as COMPLETED, publish did not start",
    ],
    [
      "COMPLETED without any job",
      run("COMPLETED", []),
      "workflow the workflow run ended as COMPLETED, transform did not start",
    ],
    // AWS's own example of a COMPLETED run has the first counts, a run in public code the second.
    ...[
      { TotalActions: 11, SucceededActions: 9, FailedActions: 0 },
      { TotalActions: 15, SucceededActions: 3, FailedActions: 6, ErroredActions: 1 },
      {},
    ].map((counts): [string, WorkflowRun, string] => [
      `both jobs succeeded, and the run counts ${JSON.stringify(counts)}`,
      run("COMPLETED", [node("t", "SUCCEEDED"), node("p", "SUCCEEDED")], counts),
      "succeeded",
    ]),
    [
      "ERROR though both jobs succeeded",
      run("ERROR", [node("t", "SUCCEEDED"), node("p", "SUCCEEDED")], good),
      "workflow the workflow run ended as ERROR, though both jobs succeeded",
    ],
    [
      "a job still runs in a COMPLETED run",
      run("COMPLETED", [node("t", "SUCCEEDED"), node("p", "RUNNING")]),
      "running",
    ],
    ["a job still stops in a STOPPED run", run("STOPPED", [node("t", "STOPPING")]), "running"],
    [
      "RUNNING though publish is done",
      run("RUNNING", [node("t", "SUCCEEDED"), node("p", "SUCCEEDED")], good),
      "running",
    ],
    ["a job that waits", run("COMPLETED", [node("t", "WAITING")]), "running"],
    ["stopped by a person", run("STOPPED", [node("t", "STOPPED")]), "transform STOPPED (systemic)"],
    ["a job's time ran out", run("COMPLETED", [node("t", "TIMEOUT")]), "transform TIMEOUT"],
    [
      "Glue's own error",
      run("COMPLETED", [node("t", "ERROR", "no capacity")]),
      "transform ERROR: no capacity (systemic)",
    ],
    ["a run that Glue forgot", undefined, "workflow the workflow run is gone: Glue no longer knows it"],
  ];
  for (const [title, one, expected] of table)
    it(`${title}`, () => {
      const judgement = judge(one, jobs);
      const said =
        judgement.outcome === "failed"
          ? `${judgement.job} ${judgement.error}${judgement.systemic ? " (systemic)" : ""}`
          : judgement.outcome;
      assert.equal(said, expected);
    });
});

describe("a run that Glue does not find", () => {
  const after = (ageMs: number) => judge(undefined, { transformJob: "t", publishJob: "p" }, ageMs).outcome;

  it("is running within a minute after its start, and gone later", () => {
    assert.deepEqual([0, 59_999, 60_000, Number.NaN].map(after), ["running", "running", "failed", "failed"]);
  });

  it("is running when another clock, a little ahead, recorded its start", () => {
    assert.deepEqual([-300_000, -900_000].map(after), ["running", "failed"]);
  });
});

describe("what a workflow run used", () => {
  const jobs = { transformJob: "t", publishJob: "p" };
  const used = (Name: string, ...JobRuns: object[]) =>
    usage({ Graph: { Nodes: [{ Type: "JOB", Name, JobDetails: { JobRuns } }] } } as WorkflowRun, jobs);

  it("is what Glue says of a job that scales, not the capacity that it might have taken", () => {
    assert.deepEqual(
      used("t", { Id: "jr_1", JobRunState: "FAILED", ExecutionTime: 60, DPUSeconds: 90, MaxCapacity: 4 }),
      [{ job: "transform", jobRunId: "jr_1", state: "FAILED", seconds: 60, dpuSeconds: 90 }],
    );
  });

  it("is the whole capacity from begin to end, where Glue does not say", () => {
    assert.deepEqual(used("p", { JobRunState: "TIMEOUT", ExecutionTime: 60, MaxCapacity: 0.0625 }), [
      { job: "publish", state: "TIMEOUT", seconds: 60, dpuSeconds: 3.75 },
    ]);
  });

  it("sees each attempt that Glue made", () => {
    const attempt = { JobRunState: "FAILED", ExecutionTime: 5, MaxCapacity: 1 };
    assert.equal(used("p", attempt, { ...attempt, Attempt: 1 }).length, 2);
  });

  it("is not known of a job that never ran, and of a run that is gone", () => {
    assert.deepEqual(used("t", { JobRunState: "ERROR" }), [{ job: "transform", state: "ERROR" }]);
    assert.deepEqual(usage(undefined, jobs), []);
  });
});

describe("a run's reports", () => {
  const manifest: Manifest = {
    batchId: "B",
    claimedAt: "2026-11-23T10:00:00Z",
    files: ["a", "b", "c"].map((name) => ({
      key: `${folders.incoming}${name}`,
      name,
      etag: "e",
      size: 1,
      lastModified: "",
    })),
  };
  const counts = { rowsRead: 5, rowsKept: 3, rowsDuplicate: 1, rowsQuarantined: { bad_id: 1 } };
  const good = {
    batchId: "B",
    workflowRunId: "r",
    ...counts,
    files: [{ name: "a", ...counts }],
    filesQuarantined: [{ name: "b", key: `${folders.incoming}b`, reason: "empty_file" }],
    filesChanged: [{ name: "c", key: `${folders.incoming}c` }],
    days: [],
  };
  const publish = { batchId: "B", workflowRunId: "r" };

  it("that add up are taken", () => assert.equal(breach(manifest, "r", good, publish), undefined));

  const wrong: [string, object | undefined, object | undefined, RegExp][] = [
    ["a missing transform.json", undefined, publish, new RegExp(`^transform: ${fileOf("transformReport")} is missing`)],
    ["another batch's", { ...good, batchId: "X" }, publish, /of batch X/],
    ["an earlier run's", { ...good, workflowRunId: "q" }, publish, /of workflow run q, not of r/],
    ["a total that does not add up", { ...good, rowsKept: 4 }, publish, /does not add up for the batch/],
    [
      "a file that does not add up",
      { ...good, files: [{ name: "a", ...counts, rowsRead: 6 }] },
      publish,
      /does not add up for a/,
    ],
    [
      "files that don't sum up",
      { ...good, files: [], filesChanged: [{ name: "a" }, { name: "c" }] },
      publish,
      /says rowsRead 5, its files 0/,
    ],
    ["a claimed file that is not mentioned", { ...good, filesChanged: [] }, publish, /nothing of the claimed file c/],
    ["a file that was not claimed", { ...good, filesChanged: [{ name: "c" }, { name: "z" }] }, publish, /names z/],
    [
      "a file that was read and quarantined",
      {
        ...good,
        filesQuarantined: [...good.filesQuarantined, { name: "a", key: `${folders.incoming}a`, reason: "not_text" }],
      },
      publish,
      new RegExp(`^transform: ${fileOf("transformReport")} names a twice`),
    ],
    ["a file that is named twice", { ...good, filesChanged: [{ name: "c" }, { name: "c" }] }, publish, /names c twice/],
    ["no row counts", { ...good, rowsRead: "5" }, publish, /lacks row counts/],
    ["no lists", { batchId: "B", workflowRunId: "r" }, publish, /lacks files/],
    ["a missing publish.json", good, undefined, new RegExp(`^publish: ${fileOf("publishReport")} is missing`)],
    ["an earlier run's publish.json", good, { ...publish, workflowRunId: "q" }, /^publish: .*of workflow run q/],
  ];
  for (const [title, transform, published, expected] of wrong)
    it(`${title} fails the run`, () => {
      const found = breach(manifest, "r", transform as never, published as never);
      assert.match(`${found?.job}: ${found?.why}`, expected);
    });
});

describe("a claim", () => {
  it("stops at the file that no longer fits, but takes one at least", () => {
    const sizes = (...all: number[]) => all.map((size) => ({ size }));
    assert.equal(choose(sizes(50, 50, 1), 9, 100).length, 2);
    assert.equal(choose(sizes(999, 1), 9, 100).length, 1);
    assert.equal(choose(sizes(0, 0, 0, 0), 3, 100).length, 3);
    assert.equal(choose(sizes(60, 50, 1), 9, 100).length, 1);
    assert.equal(choose([], 9, 100).length, 0);
  });
});

describe("names", () => {
  it("a batch's id holds the second of its claim and eight characters of chance", () => {
    const zeros = newBatchId(Date.parse("2024-06-25T17:13:13.999Z"), new Uint8Array(5));
    assert.equal(zeros, "20240625T171313Z-AAAAAAAA");
    assert.equal(newBatchId(NOW, Uint8Array.of(255, 255, 255, 255, 255)), "20261123T100000Z-77777777");
  });

  it("a half's id follows from the whole's and sorts with it", () => {
    const halves = [1, 2].map((half) => childBatchId("20240625T171313Z-AAAAAAAA", half));
    assert.deepEqual(
      halves,
      [1, 2].map((half) => childBatchId("20240625T171313Z-AAAAAAAA", half)),
    );
    assert.notEqual(halves[0], halves[1]);
    for (const half of halves) assert.match(half, /^20240625T171313Z-[A-Z2-7]{8}$/);
  });

  it("a name goes into its place as it is", () => {
    const parts = { date: "2026-11-23", batchId: "B", name: "a $& {date} %20+.csv" };
    assert.equal(place("archived", parts), `${folders.archived}2026-11-23/B/a $& {date} %20+.csv`);
  });

  it("a name too long for the place is cut to fit, differs from others, and keeps its suffix", () => {
    const long = (last: string) => `${"é".repeat(505)}${last}.csv.gz`;
    const keys = ["1", "2"].map((last) =>
      place("quarantinedFile", { date: "2026-11-23", batchId: "20240625T171313Z-AAAAAAAA", name: long(last) }),
    );
    for (const key of keys) {
      assert.ok(Buffer.byteLength(key) <= 1024 && Buffer.byteLength(key) > 1000);
      assert.match(key, /~[0-9a-f]{16}\.csv\.gz$/);
      assert.ok(!key.includes("\ufffd"));
    }
    assert.notEqual(keys[0], keys[1]);
  });

  it("no two names have the same place, not even one that looks like a shortened name", () => {
    const long = fc.tuple(
      fc.integer({ min: 940, max: 1015 }),
      fc.constantFrom("n", "é", "日", "😀"),
      fc.constantFrom(".csv", ".CSV.gz", ".csv.gz"),
    );
    const kind = fc.constantFrom("archived" as const, "quarantinedFile" as const, "failed" as const);
    fc.assert(
      fc.property(long, kind, ([bytes, letter, suffix], where) => {
        const whole = letter.repeat((bytes - suffix.length) / Buffer.byteLength(letter)) + suffix;
        // Each looks like the shortened form of the one before.
        const names = [whole];
        for (let twin = 0; twin < 3; twin++) names.push(placedName(where, names.at(-1)!));
        const different = [...new Set(names)];
        const placed = different.map((name) => placedName(where, name));
        assert.equal(new Set(placed).size, different.length);
        assert.ok(placed.every((name) => Buffer.byteLength(name) <= 1015));
      }),
    );
  });

  it("a short name keeps its place, though it ends like a shortened one", () => {
    const name = "n~0123456789abcdef.csv";
    assert.equal(placedName("archived", name), name);
  });

  it("a bad environment is named", () => {
    const env = {
      BUCKET: "b",
      LEDGER_TABLE: "l",
      WORKFLOW: "w",
      TRANSFORM_JOB: "t",
      PUBLISH_JOB: "p",
      LIMITS: JSON.stringify(LIMITS),
    };
    const given = (more: object) => () => connect({} as never, { ...env, ...more });
    assert.deepEqual(given({})().settings.limits, LIMITS);
    assert.throws(given({ WORKFLOW: "" }), /WORKFLOW must be set/);
    assert.throws(given({ LIMITS: "x" }), /LIMITS must be a JSON object/);
    assert.throws(
      given({ LIMITS: JSON.stringify({ ...LIMITS, maxAttempts: 0 }) }),
      /LIMITS.maxAttempts must be a whole number of at least 1, not 0/,
    );
  });
});
