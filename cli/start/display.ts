import { open } from "node:fs/promises";
import { createLogUpdate } from "log-update";
import type { Batch } from "../../runtime/batch";
import { printableLines } from "../../terminal/format";
import type { Terminal } from "../../terminal/terminal";
import { lastPhase } from "./phase";
import { batchLines, type Step, stepChanges, stepLine, stepsOf } from "./progress";
import type { Moment } from "./watch";

/** How often a long step is reported where output can't be redrawn. */
const heartbeatMs = 10_000;

/** Shows the progress of batches: redrawn in place on a terminal; in a log a line per change, and a heartbeat. */
export class Display {
  private readonly redraw = createLogUpdate(process.stderr);
  private readonly before = new Map<string, Step[]>();
  /** Settled batches whose end was shown. */
  private readonly ended = new Set<string>();
  private titled: string | undefined;
  private notedAtMs = 0;
  private isDrawn = false;

  constructor(
    private readonly terminal: Terminal,
    private readonly logFile: (jobRunId: string) => string,
  ) {}

  async show(moment: Moment): Promise<void> {
    for (const batch of moment.batches) {
      const isCurrent = batch.batchId === moment.inFlight;
      const last = this.before.get(batch.batchId);
      // A queued batch is shown when it is in flight. Every end is shown once.
      if (isCurrent) this.ended.delete(batch.batchId);
      else if (batch.settledAt === undefined || this.ended.has(batch.batchId)) continue;
      else this.ended.add(batch.batchId);
      const steps = await this.steps(batch, isCurrent ? moment : undefined);
      if (this.terminal.interactive) this.draw(batch, steps, isCurrent);
      else this.note(batch, steps, last);
      this.before.set(batch.batchId, steps);
    }
  }

  /** Leaves what is drawn, and draws the next batch below it. */
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
        // A run's jobs are known only while the batch is in flight.
        const elapsedMs = step.elapsedMs ?? known?.[at]?.elapsedMs;
        return elapsedMs === undefined ? step : { ...step, elapsedMs };
      }),
    );
  }

  private draw(batch: Batch, steps: Step[], isCurrent: boolean): void {
    this.redraw(printableLines(batchLines(batch, steps).join("\n")));
    this.isDrawn = true;
    if (!isCurrent) this.finish();
  }

  private note(batch: Batch, steps: Step[], last: Step[] | undefined): void {
    if (this.titled !== batch.batchId) this.terminal.note(`Batch ${batch.batchId}`);
    this.titled = batch.batchId;
    const running = steps.filter((step) => step.state === "running");
    const isOverdue = Date.now() - this.notedAtMs > heartbeatMs;
    // A job's own progress changes all the time, so it is reported with the heartbeat.
    const changed = stepChanges(last, steps).filter(
      (step) => step.state !== "running" || last === undefined || last[steps.indexOf(step)]?.state !== "running",
    );
    const lines = changed.length ? changed : isOverdue ? running : [];
    for (const step of lines) this.terminal.note(stepLine(step));
    if (lines.length) this.notedAtMs = Date.now();
  }
}

/** The last lines of a file. The first of them may be incomplete. */
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
