import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import {
  BatchStopJobRunCommand,
  ConcurrentRunsExceededException,
  EntityNotFoundException,
  GetJobRunCommand,
  GetJobRunsCommand,
  InvalidInputException,
  StartJobRunCommand,
} from "@aws-sdk/client-glue";
import { strToU8, zipSync } from "fflate";
import { LaunchError } from "../../../../local/glue/errors";
import { Modules } from "../../../../local/glue/run/modules";
import { Staging } from "../../../../local/glue/run/staging";
import {
  client,
  createJob,
  ended,
  type GlueCloud,
  put,
  runJob,
  running,
  startGlueCloud,
  until,
} from "../../../support/glue-cloud";

const MINUTE_MS = 1500;

describe("jobs of the local Glue", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await startGlueCloud({ minuteMs: MINUTE_MS, env: { MARK: "from the options" } });
  });
  after(() => cloud.close());

  const logged = (runId: string) => readFileSync(cloud.local.logFile(runId), "utf8");
  const start = async (JobName: string) => (await cloud.glue.send(new StartJobRunCommand({ JobName }))).JobRunId!;
  /** A script that shows what it finds, as one line of JSON. */
  const show = (expression: string) => `import json, os, sys\nprint("FOUND " + json.dumps(${expression}))\n`;
  const found = (runId: string) => JSON.parse(/^FOUND (.*)$/m.exec(logged(runId))![1]!) as never;

  it("a script that ends well is SUCCEEDED, with its times as dates", async () => {
    await createJob(cloud, "well", "import time\ntime.sleep(1.1)\nprint('here I am')\n");
    const run = await runJob(cloud, "well");
    assert.equal(run.JobRunState, "SUCCEEDED");
    assert.match(run.Id!, /^jr_[0-9a-f]{64}$/);
    assert.ok(run.StartedOn instanceof Date && run.CompletedOn instanceof Date && run.CompletedOn > run.StartedOn);
    assert.equal(run.ExecutionTime, 1);
    assert.equal(run.DPUSeconds, undefined, "only a job that scales says what it used");
    assert.equal(run.Attempt, 0);
    assert.equal(run.ErrorMessage, undefined);
    assert.equal(run.LogGroupName, "/aws-glue/python-jobs");
    assert.deepEqual([run.MaxCapacity, run.Timeout, run.GlueVersion], [0.0625, 2880, "3.0"]);
    assert.match(logged(run.Id!), /here I am/);
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

  it("a script that is no Python is FAILED", async () => {
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
    assert.match(logged(run.Id!), /LAUNCH ERROR/);
  });

  it("a job killed from outside is FAILED and names the signal", async () => {
    const script = "import os, time\nprint(f'PID {os.getpid()}')\ntime.sleep(60)\n";
    await createJob(cloud, "killed", script);
    const runId = await start("killed");
    const pid = await until(() => {
      const match = existsSync(cloud.local.logFile(runId)) ? /^PID (\d+)$/m.exec(logged(runId)) : null;
      return match ? Number(match[1]) : undefined;
    }, "the job's process id");
    process.kill(pid, "SIGKILL");
    const run = await ended(cloud, "killed", runId);
    assert.deepEqual([run.JobRunState, run.ErrorMessage], ["FAILED", "Command was killed by signal 9 (SIGKILL)"]);
  });

  it("arguments come as Glue passes them: non-overridable before the run's before the defaults", async () => {
    await createJob(cloud, "arguments", show("sys.argv[1:]"), {
      DefaultArguments: { "--a": "default", "--b": "default", "--c": "default", "--empty": "" },
      NonOverridableArguments: { "--c": "fixed" },
    });
    const given = { "--b": "of the run", "--c": "of the run", "--odd": `a 'b' "c" --d=é\n$HOME *` };
    const run = await runJob(cloud, "arguments", { Arguments: given });
    const argv = found(run.Id!) as string[];
    const value = (key: string) => argv[argv.indexOf(key) + 1];
    assert.deepEqual([value("--a"), value("--b"), value("--c")], ["default", "of the run", "fixed"]);
    assert.equal(value("--odd"), given["--odd"]);
    assert.ok(value("--empty")?.startsWith("--"), "an empty value is a bare key");
    assert.equal(value("--scriptLocation"), "s3://glue-tests/scripts/arguments.py");
    assert.ok(!argv.includes("--WORKFLOW_RUN_ID") && !argv.includes("--JOB_RUN_ID"));
    assert.deepEqual(run.Arguments, given);
  });

  it("a job talks to the emulator and the local Glue, in a session of its role, and not as the user", async () => {
    process.env.AWS_PROFILE = "production";
    process.env.AWS_SESSION_TOKEN = "secret";
    try {
      await createJob(cloud, "environment", show("dict(os.environ)"));
      const run = await runJob(cloud, "environment");
      const env = found(run.Id!) as Record<string, string>;
      assert.equal(env.AWS_ENDPOINT_URL, cloud.emulator);
      assert.equal(env.AWS_ENDPOINT_URL_GLUE, cloud.local.endpoint);
      assert.match(env.AWS_ACCESS_KEY_ID!, /^ASIA/);
      assert.equal(env.AWS_CONFIG_FILE, "/dev/null");
      assert.equal(env.TZ, "UTC");
      assert.equal(env.MARK, "from the options");
      assert.equal(env.AWS_PROFILE, undefined);
      assert.notEqual(env.AWS_SESSION_TOKEN, "secret");
    } finally {
      delete process.env.AWS_PROFILE;
      delete process.env.AWS_SESSION_TOKEN;
    }
  });

  it("extra Python files of every kind can be imported, and a wheel brings its data files", async () => {
    const module = (value: string) => strToU8(`value = "${value}"\n`);
    const info = "extra_wheel-1.0.dist-info";
    const wheel = zipSync({
      "extra_wheel/__init__.py": strToU8(
        "from pathlib import Path\nvalue = (Path(__file__).parent / 'data.txt').read_text()\n",
      ),
      "extra_wheel/data.txt": strToU8("wheel"),
      [`${info}/METADATA`]: strToU8("Metadata-Version: 2.1\nName: extra-wheel\nVersion: 1.0\n"),
      [`${info}/WHEEL`]: strToU8("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
      [`${info}/RECORD`]: strToU8(""),
    });
    const files = [
      await put(cloud, "lib/one.zip", zipSync({ "extra_zip/__init__.py": module("zip") })),
      await put(cloud, "lib/two.egg", zipSync({ "extra_egg.py": module("egg") })),
      await put(cloud, "lib/extra_module.py", module("py")),
      await put(cloud, "lib/extra_wheel-1.0-py3-none-any.whl", wheel),
    ];
    const script = "import extra_zip, extra_egg, extra_module, extra_wheel\n";
    const values = "[m.value for m in (extra_zip, extra_egg, extra_module, extra_wheel)]";
    await createJob(cloud, "files", script + show(values), {
      DefaultArguments: { "--extra-py-files": files.join(",") },
    });
    const run = await runJob(cloud, "files");
    assert.equal(run.ErrorMessage, undefined);
    assert.deepEqual(found(run.Id!), ["zip", "egg", "py", "wheel"]);
  });

  it("additional modules are for the job that asks for them, and installed once", async () => {
    const asked = { "--additional-python-modules": "iniconfig==2.0.0" };
    await createJob(cloud, "modules", `import iniconfig\n${show("iniconfig.__file__")}`, { DefaultArguments: asked });
    const first = await runJob(cloud, "modules");
    assert.equal(first.ErrorMessage, undefined);
    const modules = join(cloud.workDir, "glue", "modules");
    const installed = readdirSync(modules).length;
    const second = await runJob(cloud, "modules");
    assert.ok((found(first.Id!) as string).startsWith(modules));
    assert.deepEqual(found(second.Id!), found(first.Id!));
    assert.equal(readdirSync(modules).length, installed);
  });

  it("a module that can't be installed is a FAILED run with pip's message, and leaves nothing behind", async () => {
    await createJob(cloud, "uninstallable", "print('never')\n", {
      DefaultArguments: { "--additional-python-modules": "iniconfig==999.0" },
    });
    const run = await runJob(cloud, "uninstallable");
    assert.equal(run.JobRunState, "FAILED");
    assert.match(run.ErrorMessage!, /iniconfig==999\.0.*No matching distribution/);
    assert.ok(readdirSync(join(cloud.workDir, "glue", "modules")).every((name) => !name.includes("draft")));
  });

  it("a second run at once is refused, and one after the first is not", async () => {
    await createJob(cloud, "single", "import time\ntime.sleep(0.8)\n");
    const first = await start("single");
    await assert.rejects(start("single"), (error) => {
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
    const first = await start("queued");
    const second = await start("queued");
    const { JobRun } = await cloud.glue.send(new GetJobRunCommand({ JobName: "queued", RunId: second }));
    assert.equal(JobRun!.JobRunState, "WAITING");
    const runs = [await ended(cloud, "queued", first), await ended(cloud, "queued", second)];
    assert.deepEqual(
      runs.map((run) => run.JobRunState),
      ["SUCCEEDED", "SUCCEEDED"],
    );
    assert.ok(runs[1]!.CompletedOn! > runs[0]!.CompletedOn!);
  });

  it("a failed run is tried again as often as the job says, each attempt naming the one before", async () => {
    await createJob(cloud, "retried", "raise RuntimeError('again')\n", { MaxRetries: 2 });
    const first = await start("retried");
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

  it("a run over its timeout is TIMEOUT, its processes are gone, and it isn't retried", async () => {
    const script =
      "import os, subprocess, time\np = subprocess.Popen(['sleep', '987'])\nprint(f'PID {p.pid}')\ntime.sleep(60)\n";
    await createJob(cloud, "slow", script, { Timeout: 1, MaxRetries: 1 });
    const run = await runJob(cloud, "slow");
    assert.equal(run.JobRunState, "TIMEOUT");
    assert.match(run.ErrorMessage!, /timed out after 1 minute/);
    assert.ok(!isAlive(Number(/PID (\d+)/.exec(logged(run.Id!))![1])));
    assert.equal((await cloud.glue.send(new GetJobRunsCommand({ JobName: "slow" }))).JobRuns!.length, 1);
  });

  it("a run's own timeout goes before the job's", async () => {
    await createJob(cloud, "short", "import time\ntime.sleep(60)\n", { Timeout: 2880 });
    assert.equal((await runJob(cloud, "short", { Timeout: 1 })).JobRunState, "TIMEOUT");
  });

  it("a stopped run goes by STOPPING to STOPPED, even when it ignores the request", async () => {
    const script =
      "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(60)\n";
    await createJob(cloud, "stopped", script);
    const runId = await start("stopped");
    await running(cloud, "stopped", runId);
    await until(() => logged(runId).includes("ready") || undefined, "the script");
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
    const runId = await start("early");
    await cloud.glue.send(new BatchStopJobRunCommand({ JobName: "early", JobRunIds: [runId] }));
    assert.equal((await ended(cloud, "early", runId)).JobRunState, "STOPPED");
  });

  it("a run names what went wrong when it can't be started at all", async () => {
    await createJob(cloud, "ray", "print('never')\n", { Command: { Name: "glueray" } });
    await assert.rejects(runJob(cloud, "ray"), InvalidInputException);
    await assert.rejects(runJob(cloud, "no such job"), EntityNotFoundException);
  });

  it("output without end of line, with bad UTF-8 or very long lines is kept", async () => {
    const script = "import sys\nsys.stdout.buffer.write(b'\\xff\\xfe bad\\n' + b'x' * 300000 + b'\\nlast')\n";
    await createJob(cloud, "output", script);
    const run = await runJob(cloud, "output");
    assert.equal(run.JobRunState, "SUCCEEDED");
    assert.match(logged(run.Id!), / bad\nx+\n?x+\nlast\n$/);
  });

  it("a program that is killed leaves no job behind", async () => {
    const script = `
      const { runCommand } = require("./local/glue/run/process");
      const command = { file: "sleep", args: ["543"], env: process.env, cwd: "/" };
      runCommand(command, new AbortController().signal, () => {}, (pid) => console.log("PID " + pid));
    `;
    const args = ["-r", "ts-node/register/transpile-only", "-e", script];
    const program = spawn(process.execPath, args, {
      cwd: join(__dirname, "..", "..", "..", ".."),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(program.stdout, "data")) as [Buffer];
    const pid = Number(/PID (\d+)/.exec(line.toString())![1]);
    assert.ok(isAlive(pid));
    program.kill("SIGKILL");
    try {
      for (let tries = 0; tries < 100 && isAlive(pid); tries += 1) await pause(30);
      assert.ok(!isAlive(pid));
    } finally {
      if (isAlive(pid)) process.kill(pid, "SIGKILL");
    }
  });

  it("a stop at any moment of a script's download ends in an error that is caught", async () => {
    // Answers the head of an object and no more of it than a part.
    const stalled = createServer((_, response) => void response.writeHead(200, { "content-length": 9 }).write("print"));
    await once(stalled.listen(0, "127.0.0.1"), "listening");
    const emulatorEndpoint = `http://127.0.0.1:${(stalled.address() as AddressInfo).port}`;
    const folder = await mkdtemp(join(tmpdir(), "local-glue-staging-"));
    const options = {
      emulatorEndpoint,
      workDir: folder,
      ...client,
      python: "",
      sparkSubmit: "",
      sparkJars: [],
    };
    const session = { accessKeyId: "test", secretAccessKey: "test", sessionToken: "test" };
    const staging = new Staging(options, session, new Modules(options));
    try {
      for (let turns = 0; turns < 60; turns += 1) {
        const controller = new AbortController();
        stalled.once("request", async () => {
          for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
          controller.abort("stop");
        });
        // A folder of its own each time: making it takes a moment, in which the stop may fall.
        const into = join(folder, `${turns}`, "a", "b");
        await assert.rejects(staging.fetch("s3://bucket/script.py", into, controller.signal), LaunchError);
      }
    } finally {
      stalled.closeAllConnections();
      stalled.close();
      await rm(folder, { recursive: true });
    }
  });

  it("closing ends the jobs with all of their processes", async () => {
    const other = await startGlueCloud();
    const script =
      "import subprocess, time\np = subprocess.Popen(['sleep', '654'])\nprint(f'PID {p.pid}')\ntime.sleep(60)\n";
    await createJob(other, "left", script);
    const { JobRunId } = await other.glue.send(new StartJobRunCommand({ JobName: "left" }));
    const log = other.local.logFile(JobRunId!);
    const pid = await until(() => {
      const match = existsSync(log) ? /^PID (\d+)$/m.exec(readFileSync(log, "utf8")) : null;
      return match ? Number(match[1]) : undefined;
    }, "the child's process id");
    await other.close();
    assert.ok(!isAlive(pid));
    assert.equal(other.seen.at(-1)!.JobRunState, "STOPPED");
  });
});

/** Whether a process runs; one that ended and waits for its parent to notice doesn't. */
function isAlive(pid: number): boolean {
  try {
    return !execFileSync("ps", ["-o", "stat=", "-p", `${pid}`], { encoding: "utf8" })
      .trim()
      .startsWith("Z");
  } catch {
    return false;
  }
}
