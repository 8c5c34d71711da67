import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BatchStopJobRunCommand, StartJobRunCommand } from "@aws-sdk/client-glue";
import { ListObjectsV2Command } from "@aws-sdk/client-s3";
import { strToU8, zipSync } from "fflate";
import {
  BUCKET,
  createJob,
  ended,
  type GlueCloud,
  put,
  runJob,
  sharedGlueCloud,
  until,
} from "../../../support/glue-cloud";

const SCRIPT = `
import json, os, sys
import numbers_of_songs
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.getOrCreate()
songs = spark.read.option("header", True).csv("s3://${BUCKET}/in/songs.csv")
plays = songs.withColumn("n", F.udf(numbers_of_songs.length, "int")("track"))
plays.groupBy("track").agg(F.sum("n").alias("n")).write.mode("overwrite").parquet("s3a://${BUCKET}/out/")
back = spark.read.parquet("s3://${BUCKET}/out/").orderBy("track").collect()
print("FOUND " + json.dumps({
    "rows": [[row.track, row.n] for row in back],
    "argv": sys.argv[1:],
    "conf": [spark.conf.get("spark.sql.ansi.enabled"), spark.conf.get("spark.sql.shuffle.partitions")],
    "version": spark.version,
    "listening": os.popen("ss -Hltnp 2>/dev/null").read(),
    "pids": [os.getpid(), os.getppid()],
}))
`;

describe("Spark jobs of the local Glue", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await sharedGlueCloud();
  });

  it("the first successful Spark job writes the class archive", async () => {
    // Without a session: the archive of a whole Spark takes half a minute.
    await createJob(cloud, "first-spark", "print('done')\n", { Command: { Name: "glueetl" } });
    assert.equal((await runJob(cloud, "first-spark")).JobRunState, "SUCCEEDED");
    assert.equal(readdirSync(join(cloud.workDir, "..", "classes")).filter((name) => name.endsWith(".jsa")).length, 1);
  });

  it("a Spark job reads and writes S3, with its arguments, Python files and settings", async () => {
    await put(cloud, "in/songs.csv", "track\nü 1\nb\nb\n");
    const library = zipSync({ "numbers_of_songs.py": strToU8("def length(track):\n    return len(track)\n") });
    await createJob(cloud, "spark", SCRIPT, {
      Command: { Name: "glueetl" },
      WorkerType: "G.1X",
      NumberOfWorkers: 2,
      DefaultArguments: {
        "--extra-py-files": await put(cloud, "lib/numbers.zip", library),
        "--conf": "spark.sql.ansi.enabled=false --conf spark.sql.shuffle.partitions=3 --conf spark.ui.enabled=true",
        "--word": "schön & gut",
        "--enable-auto-scaling": "true",
      },
    });
    const run = await runJob(cloud, "spark");
    const log = readFileSync(cloud.local.logFile(run.Id!), "utf8");
    assert.equal(run.JobRunState, "SUCCEEDED", log);
    const found = JSON.parse(/^FOUND (.*)$/m.exec(log)![1]!);
    assert.deepEqual(found.rows, [
      ["b", 2],
      ["ü 1", 3],
    ]);
    assert.deepEqual(found.conf, ["false", "3"]);
    assert.equal(found.version, "4.1.1");
    const value = (key: string) => found.argv[found.argv.indexOf(key) + 1];
    assert.deepEqual([value("--JOB_NAME"), value("--JOB_RUN_ID"), value("--word")], ["spark", run.Id, "schön & gut"]);
    const own = (found.listening as string)
      .split("\n")
      .filter((line) => found.pids.some((pid: number) => line.includes(`pid=${pid},`)));
    assert.ok(own.length > 0, "Spark listens for its Python");
    for (const line of own)
      assert.match(line.trim().split(/\s+/)[3]!, /^(127\.0\.0\.1|\[::ffff:127\.0\.0\.1\]|\[::1\]):\d+$/);
    assert.deepEqual([run.LogGroupName, run.MaxCapacity, run.WorkerType], ["/aws-glue/jobs", 2, "G.1X"]);
    assert.ok(run.ExecutionTime! > 0);
    assert.equal(run.DPUSeconds, 2 * run.ExecutionTime!, "a job with auto scaling reports its use");
    const written = await cloud.s3.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: "out/" }));
    assert.ok(written.Contents!.some((object) => object.Key!.endsWith(".parquet")));
  });

  it("a failed Spark job has the reason as its message, without Java's stack", async () => {
    const script = `
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print(spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments())
spark.read.parquet("s3://${BUCKET}/nothing/").count()
`;
    await createJob(cloud, "unspark", script, { Command: { Name: "glueetl" } });
    const run = await runJob(cloud, "unspark");
    assert.equal(run.JobRunState, "FAILED");
    assert.match(run.ErrorMessage!, /PATH_NOT_FOUND.*s3:\/\/glue-tests\/nothing/);
    assert.doesNotMatch(run.ErrorMessage!, /\tat |WARN/);
    // The first job has written the class archive.
    assert.match(readFileSync(cloud.local.logFile(run.Id!), "utf8"), /-XX:SharedArchiveFile=.*\.jsa/);
  });

  it("a stopped Spark job leaves no process", async () => {
    const script = `
import os, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
def slow(x):
    time.sleep(3600)
    return x
print(f"READY {os.getpid()} {os.getppid()}")
spark.sparkContext.parallelize([1, 2]).map(slow).collect()
`;
    await createJob(cloud, "endless", script, { Command: { Name: "glueetl" } });
    const { JobRunId: runId } = await cloud.glue.send(new StartJobRunCommand({ JobName: "endless" }));
    const file = cloud.local.logFile(runId!);
    const log = () => (existsSync(file) ? readFileSync(file, "utf8") : "");
    await until(() => (/READY/.test(log()) ? true : undefined), "Spark");
    const [, java] = /READY \d+ (\d+)/.exec(log())!;
    const workers = await until(() => {
      const found = below(Number(java));
      return found.length > 1 ? found : undefined;
    }, "Spark's Python workers");
    await cloud.glue.send(new BatchStopJobRunCommand({ JobName: "endless", JobRunIds: [runId!] }));
    assert.equal((await ended(cloud, "endless", runId!)).JobRunState, "STOPPED");
    const alive = () => [Number(java), ...workers].filter((pid) => states().has(pid));
    await until(() => alive().length === 0 || undefined, "Spark's processes end");
  });
});

/** Processes that run now, with their parents. */
function states(): Map<number, number> {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" }).split("\n");
  const rows = lines.map((line) => line.trim().split(/\s+/)).filter(([, , stat]) => stat && !stat.startsWith("Z"));
  return new Map(rows.map(([pid, parent]) => [Number(pid), Number(parent)]));
}

function below(root: number): number[] {
  const all = states();
  const reached = new Set([root]);
  for (let size = 0; size !== reached.size; ) {
    size = reached.size;
    for (const [pid, parent] of all) if (reached.has(parent)) reached.add(pid);
  }
  reached.delete(root);
  return [...reached];
}
