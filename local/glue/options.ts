import type { JobRun } from "@aws-sdk/client-glue";

/** How to start a local Glue. */
export interface LocalGlueOptions {
  /** Port to listen on, on 127.0.0.1; 0 or nothing for any free one. */
  readonly port?: number;
  /** The emulator (MiniStack) that holds the buckets, rules, log groups and the catalog. */
  readonly emulatorEndpoint: string;
  /** Where jobs reach AWS, when that is not the emulator itself but something in front of it. */
  readonly jobEndpoint?: string;
  readonly region: string;
  /** Keys that may do everything on the emulator. Jobs get sessions of their own roles. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly accountId?: string;
  /** Folder for scripts and logs. */
  readonly workDir: string;
  /** Folder for installed Python modules, which later starts find again; below workDir if not given. */
  readonly modulesDir?: string;
  /** Python of the environment that jobs run in. */
  readonly python: string;
  readonly sparkSubmit: string;
  /** Jars that Spark needs to reach S3 (hadoop-aws and the parts of the AWS SDK that it uses). */
  readonly sparkJars: readonly string[];
  readonly javaHome?: string;
  /** Folder for Java's class archive, which makes every Spark job but the first start faster; none if not given. */
  readonly classArchiveDir?: string;
  /** Variables for every job, on top of the clean environment that it gets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Memory of Spark's one process, as `--driver-memory` takes it. */
  readonly driverMemory?: string;
  /** Length of the minute in which timeouts are counted. */
  readonly minuteMs?: number;
  readonly log?: (line: string) => void;
  /** Called at every change of state of a job run, with a copy of the run. */
  readonly onJobRun?: (run: JobRun) => void;
}
