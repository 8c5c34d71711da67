import type { JobRun } from "@aws-sdk/client-glue";

/** How to start a local Glue. */
export interface LocalGlueOptions {
  /** Port on 127.0.0.1. 0 (the default) takes any free port. */
  readonly port?: number;
  /** The emulator (MiniStack) that holds the buckets, rules, log groups and the catalog. */
  readonly emulatorEndpoint: string;
  /** The endpoint that jobs call, if something stands in front of the emulator. */
  readonly jobEndpoint?: string;
  readonly region: string;
  /** Credentials that may do everything on the emulator. Jobs get sessions of their own roles. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly accountId?: string;
  /** Folder for scripts and logs. */
  readonly workDir: string;
  /** Folder that keeps installed Python modules for later starts. Default: below workDir. */
  readonly modulesDir?: string;
  /** File that keeps workflow runs with their job runs from one start to the next. Default: none are kept. */
  readonly runsFile?: string;
  /** Python of the environment that jobs run in. */
  readonly python: string;
  readonly sparkSubmit: string;
  /** Jars that Spark needs for S3: hadoop-aws, the parts of the AWS SDK that it uses, and the way to its committer. */
  readonly sparkJars: readonly string[];
  readonly javaHome?: string;
  /** Folder for Java's class archive, with which every Spark job after the first starts faster. Default: no archive. */
  readonly classArchiveDir?: string;
  /**
   * Keeps a Spark process ready for the next run: "first" for the first run alone, "always" for each. Default: every
   * run starts a process of its own.
   */
  readonly standby?: "first" | "always" | undefined;
  /** Environment variables added to every job's clean environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Memory of the Spark process, as a value of `--driver-memory`. */
  readonly driverMemory?: string;
  /** Milliseconds in a minute of a timeout. Tests make it shorter. */
  readonly minuteMs?: number;
  readonly log?: (line: string) => void;
  /** Called on every state change of a job run, with a copy of the run. */
  readonly onJobRun?: (run: JobRun) => void;
}
