import { randomUUID } from "node:crypto";
import { copyFile, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { LocalGlueOptions } from "../options";
import type { Arguments } from "./arguments";
import { archivedRun } from "./class-archive";
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
  private timer: NodeJS.Timeout | undefined;
  private running = 0;

  constructor(
    private readonly options: LocalGlueOptions,
    private readonly glueEndpoint: () => string,
    private readonly log: Log,
  ) {}

  /** Readies one, unless Java's class archive is still to be written, or memory is short. */
  ready(): void {
    const isWanted = this.options.standby && !this.next && process.availableMemory() >= NEEDED_BYTES;
    if (isWanted) this.next = Standby.start(this.options, this.glueEndpoint(), this.log);
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
    if (this.running === 0 && this.options.standby === "always")
      this.timer = setTimeout(() => this.ready(), QUIET_MS).unref();
  }

  /** Call it when no run can begin any more. */
  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.next?.close();
  }
}

/** A process that has started Spark and waits for its one run. */
export class Standby {
  private readonly abort = new AbortController();
  private readonly tail = new Tail();
  private readonly exit: Promise<Exit>;
  /** What to do at the script's start, and with each line from then on. */
  private onStarted: (() => void) | undefined;
  private onLine: OnLine | undefined;

  /** @returns nothing while Java has no class archive: an ordinary run writes it */
  static start(options: LocalGlueOptions, glueEndpoint: string, log: Log): Standby | undefined {
    const folder = join(options.workDir, "runs", `standby-${randomUUID()}`);
    const { javaOptions, isFirst } = archivedRun(options, folder);
    return isFirst ? undefined : new Standby(folder, options, javaOptions, glueEndpoint, log);
  }

  private constructor(
    readonly folder: string,
    options: LocalGlueOptions,
    javaOptions: readonly string[],
    glueEndpoint: string,
    private readonly log: Log,
  ) {
    this.exit = this.start(options, javaOptions, glueEndpoint).catch((error: Error) => {
      this.tail.add("stdout", error.message);
      return { code: 1, signal: null };
    });
    this.exit.then((exit) => {
      if (!this.onLine && !this.abort.signal.aborted)
        log(`The standby has ended, and runs start without it: ${failureMessage(exit, this.tail, "stdout")}`);
    });
  }

  private async start(options: LocalGlueOptions, javaOptions: readonly string[], glueEndpoint: string): Promise<Exit> {
    const { folder } = this;
    const script = join(folder, "tmp", "standby.py");
    await mkdir(join(folder, "tmp"), { recursive: true });
    await copyFile(SCRIPT, script);
    const job = { name: "standby", argv: [], pythonPath: [], extraJars: [], settings: [FROM_SETTINGS] };
    const env = jobEnvironment(options, NOBODY, glueEndpoint, join(folder, "tmp"));
    const command = await sparkCommand(options, { ...job, script, javaOptions, folder }, env);
    return runCommand(command, this.abort.signal, (stream, line) => {
      if (this.onLine) this.onLine(stream, line);
      else if (line === "STARTED") this.onStarted?.();
      else this.tail.add(stream, line);
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
