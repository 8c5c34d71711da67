import assert from "node:assert/strict";
import { Display } from "../../local/display";
import type { Batch } from "../../runtime/batch";

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

  it("shows each batch's end once, halves only when their turn comes", async () => {
    const notes: string[] = [];
    const terminal = {
      out: () => {},
      note: (line: string) => void notes.push(line),
      interactive: false,
      env: {},
      root: "/",
      cwd: "/",
    };
    const display = new Display(terminal, () => "/nowhere");
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
});
