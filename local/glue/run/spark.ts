import { existsSync, globSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { delimiter, dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import type { LocalGlueOptions } from "../options";
import type { Command } from "./process";

const S3A = "org.apache.hadoop.fs.s3a.S3AFileSystem";

export interface SparkJob {
  readonly name: string;
  readonly script: string;
  readonly argv: readonly string[];
  readonly pythonPath: readonly string[];
  readonly extraJars: readonly string[];
  readonly settings: readonly (readonly [string, string])[];
  /** Java options beyond those of every job. */
  readonly javaOptions: readonly string[];
  /** Folder of the run: working directory, Spark's scratch space, warehouse. */
  readonly folder: string;
}

/**
 * The command of a Spark job on this machine. It starts quickly because the S3 jars stand at the end of the class path
 * (Spark would copy each jar of `--jars` first), Java compiles once and lightly, and there is no web UI.
 */
export async function sparkCommand(options: LocalGlueOptions, job: SparkJob, env: NodeJS.ProcessEnv): Promise<Command> {
  const home = sparkHome(options.sparkSubmit);
  const logging = join(options.workDir, "log4j2.properties");
  await writeFile(logging, LOGGING);
  const java = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", ...job.javaOptions];
  // Log4j takes a URL; in a path it would read `%` and `#` as parts of one.
  const config = `-Dlog4j2.configurationFile=${pathToFileURL(logging)}`;
  const quoted = [...java, `-Djava.io.tmpdir=${job.folder}/tmp`, config];
  const settings: (readonly [string, string])[] = [
    ...speed,
    ["spark.driver.extraJavaOptions", quoted.map((option) => `"${option.replace(/["\\]/g, "\\$&")}"`).join(" ")],
    ...storage(options, job.folder),
    ...job.settings,
    ...loopbackOnly,
  ];
  // Spark reads `#` in a path as the beginning of a name, so it gets paths below its working directory.
  const below = (file: string) => relative(job.folder, file);
  const jars = job.extraJars.length > 0 ? ["--jars", job.extraJars.map(below).join(",")] : [];
  return {
    file: home ? join(home, "bin", "spark-submit") : options.sparkSubmit,
    args: [
      ...["--master", "local[*]", "--name", job.name, "--driver-memory", options.driverMemory ?? "2g"],
      ...settings.flatMap(([key, value]) => ["--conf", `${key}=${value}`]),
      ...jars,
      below(job.script),
      ...job.argv,
    ],
    cwd: job.folder,
    env: {
      ...env,
      ...(home ? { SPARK_HOME: home } : {}),
      PYTHONPATH: job.pythonPath.join(delimiter),
      PYSPARK_PYTHON: options.python,
      PYSPARK_DRIVER_PYTHON: options.python,
      SPARK_LOCAL_IP: "127.0.0.1",
      SPARK_LOCAL_DIRS: join(job.folder, "tmp"),
      SPARK_LAUNCHER_OPTS: "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
      // After Spark's own jars, so that Spark's versions win.
      SPARK_DIST_CLASSPATH: options.sparkJars.join(delimiter),
    },
  };
}

/** Defaults for a small machine. A job's `--conf` overrides them. */
const speed: [string, string][] = [
  ["spark.sql.shuffle.partitions", "8"],
  ["spark.sql.session.timeZone", "UTC"],
  ["spark.ui.showConsoleProgress", "false"],
  ["spark.shutdown.timeout", "5s"],
];

/** Nothing listens on another address, whatever the job sets. */
const loopbackOnly: [string, string][] = [
  ["spark.ui.enabled", "false"],
  ["spark.driver.bindAddress", "127.0.0.1"],
  ["spark.driver.host", "127.0.0.1"],
];

/** `s3://` and `s3a://` go to the emulator. Spark writes everything else to the run's folder. */
function storage(options: LocalGlueOptions, folder: string): [string, string][] {
  const endpoint = options.jobEndpoint ?? options.emulatorEndpoint;
  return [
    ["spark.hadoop.fs.s3.impl", S3A],
    ["spark.hadoop.fs.s3a.impl", S3A],
    ["spark.hadoop.fs.AbstractFileSystem.s3.impl", "org.apache.hadoop.fs.s3a.S3A"],
    ["spark.hadoop.fs.AbstractFileSystem.s3a.impl", "org.apache.hadoop.fs.s3a.S3A"],
    ["spark.hadoop.fs.s3a.endpoint", endpoint],
    ["spark.hadoop.fs.s3a.endpoint.region", options.region],
    ["spark.hadoop.fs.s3a.path.style.access", "true"],
    ["spark.hadoop.fs.s3a.connection.ssl.enabled", String(endpoint.startsWith("https:"))],
    // From the environment: other users of the machine can read a command line.
    [
      "spark.hadoop.fs.s3a.aws.credentials.provider",
      "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
    ],
    ["spark.hadoop.fs.s3a.bucket.probe", "0"],
    ["spark.hadoop.fs.s3a.buffer.dir", join(folder, "tmp")],
    ["spark.hadoop.hadoop.tmp.dir", join(folder, "tmp")],
    ["spark.sql.warehouse.dir", join(folder, "warehouse")],
    ...committer,
  ];
}

/**
 * Tasks upload files to their places, and the driver finishes the uploads when all tasks are done (S3A's magic
 * committer). AWS has its own form of it on S3A (Amazon EMR: Spark MagicCommitProtocol). Spark's usual committer
 * renames files, and on S3 a rename is a copy.
 */
const committer: [string, string][] = [
  ...["s3", "s3a"].map((scheme): [string, string] => [
    `spark.hadoop.mapreduce.outputcommitter.factory.scheme.${scheme}`,
    "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
  ]),
  ["spark.hadoop.fs.s3a.committer.name", "magic"],
  ["spark.hadoop.fs.s3a.committer.magic.track.commits.in.memory.enabled", "true"],
  ["spark.sql.sources.commitProtocolClass", "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol"],
  ["spark.sql.parquet.output.committer.class", "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter"],
];

/** Spark's folder. Without it, spark-submit starts a Python to find it. */
function sparkHome(sparkSubmit: string): string | undefined {
  const root = dirname(dirname(sparkSubmit));
  if (existsSync(join(root, "jars"))) return root;
  return globSync(join(root, "lib", "python3*", "site-packages", "pyspark")).find((home) =>
    existsSync(join(home, "jars")),
  );
}

const LOGGING = `rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
logger.metrics.name = org.apache.hadoop.metrics2
logger.metrics.level = error
logger.config.name = org.apache.spark.sql.execution.command
logger.config.level = error
`;
