import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import {
  ConcurrentRunsExceededException,
  EntityNotFoundException,
  GetJobRunCommand,
  GetJobRunsCommand,
  InvalidInputException,
} from "@aws-sdk/client-glue";
import {
  createJob,
  ended,
  type GlueCloud,
  outputOf,
  pidIn,
  runJob,
  sharedGlueCloud,
  startJob,
  until,
} from "../../../support/glue-cloud";

describe("jobs of the local Glue", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await sharedGlueCloud();
  });

  it("a script that ends well is SUCCEEDED, with its times as dates", async () => {
    await createJob(cloud, "well", "import time\ntime.sleep(1.1)\nprint('here I am')\n");
    const run = await runJob(cloud, "well");
    assert.equal(run.JobRunState, "SUCCEEDED");
    assert.match(run.Id!, /^jr_[0-9a-f]{64}$/);
    assert.ok(run.StartedOn instanceof Date && run.CompletedOn instanceof Date && run.CompletedOn > run.StartedOn);
    assert.equal(run.ExecutionTime, 1);
    assert.equal(run.DPUSeconds, undefined, "only a job with auto scaling reports its use");
    assert.equal(run.Attempt, 0);
    assert.equal(run.ErrorMessage, undefined);
    assert.equal(run.LogGroupName, "/aws-glue/python-jobs");
    assert.deepEqual([run.MaxCapacity, run.Timeout, run.GlueVersion], [0.0625, 2880, "3.0"]);
    assert.match(outputOf(cloud, run.Id!), /here I am/);
    const states = cloud.seen.filter((each) => each.Id === run.Id).map((each) => each.JobRunState);
    assert.deepEqual(states, ["STARTING", "RUNNING", "SUCCEEDED"]);
  });

  it("a script that raises is FAILED with the end of its traceback", async () => {
    await createJob(cloud, "raises", "def f():\n    raise ValueError('boom')\nf()\n");
    const run = await runJob(cloud, "raises");
    assert.deepEqual([run.JobRunState, run.ErrorMessage], ["FAILED", "ValueError: boom"]);
  });

  it("a line ERROR: of the script is the message of the failure, before any traceback", async () => {
    const script =
      "import sys\nprint('ERROR: first')\nprint('ERROR: bucket x has no users')\nraise SystemError('late')\n";
    await createJob(cloud, "says", script);
    assert.equal((await runJob(cloud, "says")).ErrorMessage, "bucket x has no users");
  });

  it("an exit code alone is a failure that names it", async () => {
    await createJob(cloud, "exits", "import sys\nsys.exit(3)\n");
    const run = await runJob(cloud, "exits");
    assert.deepEqual([run.JobRunState, run.ErrorMessage], ["FAILED", "Command failed with exit code 3"]);
  });

  it("a script with a syntax error is FAILED", async () => {
    await createJob(cloud, "syntax", "def f(:\n");
    const run = await runJob(cloud, "syntax");
    assert.equal(run.JobRunState, "FAILED");
    assert.match(run.ErrorMessage!, /SyntaxError/);
  });

  it("a missing script is a FAILED run, never a SUCCEEDED one", async () => {
    await createJob(cloud, "missing", "print('never')\n");
    const run = await runJob(cloud, "missing", { Arguments: { "--scriptLocation": "s3://glue-tests/no such.py" } });
    assert.equal(run.JobRunState, "FAILED");
    assert.match(run.ErrorMessage!, /Error downloading from S3 for bucket: glue-tests, key: no such\.py.*exist/);
    assert.match(outputOf(cloud, run.Id!), /LAUNCH ERROR/);
  });

  it("a job killed from outside is FAILED and names the signal", async () => {
    const script = "import os, time\nprint(f'PID {os.getpid()}')\ntime.sleep(900)\n";
    await createJob(cloud, "killed", script);
    const runId = await startJob(cloud, "killed");
    const pid = await pidIn(cloud, runId);
    process.kill(pid, "SIGKILL");
    const run = await ended(cloud, "killed", runId);
    assert.deepEqual([run.JobRunState, run.ErrorMessage], ["FAILED", "Command was killed by signal 9 (SIGKILL)"]);
  });

  it("a second run beside the first is refused, and one after it is not", async () => {
    await createJob(cloud, "single", "import time\ntime.sleep(0.8)\n");
    const first = await startJob(cloud, "single");
    await assert.rejects(startJob(cloud, "single"), (error) => {
      assert.ok(error instanceof ConcurrentRunsExceededException);
      assert.equal(error.message, "Concurrent runs exceeded for single");
      return true;
    });
    assert.equal((await ended(cloud, "single", first)).JobRunState, "SUCCEEDED");
    assert.equal((await runJob(cloud, "single")).JobRunState, "SUCCEEDED");
    const { JobRuns } = await cloud.glue.send(new GetJobRunsCommand({ JobName: "single" }));
    assert.equal(JobRuns!.length, 2);
    assert.equal(JobRuns![1]!.Id, first);
  });

  it("with queuing, a second run waits for the first", async () => {
    await createJob(cloud, "queued", "import time\ntime.sleep(0.5)\n", { JobRunQueuingEnabled: true });
    const first = await startJob(cloud, "queued");
    const second = await startJob(cloud, "queued");
    const { JobRun } = await cloud.glue.send(new GetJobRunCommand({ JobName: "queued", RunId: second }));
    assert.equal(JobRun!.JobRunState, "WAITING");
    const runs = [await ended(cloud, "queued", first), await ended(cloud, "queued", second)];
    assert.deepEqual(
      runs.map((run) => run.JobRunState),
      ["SUCCEEDED", "SUCCEEDED"],
    );
    assert.ok(runs[1]!.CompletedOn! > runs[0]!.CompletedOn!);
  });

  it("a failed run is retried up to MaxRetries, and each attempt names the one before", async () => {
    await createJob(cloud, "retried", "raise RuntimeError('again')\n", { MaxRetries: 2 });
    const first = await startJob(cloud, "retried");
    const last = await ended(
      cloud,
      "retried",
      await until(async () => {
        const { JobRuns } = await cloud.glue.send(new GetJobRunsCommand({ JobName: "retried" }));
        return JobRuns!.find((run) => run.Attempt === 2)?.Id;
      }, "the second retry"),
    );
    assert.deepEqual([last.Id, last.PreviousRunId], [`${first}_attempt_2`, `${first}_attempt_1`]);
    assert.equal(last.JobRunState, "FAILED");
    await pause(300);
    const { JobRuns } = await cloud.glue.send(new GetJobRunsCommand({ JobName: "retried" }));
    assert.deepEqual(
      JobRuns!.map((run) => run.Attempt),
      [2, 1, 0],
    );
  });

  it("a run that can't be started is an error with the reason", async () => {
    await createJob(cloud, "ray", "print('never')\n", { Command: { Name: "glueray" } });
    await assert.rejects(runJob(cloud, "ray"), InvalidInputException);
    await assert.rejects(runJob(cloud, "no such job"), EntityNotFoundException);
  });

  it("output without end of line, with bad UTF-8 or very long lines is kept", async () => {
    const script = "import sys\nsys.stdout.buffer.write(b'\\xff\\xfe bad\\n' + b'x' * 300000 + b'\\nlast')\n";
    await createJob(cloud, "output", script);
    const run = await runJob(cloud, "output");
    assert.equal(run.JobRunState, "SUCCEEDED");
    assert.match(outputOf(cloud, run.Id!), / bad\nx+\n?x+\nlast\n$/);
  });
});
