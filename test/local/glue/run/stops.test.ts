import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { BatchStopJobRunCommand, GetJobRunCommand, GetJobRunsCommand } from "@aws-sdk/client-glue";
import { typescript } from "../../../support/commands";
import {
  createJob,
  ended,
  type GlueCloud,
  isRunning,
  outputOf,
  pidIn,
  runJob,
  running,
  sharedGlueCloud,
  startAnotherGlue,
  startJob,
  until,
} from "../../../support/glue-cloud";

describe("timeouts and stops of the local Glue", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await sharedGlueCloud();
  });

  it("a run over its timeout is TIMEOUT, its processes are gone, and it isn't retried", async () => {
    const script =
      "import os, subprocess, time\np = subprocess.Popen(['sleep', '987'])\nprint(f'PID {p.pid}')\ntime.sleep(900)\n";
    await createJob(cloud, "slow", script, { Timeout: 1, MaxRetries: 1 });
    const run = await runJob(cloud, "slow");
    assert.equal(run.JobRunState, "TIMEOUT");
    assert.match(run.ErrorMessage!, /timed out after 1 minute/);
    assert.ok(!isRunning(Number(/PID (\d+)/.exec(outputOf(cloud, run.Id!))![1])));
    assert.equal((await cloud.glue.send(new GetJobRunsCommand({ JobName: "slow" }))).JobRuns!.length, 1);
  });

  it("a run's own timeout wins over the job's", async () => {
    await createJob(cloud, "short", "import time\ntime.sleep(900)\n", { Timeout: 2880 });
    assert.equal((await runJob(cloud, "short", { Timeout: 1 })).JobRunState, "TIMEOUT");
  });

  it("a stopped run goes by STOPPING to STOPPED, even when it ignores the request", async () => {
    const script =
      "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(900)\n";
    await createJob(cloud, "stopped", script);
    const runId = await startJob(cloud, "stopped");
    await running(cloud, "stopped", runId);
    await until(() => outputOf(cloud, runId).includes("ready") || undefined, "the script");
    const answer = await cloud.glue.send(
      new BatchStopJobRunCommand({ JobName: "stopped", JobRunIds: [runId, "jr_no"] }),
    );
    assert.deepEqual(answer.SuccessfulSubmissions, [{ JobName: "stopped", JobRunId: runId }]);
    assert.equal(answer.Errors![0]!.ErrorDetail!.ErrorCode, "EntityNotFoundException");
    const { JobRun } = await cloud.glue.send(new GetJobRunCommand({ JobName: "stopped", RunId: runId }));
    assert.equal(JobRun!.JobRunState, "STOPPING");
    assert.equal((await ended(cloud, "stopped", runId)).JobRunState, "STOPPED");
  });

  it("a run can be stopped while its modules are being installed", async () => {
    await createJob(cloud, "early", "print('never')\n", {
      DefaultArguments: { "--additional-python-modules": "iniconfig==1.1.1" },
    });
    const runId = await startJob(cloud, "early");
    await cloud.glue.send(new BatchStopJobRunCommand({ JobName: "early", JobRunIds: [runId] }));
    assert.equal((await ended(cloud, "early", runId)).JobRunState, "STOPPED");
  });

  it("a program that is killed leaves no job behind", async () => {
    const script = `
      const { runCommand } = require("./local/glue/run/process");
      const command = { file: "sleep", args: ["543"], env: process.env, cwd: "/" };
      runCommand(command, new AbortController().signal, () => {}, (pid) => console.log("PID " + pid));
    `;
    const args = ["-r", typescript, "-e", script];
    const program = spawn(process.execPath, args, {
      cwd: join(__dirname, "..", "..", "..", ".."),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(program.stdout, "data")) as [Buffer];
    const pid = Number(/PID (\d+)/.exec(line.toString())![1]);
    assert.ok(isRunning(pid));
    program.kill("SIGKILL");
    try {
      await until(() => (isRunning(pid) ? undefined : true), "its process ends");
    } finally {
      if (isRunning(pid)) process.kill(pid, "SIGKILL");
    }
  });

  it("closing ends the jobs with all of their processes", async () => {
    const other = await startAnotherGlue(cloud, "closing");
    const script =
      "import subprocess, time\np = subprocess.Popen(['sleep', '654'])\nprint(f'PID {p.pid}')\ntime.sleep(900)\n";
    await createJob(other, "left", script);
    const runId = await startJob(other, "left");
    const pid = await pidIn(other, runId);
    await other.close();
    assert.ok(!isRunning(pid));
    assert.equal(other.seen.at(-1)!.JobRunState, "STOPPED");
  });
});
