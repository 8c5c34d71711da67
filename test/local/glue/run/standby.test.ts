import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { BatchStopJobRunCommand, type CreateJobCommandInput, type JobRun } from "@aws-sdk/client-glue";
import type { LocalGlueOptions } from "../../../../local/glue/options";
import { FULL } from "../../../support/full";
import {
  BUCKET,
  createJob,
  ended,
  type GlueCloud,
  isRunning,
  outputOf,
  pidIn,
  put,
  runJob,
  sharedGlueCloud,
  startAnotherGlue,
  startJob,
  until,
} from "../../../support/glue-cloud";
import { createRole } from "../../../support/roles";

const FOLDER = `s3://${BUCKET}/standby`;

/** Prints what a script may depend on: first what it finds, then what Spark and its Python workers see. */
const REPORT = `
import json, os, sys
seen = {
    "environment": dict(os.environ), "argv": sys.argv, "path": list(sys.path), "folder": os.getcwd(),
    "files": sorted(os.listdir()), "script": [__name__, __file__, sorted(globals())], "modules": sorted(sys.modules),
    "python": [sys.executable, str(sys.flags), sys.stdout.encoding],
}
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
context = spark.sparkContext
def worker(_):
    import own_library
    return json.dumps({"environment": dict(os.environ), "path": sys.path, "folder": os.getcwd(), "is": own_library.MINE})
seen |= {
    "session": {row.key: row.value for row in spark.sql("SET").collect()},
    "spark": dict(context.getConf().getAll()),
    "hadoop": {pair.getKey(): pair.getValue() for pair in context._jsc.hadoopConfiguration().iterator()},
    "java": dict(spark._jvm.java.lang.System.getProperties()),
    "worker": json.loads(context.parallelize([1], 1).map(worker).first()),
    "left": [context.parallelize([1]).id(), len(context._jsc.getPersistentRDDs()), len(spark.catalog.listTables())],
}
rows = spark.read.option("header", True).csv("${FOLDER}/songs.csv")
rows.groupBy("track").count().write.mode("overwrite").parquet("${FOLDER.replace("s3:", "s3a:")}/out/")
seen["rows"] = [list(row) for row in spark.read.parquet("${FOLDER}/out/").orderBy("track").collect()]
print("SEEN " + json.dumps(seen))
`;

/** What differs between any two runs, in values that `neutral` does not replace. */
const OF_A_RUN = [
  /^(environment|worker\.environment)\.AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|ENDPOINT_URL_GLUE)$/,
  /^environment\.PYSPARK_GATEWAY_(PORT|SECRET)$/,
  /^worker\.environment\.PYTHON_WORKER_FACTORY_SECRET$/,
  /^(spark|session|java)\.spark\.(app\.(id|startTime|submitTime)|driver\.port)$/,
  /^hadoop\.fs\.s3a\.(access\.key|secret\.key|session\.token)$/,
  /^hadoop\.fs\.s3n?\.aws(AccessKeyId|SecretAccessKey)$/,
];

/** What differs in a standby: where Java takes from what it can't take from its environment. */
const OF_A_STANDBY = [
  /^java\.aws\.(accessKeyId|secretAccessKey|sessionToken)$/,
  /^(spark|session|java)\.spark\.hadoop\.fs\.s3a\.(access\.key|secret\.key|session\.token)$/,
  /^((spark|session|java)\.spark\.)?hadoop\.fs\.s3a\.aws\.credentials\.provider$/,
  /^(spark|session|java)\.spark\.executorEnv\.(PYTHONPATH|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN))$/,
  /^java\.sun\.java\.command$/,
];

/** Prints its process and that of Java, which runs as `java ... tmp/standby.py` in a standby. */
const PIDS = "import os\nprint(f'PID {os.getpid()}')\nprint(f'JAVA {os.getppid()}')\n";

