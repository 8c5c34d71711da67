import { randomUUID } from "node:crypto";
import { copyFile, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { constants, setPriority } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { LocalGlueOptions } from "../options";
import type { Arguments } from "./arguments";
import { type ArchivedRun, archivedRun } from "./class-archive";
import type { Session } from "./credentials";
import { jobEnvironment, sessionVariables } from "./environment";
import { failureMessage, Tail } from "./failure";
import { type Exit, runCommand, type Stream } from "./process";
import { type SparkJob, sparkCommand } from "./spark";

type OnLine = (stream: Stream, line: string) => void;
type Log = (line: string) => void;

const SCRIPT = join(__dirname, "..", "..", "python", "standby.py");
/** The session of a standby without a run. No emulator knows it. */
const NOBODY: Session = { accessKeyId: "nobody", secretAccessKey: "nobody", sessionToken: "nobody" };
/** S3A usually takes credentials from the environment, which a Java process can't change. */
const FROM_SETTINGS = [
  "spark.hadoop.fs.s3a.aws.credentials.provider",
  "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider",
] as const;
const NEEDED_BYTES = 4 * 1024 ** 3;
/** Longer than the pause between two jobs of a workflow, whose CPU the warm-up would take. */
const QUIET_MS = 3000;
/** A standby that still warms up looks for the order after each step. */
const ANSWER_MS = 60_000;

/** Keeps one Spark process ready for the next run, if the options say so. */
export class Standbys {
  private next: Standby | undefined;
  /** Writes Java's class archive. */
  private writer: Standby | undefined;
  private timer: NodeJS.Timeout | undefined;
  private running = 0;
  private isClosed = false;

  constructor(
    private readonly options: LocalGlueOptions,
    private readonly glueEndpoint: () => string,
    private readonly log: Log,
  ) {}

  /** Readies one, unless memory is short, or the first run is to write Java's class archive. */
  ready(): void {
    if (!this.options.standby || this.isClosed || this.next || process.availableMemory() < NEEDED_BYTES) return;
    const standby = this.standby(this.options.standby === "first");
    if (!standby.writesArchive) this.next = standby.start();
  }

  /** A run begins. @returns the process in which it may run; its folder must be the run's */
  begin(isSpark: boolean, args: Arguments): Standby | undefined {
    this.running += 1;
    clearTimeout(this.timer);
    // Both count when Java starts. Most settings don't, but a run without any can't differ.
    if (!isSpark || args["--conf"] || args["--extra-jars"]) return undefined;
    const taken = this.next;
    this.next = undefined;
    return taken;
  }

  /** A run has ended. */
  end(): void {
    this.running -= 1;
    if (this.running > 0 || this.options.standby !== "always") return;
    const prepare = async () => {
      await this.writeArchive();
      // A run that began meanwhile calls this again at its end.
      if (this.running === 0) this.ready();
    };
    const failed = (error: Error) => this.log(`Java's class archive can't be kept: ${error.message}`);
    this.timer = setTimeout(() => void prepare().catch(failed), QUIET_MS).unref();
  }

  /** Call it when no run can begin any more. */
  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    await Promise.all([this.next?.close(), this.writer?.close()]);
  }

  private async writeArchive(): Promise<void> {
    const standby = this.standby(true);
    if (!standby.writesArchive || this.writer) return;
    this.writer = standby.start();
    await this.writer.ended().finally(() => {
      this.writer = undefined;
    });
  }

  private standby(mayWrite: boolean): Standby {
    const folder = join(this.options.workDir, "runs", `standby-${randomUUID()}`);
    return new Standby(
      folder,
      this.options,
      archivedRun(this.options, folder, mayWrite),
      this.glueEndpoint(),
      this.log,
    );
  }
}

/** A process that has started Spark and waits for its one run, or only writes Java's class archive. */
export class Standby {
  private readonly abort = new AbortController();
  private readonly tail = new Tail();
  private exit: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  /** What to do at the script's start, and with each line from then on. */
  private onStarted: (() => void) | undefined;
  private onLine: OnLine | undefined;

  constructor(
    readonly folder: string,
    private readonly options: LocalGlueOptions,
    private readonly archived: ArchivedRun,
    private readonly glueEndpoint: string,
    private readonly log: Log,
  ) {}

