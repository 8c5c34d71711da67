import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import { Display } from "../../../cli/start/display";
import type { Batch } from "../../../runtime/batch";
import { root } from "../../support/commands";

describe("the display of npm start", () => {
  const batch = (batchId: string, more: Partial<Batch>): Batch => ({
    batchId,
    state: "CLAIMED",
    version: 1,
    attempt: 1,
    files: 2,
    bytes: 100,
    claimedAt: "2026-11-20T10:00:00.000Z",
    updatedAt: "2026-11-20T10:00:00.000Z",
    dueAt: "2026-11-20T10:00:00.000Z",
    ...more,
  });

  const terminalInto = (notes: string[]) => ({
    out: () => {},
    note: (line: string) => void notes.push(line),
    interactive: false,
    env: {},
    root: "/",
    cwd: "/",
  });

  it("shows each batch's end once, halves only when their turn comes", async () => {
    const notes: string[] = [];
    const display = new Display(terminalInto(notes), () => "/nowhere");
    const whole = batch("whole", { state: "SPLIT", settledAt: "2026-11-20T10:01:00.000Z", error: "died" });
    const first = batch("first", { state: "RUNNING", startedAt: "2026-11-20T10:01:00.000Z", parent: "whole" });
    const second = batch("second", { parent: "whole" });
    await display.show({
      batches: [batch("whole", { state: "RUNNING" })],
      jobs: {},
      inFlight: "whole",
      isQuiet: false,
    });
    for (let look = 0; look < 4; look++)
      await display.show({ batches: [whole, first, second], jobs: {}, inFlight: "first", isQuiet: false });
    const titles = notes.filter((line) => line.startsWith("Batch "));
    assert.deepEqual(titles, ["Batch whole", "Batch first"]);
    assert.equal(notes.filter((line) => line.includes("died")).length, 1);

    const ended = { ...first, state: "ARCHIVED" as const, settledAt: "2026-11-20T10:02:00.000Z" };
    await display.show({ batches: [whole, ended, second], jobs: {}, inFlight: "second", isQuiet: false });
    assert.equal(notes.filter((line) => line === "Batch second").length, 1);
  });

  it("says of a running job what its log says last, and not what Spark or Python say in between", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "music-streams-display-"));
    try {
      const script = [
        "from music_streams import log",
        "log.start('transform', workflow_run_id='wr_1', job_run_id='jr_1')",
        "log.bind(batch_id='b', attempt='1')",
        "log.info('staged', files=7)",
        "log.info('referenceRead', rows_skipped=1234, part='1 of 2', bytes=602000, seconds=13.0)",
      ].join("\n");
      const python = path.join(root, ".local", "python", "bin", "python");
      const env = { PYTHONPATH: path.join(root, "glue-scripts") };
      const { stdout } = await execa(python, ["-c", script], { env });
      const logFile = path.join(folder, "log");
      writeFileSync(logFile, `${"x".repeat(5000)}\n${stdout}\n26/11/25 19:00:00 WARN Spark: slow\n{"event": "cut of`);
      const notes: string[] = [];
      const display = new Display(terminalInto(notes), () => logFile);
      const running = batch("b", { state: "RUNNING", startedAt: "2026-11-20T10:00:00.000Z" });
      const jobs = { transform: { JobName: "transform", Id: "jr_1", JobRunState: "RUNNING" as const } };
      await display.show({ batches: [running], jobs, inFlight: "b", isQuiet: false });
      const line = notes.find((note) => note.includes("transform"));
      assert.match(line ?? "", / reference read: 1,234 rows skipped, part 1 of 2, 602 kB, 13\.0 s$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