describe("the standby of the local Glue", () => {
  let shared: GlueCloud;
  let cold: GlueCloud;
  let cloud: GlueCloud;
  const clouds: GlueCloud[] = [];
  const start = async (name: string, options: Partial<LocalGlueOptions>) => {
    const started = await startAnotherGlue(shared, name, options);
    clouds.push(started);
    return started;
  };
  before(async function () {
    // With less, there is no standby.
    if (process.availableMemory() < 6 * 1024 ** 3) return this.skip();
    shared = await sharedGlueCloud();
    cold = await start("without-standby", {});
    cloud = await start("with-standby", { standby: "always" });
  });
  after(async () => {
    for (const each of clouds) await each.close();
  });

  const sparkJob = (on: GlueCloud, name: string, script: string, more: Partial<CreateJobCommandInput> = {}) =>
    createJob(on, name, script, { Command: { Name: "glueetl" }, ...more });
  /** Runs a job in a standby. */
  const runInStandby = async (on: GlueCloud, name: string): Promise<JobRun> => {
    const folder = await standbyOf(on);
    const run = await runJob(on, name);
    assert.ok(!existsSync(folder), "the run took the standby and removed its folder");
    assert.deepEqual(withoutStates(on), [], "the standby answered");
    return run;
  };

  /** Each of these waits for a standby, some ten seconds. */
  const atFullCount = (title: string, test: () => Promise<void>) => FULL && it(title, test);

  atFullCount("a script finds in it what it finds in a process of its own", async () => {
    await put(cloud, "standby/songs.csv", "track\nb\na\nb\n");
    const library = await put(cloud, "standby/own_library.py", "MINE = True\n");
    const more = { DefaultArguments: { "--extra-py-files": library, "--word": "schön & gut", "--empty": "" } };
    const [own, standby] = [await report(cold, runJob), await report(cloud, runInStandby)];
    async function report(on: GlueCloud, run: (on: GlueCloud, name: string) => Promise<JobRun>) {
      await sparkJob(on, "report", REPORT, more);
      const { Id, JobRunState } = await run(on, "report");
      const output = outputOf(on, Id!);
      assert.equal(JobRunState, "SUCCEEDED", output);
      const seen = /^SEEN (.*)$/m.exec(output)![1]!;
      return flat(JSON.parse(neutral(seen, on, JSON.parse(seen).folder)));
    }
    const different = [...new Set([...own.keys(), ...standby.keys()])].filter(
      (key) => own.get(key) !== standby.get(key),
    );
    const isKnown = (key: string) => [...OF_A_RUN, ...OF_A_STANDBY].some((known) => known.test(key));
    const unknown = different.filter((key) => !isKnown(key));
    assert.deepEqual(
      unknown.map((key) => [key, own.get(key), standby.get(key)]),
      [],
    );
    assert.ok(different.includes("java.sun.java.command"), "one of them ran in a standby");
    assert.equal(standby.get("worker.environment.AWS_SESSION_TOKEN"), standby.get("environment.AWS_SESSION_TOKEN"));
    assert.equal(standby.get("hadoop.fs.s3a.session.token"), standby.get("environment.AWS_SESSION_TOKEN"));
    assert.equal(standby.get("rows[1][1]"), "2");
  });

  it("serves one run, and the next one gets another", async () => {
    await sparkJob(cloud, "pids", PIDS);
    const seen = new Set<string>();
    for (let run = 0; run < 2; run++) {
      const { Id } = await runInStandby(cloud, "pids");
      for (const [, pid] of outputOf(cloud, Id!).matchAll(/^(?:PID|JAVA) (\d+)$/gm)) {
        seen.add(pid!);
        assert.ok(!isRunning(Number(pid)));
      }
    }
    assert.equal(seen.size, 4);
  });

  const failures = {
    raises: "def f():\n    raise ValueError('boom')\nf()\n",
    exits: "import sys\nprint('before')\nsys.exit(3)\n",
    syntax: "def f(:\n",
    killed: "import os\nos.kill(os.getpid(), 9)\n",
  };
  for (const [name, script] of Object.entries(failures))
    atFullCount(`a script that fails (${name}) fails as in a process of its own`, async () => {
      for (const on of [cold, cloud]) await sparkJob(on, name, script);
      const [own, standby] = [await runJob(cold, name), await runInStandby(cloud, name)];
      assert.equal(own.JobRunState, "FAILED");
      assert.deepEqual([standby.JobRunState, standby.ErrorMessage], [own.JobRunState, own.ErrorMessage]);
    });

  atFullCount("a role without a permission is refused", async () => {
    const actions = ["s3:GetObject", "s3:ListBucket", "logs:*"];
    await createRole(cloud.emulator, "standby-reader", { service: "glue.amazonaws.com", actions });
    const script = `
from pyspark.sql import SparkSession
rows = SparkSession.builder.getOrCreate().read.text("${FOLDER}/songs.csv")
print(f"READ {rows.count()}")
rows.write.text("${FOLDER}/refused/")
`;
    await put(cloud, "standby/songs.csv", "track\nb\na\nb\n");
    await sparkJob(cloud, "reader", script, { Role: "standby-reader" });
    const run = await runInStandby(cloud, "reader");
    assert.match(outputOf(cloud, run.Id!), /^READ 4$/m);
    assert.equal(run.JobRunState, "FAILED");
    assert.match(run.ErrorMessage!, /AccessDenied/);
  });

  it("a stopped run leaves no process", async () => {
    await sparkJob(cloud, "stopped-standby", `${PIDS}import time\ntime.sleep(900)\n`);
    await standbyOf(cloud);
    const runId = await startJob(cloud, "stopped-standby");
    const pid = await pidIn(cloud, runId);
    const java = Number(/^JAVA (\d+)$/m.exec(await until(() => whole(cloud, runId), "both lines"))![1]);
    await cloud.glue.send(new BatchStopJobRunCommand({ JobName: "stopped-standby", JobRunIds: [runId] }));
    assert.equal((await ended(cloud, "stopped-standby", runId)).JobRunState, "STOPPED");
    assert.deepEqual([isRunning(pid), isRunning(java)], [false, false]);
  });

  atFullCount("a run that is stopped before its script starts leaves no process", async () => {
    await sparkJob(cloud, "stopped-early", PIDS);
    const folder = await standbyOf(cloud);
    const java = await until(() => javaOf(folder), "its Java");
    const runId = await startJob(cloud, "stopped-early");
    await cloud.glue.send(new BatchStopJobRunCommand({ JobName: "stopped-early", JobRunIds: [runId] }));
    assert.equal((await ended(cloud, "stopped-early", runId)).JobRunState, "STOPPED");
    assert.deepEqual([isRunning(java), existsSync(folder)], [false, false]);
    assert.doesNotMatch(outputOf(cloud, runId), /PID/);
  });

  atFullCount("a run starts without it when it has died, and when the job has settings of its own", async () => {
    await sparkJob(cloud, "pids-again", PIDS);
    await standbyOf(cloud);
    const run = await runJob(cloud, "pids-again", { Arguments: { "--conf": "spark.sql.ansi.enabled=false" } });
    assert.equal(run.JobRunState, "SUCCEEDED");
    const folder = await standbyOf(cloud);
    const java = await until(() => javaOf(folder), "its Java");
    process.kill(java, "SIGKILL");
    await until(() => !isRunning(java) || undefined, "its end");
    assert.equal((await runJob(cloud, "pids-again")).JobRunState, "SUCCEEDED");
    assert.match(withoutStates(cloud).join("\n"), /The standby has ended, and runs start without it: .*SIGKILL/);
    cloud.lines.length = 0;
  });

  atFullCount("has Java's class archive, which no run waits for; closing ends it", async () => {
    const other = await start("archive", { standby: "always", classArchiveDir: join(cloud.workDir, "classes") });
    const print = "import subprocess\nprint(subprocess.check_output(['ps', '-o', 'args=', '-p', str(os.getppid())]))\n";
    await sparkJob(other, "pids-first", PIDS + print);
    const commandOf = (java: number) => execFileSync("ps", ["-o", "args=", "-p", `${java}`], { encoding: "utf8" });
    const first = await until(async () => javaOf(await standbyOf(other)), "a standby before there is an archive");
    assert.doesNotMatch(commandOf(first), /-XX:(ArchiveClassesAtExit|SharedArchiveFile)/);
    const { Id, JobRunState } = await runJob(other, "pids-first");
    assert.equal(JobRunState, "SUCCEEDED");
    assert.match(outputOf(other, Id!), /java .*-XX:/);
    assert.doesNotMatch(outputOf(other, Id!), /-XX:(ArchiveClassesAtExit|SharedArchiveFile)/);
    const writer = await until(async () => javaOf(await standbyOf(other)), "the process that writes it");
    assert.match(commandOf(writer), /-XX:ArchiveClassesAtExit=\S+\.jsa/);
    await until(() => !isRunning(writer) || undefined, "its end");
    // Its folder may be there a moment longer.
    const java = await until(async () => javaOf(await standbyOf(other)), "the Java of the standby");
    const folder = await standbyOf(other);
    assert.match(commandOf(java), /-XX:SharedArchiveFile=\S+\.jsa/);
    await other.close();
    assert.deepEqual([isRunning(java), existsSync(folder)], [false, false]);
  });
});