  get writesArchive(): boolean {
    return this.archived.writes;
  }

  start(): this {
    this.exit = this.spawn().catch((error: Error) => {
      this.tail.add("stdout", error.message);
      return { code: 1, signal: null };
    });
    this.exit.then((exit) => {
      if (exit.code !== 0 && !this.onLine && !this.abort.signal.aborted)
        this.log(`The standby has ended, and runs start without it: ${failureMessage(exit, this.tail, "stdout")}`);
    });
    return this;
  }

  /** Waits for its end, and keeps the class archive that it wrote. */
  async ended(): Promise<void> {
    const { code } = await this.exit;
    if (code === 0) await this.archived.keep();
    await this.close();
  }

  private async spawn(): Promise<Exit> {
    const { folder, options } = this;
    const script = join(folder, "tmp", "standby.py");
    await mkdir(join(folder, "tmp"), { recursive: true });
    await copyFile(SCRIPT, script);
    const argv = this.writesArchive ? ["--warm-up-only"] : [];
    const job = { name: "standby", argv, pythonPath: [], extraJars: [], settings: [FROM_SETTINGS] };
    const env = jobEnvironment(options, NOBODY, this.glueEndpoint, join(folder, "tmp"));
    const { javaOptions } = this.archived;
    const command = await sparkCommand(options, { ...job, script, javaOptions, folder }, env);
    const onLine = (stream: Stream, line: string) => {
      if (this.onLine) this.onLine(stream, line);
      else if (line === "STARTED") this.onStarted?.();
      else this.tail.add(stream, line);
    };
    return runCommand(command, this.abort.signal, onLine, (pid) => {
      // A run beside it goes first.
      if (this.writesArchive) setPriority(pid, constants.priority.PRIORITY_LOW);
    });
  }

  /** Runs a job. @returns nothing when the process does not answer: no line of the script has run */
  async run(
    job: SparkJob,
    session: Session,
    signal: AbortSignal,
    onLine: OnLine,
    onStarted: () => void,
  ): Promise<Exit | undefined> {
    signal.addEventListener("abort", () => this.abort.abort(), { once: true });
    if (signal.aborted) this.abort.abort();
    const draft = join(this.folder, "tmp", "order.draft");
    const started = new Promise<true>((resolve) => {
      this.onStarted = () => {
        this.onLine = onLine;
        onStarted();
        resolve(true);
      };
    });
    await writeFile(draft, JSON.stringify(order(job, session)), { mode: 0o600 });
    await rename(draft, join(this.folder, "tmp", "order.json"));
    const late = pause(ANSWER_MS, undefined, { ref: false });
    if (!(await Promise.race([started, this.exit.then(() => false), late]))) {
      if (!signal.aborted) this.log(`The standby does not answer: ${job.name} starts without it.`);
      await this.end();
      return undefined;
    }
    return this.exit;
  }

  /** Ends every process of it, and removes its folder. */
  async close(): Promise<void> {
    await this.end();
    await rm(this.folder, { recursive: true, force: true }).catch(() => {});
  }

  private async end(): Promise<void> {
    this.abort.abort();
    await this.exit;
  }
}

/** What standby.py needs in order to become a job's script. */
function order(job: SparkJob, session: Session) {
  const environment = sessionVariables(session);
  // Spark starts the Python of user-defined functions from Java, which has another environment.
  const ofWorkers = { ...environment, PYTHONPATH: job.pythonPath.join(delimiter) };
  return {
    command: [job.script, ...job.argv],
    environment,
    pythonPath: job.pythonPath,
    properties: {
      "spark.app.name": job.name,
      "spark.app.submitTime": `${Date.now()}`,
      "spark.hadoop.fs.s3a.access.key": session.accessKeyId,
      "spark.hadoop.fs.s3a.secret.key": session.secretAccessKey,
      "spark.hadoop.fs.s3a.session.token": session.sessionToken,
      // Other clients of AWS take these before the environment.
      "aws.accessKeyId": session.accessKeyId,
      "aws.secretAccessKey": session.secretAccessKey,
      "aws.sessionToken": session.sessionToken,
      ...Object.fromEntries(Object.entries(ofWorkers).map(([name, value]) => [`spark.executorEnv.${name}`, value])),
    },
  };
}
