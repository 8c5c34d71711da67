import { mkdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GlueClient } from "@aws-sdk/client-glue";
import { GetFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import type { Console } from "../console/server";
import layout from "../layout.json";
import { type LocalCloud, startCloud } from "../local/cloud";
import { generateSample } from "../local/sample/generator";
import type { Batch } from "../runtime/batch";
import { pause, resume } from "../runtime/operator";
import { connect, type World } from "../runtime/world";
import { UsageError, UserError } from "../terminal/errors";
import { interrupted } from "../terminal/exit-codes.cjs";
import { counted, printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { consoleSource } from "./console/source";
import { leftOutText } from "./files-below";
import { exportToFile } from "./metrics";
import { Display } from "./start/display";
import { type DataFolder, readDataFolder, uploadAll, uploadReference } from "./start/load";
import { resultOf } from "./start/result";
import { type Moment, type Watch, watchPipeline } from "./start/watch";
import { stopOnSignals } from "./stop";
import { localTarget, type Target } from "./target";

interface StartOptions {
  once: boolean;
  /** A folder, or true for the usual one. */
  keep?: string | true;
  export?: string;
  data?: string;
  port: number;
  standby: boolean;
}

const lookEveryMs = 500;
const consolePort = 4567;

/** `start`: the whole pipeline on this machine, with the sample data or your own. */
export async function run(_: string[], options: StartOptions, terminal: Terminal): Promise<number> {
  const stop = stopOnSignals();
  let cloud: LocalCloud | undefined;
  let page: Console | undefined;
  try {
    if (options.export !== undefined) await requireFolderOf(path.resolve(terminal.cwd, options.export));
    const given =
      options.data === undefined ? undefined : await readDataFolder(path.resolve(terminal.cwd, options.data));
    if (given && given.leftOut.length > 0) terminal.note(leftOutText(given.leftOut));
    const keepIn = folderToKeep(options, terminal);
    if (!options.once) {
      // Loads only for those who see it.
      const { serveConsole }: typeof import("../console/server") = require("../console/server");
      page = await serveConsole(consolePort);
      terminal.note(`Console: ${page.url}`);
    }
    cloud = await startCloud({
      root: terminal.root,
      port: options.port,
      log: terminal.note,
      stop,
      standby: options.standby ? (options.once ? "first" : "always") : undefined,
      ...(keepIn !== undefined && { keepIn }),
    });
    const pipeline = await connectPipeline(cloud);
    page?.show(consoleSource(pipeline.target, null));
    if (cloud.kept?.isLoaded)
      terminal.note(
        `Going on with the data in ${keepIn}: nothing is loaded. Remove that folder to start from the beginning.`,
      );
    else await load(pipeline, given ?? (await sampleOf(terminal)), terminal, stop);
    await cloud.kept?.loaded();
    const code = await follow({ ...pipeline, ...(page && { page }) }, options, terminal, stop);
    return given && given.leftOut.length > 0 ? code || 1 : code;
  } catch (error) {
    if (!stop.aborted) throw cloud ? await cloud.explain(error) : error;
    return interrupted;
  } finally {
    if (stop.aborted) terminal.note("\nStopping ...");
    await page?.close();
    await cloud?.close();
  }
}

function folderToKeep({ keep }: StartOptions, { root, cwd }: Terminal): string | undefined {
  return typeof keep === "string" ? path.resolve(cwd, keep) : keep && path.join(root, ".local", "kept");
}

/** Writes the sample data. Only the one cloud of this folder may do so. */
async function sampleOf(terminal: Terminal): Promise<DataFolder> {
  const sample = path.join(terminal.root, ".local", "sample");
  await rm(sample, { recursive: true, force: true });
  await mkdir(sample, { recursive: true });
  await generateSample(sample);
  return readDataFolder(sample);
}

interface LocalPipeline {
  cloud: LocalCloud;
  target: Target;
  world: World;
  watch: Watch;
  page?: Console;
}

/** The clients of the deployed program, with its Lambdas' own settings. */
async function connectPipeline(cloud: LocalCloud): Promise<LocalPipeline> {
  const target = localTarget(cloud);
  const { endpoint, region, credentials } = cloud;
  const glue = new GlueClient({ endpoint, region, credentials });
  const sense = await target.lambda.send(
    new GetFunctionConfigurationCommand({ FunctionName: target.outputs.senseFunctionName }),
  );
  const world = connect({ s3: target.s3, glue, documents: target.documents }, sense.Environment?.Variables ?? {});
  return { cloud, target, world, watch: watchPipeline(world, target.lambda, target.outputs.senseFunctionName, glue) };
}

/** Pauses the pipeline meanwhile, so that a tick claims all files as one batch and not the first half of them. */
async function load(
  { target, world }: LocalPipeline,
  data: DataFolder,
  terminal: Terminal,
  stop: AbortSignal,
): Promise<void> {
  const bucket = target.outputs.bucketName;
  terminal.note(
    `Loading ${counted(data.reference.length, "reference file")} and ${counted(data.streams.length, "stream file")} into ${bucket} ...`,
  );
  await pause(world);
  await uploadReference(target.s3, target.outputs.referenceLocation, data.reference, stop);
  await uploadAll(target.s3, bucket, data.streams, stop);
  await resume(world);
}

async function follow(
  pipeline: LocalPipeline,
  options: StartOptions,
  terminal: Terminal,
  stop: AbortSignal,
): Promise<number> {
  const display = new Display(terminal, (jobRunId) => pipeline.cloud.glue.logFile(jobRunId));
  const shown: string[] = [];
  let wasQuiet = false;
  const failedBefore = new Map<string, number>();
  while (!stop.aborted) {
    const moment = await pipeline.watch.look();
    await display.show(moment);
    const gaveUp = options.once ? batchGivenUp(moment, pipeline.world, failedBefore) : undefined;
    if (gaveUp) throw await failure(gaveUp, moment, pipeline, terminal);
    if (moment.isQuiet && !wasQuiet) {
      display.finish();
      await showResults(pipeline, moment, shown, options, terminal);
      if (options.once) return verdict(moment, terminal);
      terminal.note("Waiting for files (Ctrl-C stops everything) ...");
    }
    wasQuiet = moment.isQuiet;
    await sleep(lookEveryMs, undefined, { signal: stop }).catch(() => undefined);
  }
  display.finish();
  return options.once ? interrupted : 0;
}

/**
 * The batch in flight, when it has used its attempts up: --once does not wait for more. `failedBefore` has the failures
 * before this start, which don't count: otherwise no later start with the same data could go on.
 */
function batchGivenUp(moment: Moment, world: World, failedBefore: Map<string, number>): Batch | undefined {
  const current = moment.batches.find((batch) => batch.batchId === moment.inFlight);
  if (!current) return undefined;
  const { batchId, state, failures = 0 } = current;
  if (!failedBefore.has(batchId)) failedBefore.set(batchId, failures);
  const isSpent = state === "RETRY" && failures - failedBefore.get(batchId)! >= world.settings.limits.maxAttempts;
  return isSpent ? current : undefined;
}

async function failure(batch: Batch, moment: Moment, pipeline: LocalPipeline, terminal: Terminal): Promise<UserError> {
  const run =
    moment.jobs[
      batch.errorJob === "publish" ? pipeline.world.settings.publishJob : pipeline.world.settings.transformJob
    ];
  const log = run?.Id ? `\nThe job's log: ${path.relative(terminal.cwd, pipeline.cloud.glue.logFile(run.Id))}` : "";
  const job = batch.errorJob ? ` in ${batch.errorJob}` : "";
  return new UserError(
    `Batch ${batch.batchId} failed ${counted(batch.failures ?? 0, "time")}${job}: ${printable(batch.error ?? "no error was recorded")}${log}\nIts files are still in ${layout.incoming}. Mend the cause and start again.`,
  );
}

async function showResults(
  pipeline: LocalPipeline,
  moment: Moment,
  shown: string[],
  options: StartOptions,
  terminal: Terminal,
): Promise<void> {
  const fresh = moment.batches.filter((batch) => !shown.includes(batch.batchId));
  const isFirst = shown.length === 0;
  shown.push(...fresh.map((batch) => batch.batchId));
  for (const batch of fresh) await terminal.out(await resultOf(pipeline, batch));
  if (isFirst && options.export !== undefined)
    await exportTo(path.resolve(terminal.cwd, options.export), pipeline, terminal);
  if (isFirst && !options.once) await terminal.out(howToGoOn(pipeline));
}

async function exportTo(file: string, pipeline: LocalPipeline, terminal: Terminal): Promise<void> {
  const items = await exportToFile(pipeline.target, file);
  terminal.note(`${counted(items, "metric")} written to ${path.relative(terminal.cwd, file) || file}`);
}

/** Refuses a wrong --export before the work begins. */
async function requireFolderOf(file: string): Promise<void> {
  const folder = await stat(path.dirname(file)).catch(() => undefined);
  if (!folder?.isDirectory()) throw new UsageError(`--export ${file}: there is no folder ${path.dirname(file)}.`);
}

function howToGoOn({ cloud, target, page }: LocalPipeline): string {
  return `
The local cloud is ready.
  console    ${page?.url ?? "-"}
  bucket     ${target.outputs.bucketName}
  endpoint   ${cloud.endpoint}  (for any AWS client: eval "$(npx music-streams env)")
  drop       npm run drop -- FILE.csv --wait
  batches    npm run batches
  metrics    npm run metrics -- day DATE
`;
}

/** A SPLIT batch is no failure by itself: its halves are among the batches. */
function verdict(moment: Moment, terminal: Terminal): number {
  const bad = moment.batches.filter((batch) => !["ARCHIVED", "SPLIT"].includes(batch.state));
  for (const batch of bad)
    terminal.note(`Batch ${batch.batchId} is ${batch.state}: ${printable(batch.error ?? "no error was recorded")}`);
  return bad.length ? 1 : 0;
}