/** The folder of the standby that waits. */
function standbyOf({ workDir }: GlueCloud): Promise<string> {
  const runs = join(workDir, "runs");
  return until(() => {
    const name = existsSync(runs) && readdirSync(runs).find((each) => each.startsWith("standby-"));
    return name ? join(runs, name) : undefined;
  }, "a standby");
}

/** The Java that has a file of this folder on its command line. */
function javaOf(folder: string): number | undefined {
  const lines = execFileSync("ps", ["-A", "-ww", "-o", "pid=,args="], { encoding: "utf8" }).split("\n");
  const found = lines.find((line) => /^\s*\d+ \S*\/java /.test(line) && line.includes(folder));
  return found === undefined ? undefined : Number.parseInt(found, 10);
}

/** The output of a run, once it has the last line of PIDS. */
const whole = (cloud: GlueCloud, runId: string) =>
  /^JAVA \d+$/m.test(outputOf(cloud, runId)) ? outputOf(cloud, runId) : undefined;

/** The log of a local Glue, but for the states of runs. */
const withoutStates = ({ lines }: GlueCloud) => lines.filter((line) => !line.startsWith("job "));

/** A text without the folder, the ids and the random names of a run. */
function neutral(text: string, { workDir }: GlueCloud, folder: string): string {
  return [folder, workDir, encodeURI(workDir).replaceAll("#", "%23")]
    .reduce((rest, name) => rest.replaceAll(name, "FOLDER"), text)
    .replace(/\b(jr?)_[0-9a-f]{64}/g, "$1_ID")
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID");
}

/** The leaves of a value, by their paths. */
function flat(value: unknown, path = "", found = new Map<string, string>()): Map<string, string> {
  if (Array.isArray(value)) for (const [at, each] of value.entries()) flat(each, `${path}[${at}]`, found);
  else if (value !== null && typeof value === "object")
    for (const [key, each] of Object.entries(value)) flat(each, path ? `${path}.${key}` : key, found);
  else found.set(path, String(value));
  return found;
}
