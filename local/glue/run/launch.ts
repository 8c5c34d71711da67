import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { delimiter, extname, join } from "node:path";
import { finished } from "node:stream/promises";
import type { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import type { Job } from "@aws-sdk/client-glue";
import { LaunchError } from "../errors";
import type { LocalGlueOptions } from "../options";
import { type Arguments, argv, type RunFacts, resolvedArguments, sparkSettings } from "./arguments";
import { archivedRun } from "./class-archive";
import type { RoleSessions, Session } from "./credentials";
import { jobEnvironment } from "./environment";
import { failureMessage, Tail } from "./failure";
import { LogStream, logsClient } from "./logs";
import { Modules } from "./modules";
import { type Command, type Exit, runCommand } from "./process";
import { type SparkJob, sparkCommand } from "./spark";
import { Staging } from "./staging";
import { Standbys } from "./standby";

export interface Work {
  readonly job: Job;
  readonly arguments: Arguments;
  readonly facts: RunFacts;
  readonly timeoutMinutes: number;
}

/** How to start a run: by a command, or in a Spark that is ready. */
interface Start {
  readonly command: Command;
  readonly spark?: SparkJob;
}

/** Time of a run beyond its timeout, which counts from the process's start: to download, to install, and to end. */
const MARGIN_SECONDS = 3600;

/** What every job can import: the part of AWS's library `awsglue` that the local Glue has. */
const OWN_MODULES = join(__dirname, "..", "..", "python", "jobs");

/** The log group of a run ("Logging for AWS Glue jobs"), which `--custom-logGroup-prefix` can change. */
export function logGroup(job: Job, args: Arguments): string {
  const custom = args["--custom-logGroup-prefix"];
  return custom || (job.Command?.Name === "pythonshell" ? "/aws-glue/python-jobs" : "/aws-glue/jobs");
}

/** Runs the script of a job as a process on this machine. */
export class Launcher {
  private readonly modules: Modules;
  private readonly standbys: Standbys;

  constructor(
    private readonly options: LocalGlueOptions,
    private readonly sessions: RoleSessions,
    private readonly glueEndpoint: () => string,
    private readonly log: (line: string) => void,
  ) {
    this.modules = new Modules(options);
    this.standbys = new Standbys(options, glueEndpoint, log);
  }

  /** Call it when the endpoint is known. */
  ready(): void {
    this.standbys.ready();
  }

  /** Call it when no run is left. */
  async close(): Promise<void> {
    await this.standbys.close();
  }

  logFile(runId: string): string {
    return join(this.options.workDir, "logs", `${runId.replace(/[^\w-]/g, "_")}.log`);
  }

  /**
   * Runs a job to its end. Calls `onStarted` when its process has started.
   * @returns nothing on success, otherwise why it failed
   */
  async run(work: Work, signal: AbortSignal, onStarted: () => void): Promise<string | undefined> {
    const { runId } = work.facts;
    const args = resolvedArguments(work.job, work.arguments);
    const isSpark = work.job.Command?.Name === "glueetl";
    const group = logGroup(work.job, args);
    const tail = new Tail();
    await mkdir(join(this.options.workDir, "logs"), { recursive: true });
    const file = createWriteStream(this.logFile(runId), { flags: "a" });
    file.on("error", (error) => this.log(`log of ${runId} can't be written: ${error.message}`));
    let logs: CloudWatchLogsClient | undefined;
    let streams: Record<"stdout" | "stderr", LogStream> | undefined;
    const write = (stream: "stdout" | "stderr", line: string) => {
      tail.add(stream, line);
      file.write(`${line}\n`);
      streams?.[stream].add(line);
    };
    const standby = this.standbys.begin(isSpark, args);
    const folder = standby?.folder ?? join(this.options.workDir, "runs", runId);
    try {
      await mkdir(join(folder, "tmp"), { recursive: true });
      // Nobody waits for a standby to write it.
      const archived = archivedRun(this.options, folder, this.options.standby !== "always");
      const session = await this.sessions.open(work.job.Role!, work.timeoutMinutes * 60 + MARGIN_SECONDS);
      logs = logsClient(this.options.emulatorEndpoint, this.options.region, session);
      streams = {
        stdout: new LogStream(logs, `${group}/output`, runId, this.log),
        stderr: new LogStream(logs, `${group}/error`, runId, this.log),
      };
      const staging = new Staging(this.options, session, this.modules);
      const { command, spark } = await this.start(
        work,
        { session, staging, folder },
        archived.javaOptions,
        signal,
      ).finally(() => staging.close());
      const exit =
        (spark && (await standby?.run(spark, session, signal, write, onStarted))) ??
        (await runCommand(command, signal, write, onStarted));
      if (succeeded(exit)) await archived.keep();
      return succeeded(exit) ? undefined : failureMessage(exit, tail, isSpark ? "stdout" : "stderr");
    } catch (error) {
      const message = error instanceof LaunchError ? error.message : `LAUNCH ERROR | ${(error as Error).message}`;
      write("stderr", message);
      return message;
    } finally {
      await standby?.close();
      this.standbys.end();
      file.end();
      await Promise.all([streams?.stdout.close(), streams?.stderr.close(), finished(file).catch(() => {})]);
      logs?.destroy();
      await rm(folder, { recursive: true, force: true }).catch(() => {});
    }
  }

  private async start(
    work: Work,
    { session, staging, folder }: { session: Session; staging: Staging; folder: string },
    javaOptions: readonly string[],
    signal: AbortSignal,
  ): Promise<Start> {
    const { job, facts } = work;
    const args = resolvedArguments(job, work.arguments);
    const kind = job.Command?.Name;
    if ((args["--job-language"] ?? "python").toLowerCase() !== "python")
      throw new LaunchError(`LAUNCH ERROR | The local Glue runs Python, not ${args["--job-language"]}`);
    const location = args["--scriptLocation"] || job.Command!.ScriptLocation!;
    const script = await staging.fetch(location, join(folder, "script"), signal);
    if (kind === "glueetl" && extname(script) !== ".py")
      throw new LaunchError(`LAUNCH ERROR | The script of a glueetl job must be a .py file, not ${location}`);
    const pythonPath = await staging.pythonFiles(args["--extra-py-files"], join(folder, "python"), signal);
    const modules = args["--additional-python-modules"];
    const installer = args["--python-modules-installer-option"];
    if (modules) pythonPath.push(await staging.modules(modules, installer, folder, signal));
    // Last, so that a job's own copy of AWS's library wins.
    pythonPath.push(OWN_MODULES);
    const env = jobEnvironment(this.options, session, this.glueEndpoint(), join(folder, "tmp"));
    const list = argv(job, args, facts);
    if (kind !== "glueetl") {
      const path = { PYTHONPATH: pythonPath.join(delimiter) };
      return {
        command: { file: this.options.python, args: [script, ...list], env: { ...env, ...path }, cwd: folder },
      };
    }
    await staging.files(args["--extra-files"], folder, signal);
    const extraJars = await staging.files(args["--extra-jars"], join(folder, "jars"), signal);
    const settings = sparkSettings(args["--conf"]);
    const spark = { name: job.Name!, script, argv: list, pythonPath, extraJars, settings, javaOptions, folder };
    return { command: await sparkCommand(this.options, spark, env), spark };
  }
}

const succeeded = (exit: Exit) => exit.code === 0;
