import { open } from "node:fs/promises";
import { createLogUpdate } from "log-update";
import type { Batch } from "../../runtime/batch";
import type { Terminal } from "../../terminal/terminal";
import { lastPhase } from "./phase";
import { batchLines, type Step, stepChanges, stepLine, stepsOf } from "./progress";
import type { Moment } from "./watch";

/** Signs of life on a long step, where lines can't be redrawn. */
const heartbeatMs = 10_000;

/** Shows batches as they go: redrawn in place for a person, a line a change (and a heartbeat) for a log. */
export class Display {
  private readonly redraw = createLogUpdate(process.stderr);
  private readonly before = new Map<string, Step[]>();
  /** Settled batches whose end was shown. */
  private readonly ended = new Set<string>();
  private titled: string | undefined;
  private spokeAt = 0;
  private isDrawn = false;

  constructor(
    private readonly terminal: Terminal,
    private readonly logFile: (jobRunId: string) => string,
  ) {}

  async show(moment: Moment): Promise<void> {
    for (const batch of moment.batches) {
      const isCurrent = batch.batchId === moment.inFlight;
      const last = this.before.get(batch.batchId);
      // What waits for its turn is shown when that comes; an end is shown once, also of a batch that never came to publish.
      if (isCurrent) this.ended.delete(batch.batchId);
      else if (batch.settledAt === undefined || this.ended.has(batch.batchId)) continue;
      else this.ended.add(batch.batchId);
      const steps = await this.steps(batch, isCurrent ? moment : undefined);
      if (this.terminal.interactive) this.draw(batch, steps, isCurrent);
      else this.tell(batch, steps, last);
      this.before.set(batch.batchId, steps);
    }
  }

  /** What is drawn stays; the next batch is drawn below it. */
  finish(): void {
    if (this.isDrawn) this.redraw.done();
    this.isDrawn = false;
  }

  private async steps(batch: Batch, moment: Moment | undefined): Promise<Step[]> {
    const jobs = Object.values(moment?.jobs ?? {});
    const transform = jobs.find((run) => run.JobName?.includes("transform"));
    const publish = jobs.find((run) => run.JobName?.includes("publish"));
    const steps = stepsOf({ batch, ...(transform && { transform }), ...(publish && { publish }), nowMs: Date.now() });
    const known = this.before.get(batch.batchId);
    return Promise.all(
      steps.map(async (step, at) => {
        const run = step.name === "transform" ? transform : step.name === "publish" ? publish : undefined;
        if (step.state === "running" && run?.Id)
          return { ...step, detail: lastPhase(await lastLines(this.logFile(run.Id))) };
        // The graph of the run is asked for only while the batch is in flight.
        const elapsedMs = step.elapsedMs ?? known?.[at]?.elapsedMs;
        return elapsedMs === undefined ? step : { ...step, elapsedMs };
      }),
    );
  }

  private draw(batch: Batch, steps: Step[], isCurrent: boolean): void {
    this.redraw(batchLines(batch, steps).join("\n"));
    this.isDrawn = true;
    if (!isCurrent) this.finish();
  }

  private tell(batch: Batch, steps: Step[], last: Step[] | undefined): void {
    if (this.titled !== batch.batchId) this.terminal.note(`Batch ${batch.batchId}`);
    this.titled = batch.batchId;
    const running = steps.filter((step) => step.state === "running");
    const isQuiet = Date.now() - this.spokeAt > heartbeatMs;
    // A job's own progress changes all the time: it comes with the heartbeat.
    const changed = stepChanges(last, steps).filter(
      (step) => step.state !== "running" || last === undefined || last[steps.indexOf(step)]?.state !== "running",
    );
    const lines = changed.length ? changed : isQuiet ? running : [];
    for (const step of lines) this.terminal.note(stepLine(step));
    if (lines.length) this.spokeAt = Date.now();
  }
}

/** The last lines of a file, as they stand there; the first of them may be cut. */
async function lastLines(file: string): Promise<string[]> {
  const handle = await open(file).catch(() => undefined);
  if (!handle) return [];
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, 4096);
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString("utf8").split("\n");
  } finally {
    await handle.close();
  }
}
