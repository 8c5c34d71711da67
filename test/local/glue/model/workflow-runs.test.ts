import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { JobRun, WorkflowRun } from "@aws-sdk/client-glue";
import { KeptRuns, type RunEntry } from "../../../../local/glue/model/workflow-runs";

describe("workflow runs that the local Glue keeps", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "music-streams-runs-"));
    file = path.join(folder, "runs.ndjson");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (log = (_: string) => {}) => new KeptRuns(file, log);
  const began = new Date("2026-11-23T10:00:00Z");
  const triggers = [{ Name: "start", Type: "ON_DEMAND" as const, Actions: [{ JobName: "transform" }] }];
  const entry = (id: string, run: WorkflowRun, attempts: JobRun[] = []): RunEntry => ({
    run: { Name: "flow", WorkflowRunId: id, StartedOn: began, ...run },
    triggers,
    scope: new Set(),
    fired: new Set(),
    attempts,
    outcomes: new Map(),
  });

  it("are the same after a start when they had ended, with their jobs and times, newest first", () => {
    const kept = open();
    const done = { Status: "COMPLETED", CompletedOn: new Date("2026-11-23T10:01:00Z") } as const;
    const transform = {
      JobName: "transform",
      JobRunState: "SUCCEEDED",
      StartedOn: began,
      Arguments: { "--a": "1", "--switchOn": "yes", StartedOn: "never" },
    } as const;
    kept.write(entry("one", { Status: "RUNNING" }));
    kept.write(entry("one", done, [transform]));
    kept.write(entry("two", done));
    kept.write({ ...entry("three", done), run: { ...entry("three", done).run, Name: "other" } });
    const again = open().of("flow");
    assert.deepEqual(
      again.map(({ run }) => run),
      ["two", "one"].map((id) => entry(id, done).run),
    );
    assert.deepEqual(again[1]!.attempts, [transform]);
    assert.deepEqual([again[1]!.triggers, [...again[1]!.scope]], [triggers, ["transform"]]);
  });

  it("are STOPPED after a start when they were at work, and their jobs with them", () => {
    const attempts = [
      { JobName: "transform", JobRunState: "SUCCEEDED", CompletedOn: began } as const,
      { JobName: "publish", JobRunState: "RUNNING" } as const,
    ];
    open().write(entry("one", { Status: "RUNNING" }, attempts));
    for (const start of [1, 2]) {
      const [{ run, attempts: jobs } = entry("", {})] = open().of("flow");
      assert.equal(run.Status, "STOPPED", `start ${start}`);
      assert.ok(run.CompletedOn! > began);
      assert.deepEqual(
        jobs.map((job) => [job.JobRunState, job.ErrorMessage]),
        [
          ["SUCCEEDED", undefined],
          ["STOPPED", "The local Glue ended during the run."],
        ],
      );
    }
  });

  it("are read up to a line that was cut off, the newest hundred of them", () => {
    const kept = open();
    for (let number = 0; number < 150; number++)
      kept.write(entry(`${number}`, { Status: "COMPLETED", CompletedOn: began }));
    appendFileSync(file, '{"run":{"Name":"flow","Wor');
    const ids = open()
      .of("flow")
      .map(({ run }) => run.WorkflowRunId);
    assert.deepEqual([ids.length, ids[0], ids.at(-1)], [100, "149", "50"]);
    assert.equal(readFileSync(file, "utf8").split("\n").length, 101);
  });

  it("go on when they can't be kept, and the log says so", () => {
    const lines: string[] = [];
    const kept = open((line) => lines.push(line));
    rmSync(folder, { recursive: true });
    kept.write(entry("one", { Status: "RUNNING" }));
    mkdirSync(folder);
    assert.match(lines.join("\n"), /^workflow run one is not kept: ENOENT/);
  });

  it("are none without a file", () => {
    const kept = new KeptRuns(undefined, () => {});
    kept.write(entry("one", { Status: "RUNNING" }));
    assert.deepEqual(kept.of("flow"), []);
  });
});
