import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { DAY_MS, INCIDENTS, START_MS, simulate } from "../../bench/month";
import { incidentRow, play, SCHEDULES, scheduleRow } from "../../bench/month-page";
import { root } from "../support/commands";
import { FULL, timeLimitMs } from "../support/full";

/** At full count every schedule, otherwise the one with the fewest ticks. */
const schedules = FULL ? SCHEDULES : SCHEDULES.slice(-1);

describe("the simulated month", () => {
  const page = readFileSync(path.join(root, "docs", "scale.md"), "utf8");

  for (const minutes of schedules)
    it(`has the row of docs/scale.md for a tick every ${minutes} minutes, with every file in the metrics`, async function () {
      this.timeout(timeLimitMs(60 / minutes, 10_000));
      const month = await play(minutes);
      assert.equal(month.files.length, month.dropped);
      assert.ok(page.includes(scheduleRow(minutes, month)), scheduleRow(minutes, month));
      if (minutes !== SCHEDULES[0]) return;
      for (const incident of INCIDENTS)
        assert.ok(page.includes(incidentRow(incident, month)), incidentRow(incident, month));
    });

  it("makes a file wait for a tick and a run, and longer when no tick comes", async () => {
    const tickMs = 300_000;
    const quiet = await simulate(tickMs, 1, []);
    const waits = quiet.files.map(({ landedMs, publishedMs }) => publishedMs - landedMs);
    assert.ok(Math.min(...waits) > 100_000, "a run's start alone takes so long");
    assert.ok(Math.max(...waits) < tickMs + 200_000, String(Math.max(...waits)));
    const late = await simulate(tickMs, 1, [{ what: "", kind: "noTicks", from: 0.25, days: 0.25 }]);
    const first = late.files.find(({ landedMs }) => landedMs >= START_MS + DAY_MS / 4)!;
    assert.ok(first.publishedMs - first.landedMs > DAY_MS / 4);
  });
});
