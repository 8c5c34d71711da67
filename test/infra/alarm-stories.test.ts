import assert from "node:assert/strict";
import { pause, resume } from "../../runtime/operator";
import { folders } from "../support/folders";
import { recordProgram } from "../support/program-record";
import { type Alarm, createStory, type Story } from "../support/simulated-cloudwatch";

const TICKS_AN_HOUR = 12;

/** Stories, each with exactly the alarms that it raises. */
const STORIES: [happens: string, raises: string[], tell: (story: Story) => Promise<void>][] = [
  [
    "files come all day and get through",
    [],
    async (story) => {
      for (let tick = 0; tick < 24 * TICKS_AN_HOUR; tick++) {
        if (tick % 7 === 0) story.simulation.drop(`${tick}.csv`, `row-${tick},row-${tick}b`);
        await story.tick();
        await story.end("good");
      }
    },
  ],
  [
    "nothing comes for a day",
    [],
    async (story) => {
      for (let tick = 0; tick < 24 * TICKS_AN_HOUR; tick++) await story.tick();
    },
  ],
  [
    "runs fail twice, once by each job, and then work",
    [],
    async (story) => {
      story.simulation.drop("a.csv", "one");
      for (const end of ["publishFails", "transformFailsEarly", "good"] as const) {
        await story.tick();
        await story.end(end);
      }
      for (let tick = 0; tick < TICKS_AN_HOUR; tick++) await story.tick();
    },
  ],
  [
    "a file can't be transformed on any attempt",
    ["batch-failed"],
    async (story) => {
      story.simulation.drop("a.csv", "POISON");
      for (let tick = 0; tick < 6; tick++) {
        await story.tick();
        await story.end("good");
      }
    },
  ],
  [
    "S3 moves one file of a batch never",
    ["archive-errors", "files-held", "sense-errors"],
    async (story) => {
      story.simulation.drop("a.csv", "one");
      story.simulation.drop("b.csv", "two,STUCK");
      await story.tick();
      await story.end("good");
      for (let tick = 0; tick < 4; tick++) await story.tick();
    },
  ],
  ["reference data is missing", ["transform-failing"], (story) => keepsFailing(story, "transformFailsEarly")],
  ["the metrics table refuses all writes", ["publish-failing"], (story) => keepsFailing(story, "publishFails")],
  ["Glue has no machines", ["workflow-failing"], (story) => keepsFailing(story, "error")],
  [
    "a run takes five hours, and more files come meanwhile",
    ["batch-stuck"],
    async (story) => {
      story.simulation.drop("a.csv", "one");
      for (let tick = 0; tick < 5 * TICKS_AN_HOUR; tick++) await story.tick();
    },
  ],
  [
    "the pipeline is paused for seven hours while a file waits",
    ["files-waiting"],
    async (story) => {
      const { world } = story.simulation.actor();
      await pause(world);
      story.simulation.drop("a.csv", "one");
      for (let tick = 0; tick < 7 * TICKS_AN_HOUR; tick++) await story.tick();
      await resume(world);
    },
  ],
  ["a producer changes its format", ["rows-quarantined"], (story) => archiveOne(story, "one,two,BAD-three")],
  [
    "a file of the reference data lacks a column",
    ["reference-faults"],
    async (story) => {
      story.simulation.jobs.referenceFilesSkipped = [
        { name: "new.csv", key: "reference/songs/new.csv", reason: "missing_columns" },
      ];
      await archiveOne(story, "one");
    },
  ],
  [
    "a batch fails, and the log lines of its end are lost",
    ["batch-failed"],
    async (story) => {
      story.simulation.drop("a.csv", "POISON");
      for (let tick = 0; tick < 6; tick++) {
        await story.tick();
        story.loseLines();
        await story.end("good");
      }
    },
  ],
  [
    "rows are quarantined by faulty reference data, and the log lines of the batch's end are lost",
    ["reference-faults", "rows-quarantined"],
    async (story) => {
      story.simulation.jobs.referenceFilesSkipped = [
        { name: "new.csv", key: "reference/songs/new.csv", reason: "missing_columns" },
      ];
      story.simulation.drop("a.csv", "one,two,BAD-three");
      await story.tick();
      story.loseLines();
      await story.end("good");
      await story.tick();
    },
  ],
  [
    "a file is held, and the log lines of that call are lost",
    ["archive-errors", "files-held", "sense-errors"],
    async (story) => {
      story.simulation.drop("a.csv", "one");
      story.simulation.drop("b.csv", "two,STUCK");
      await story.tick();
      await story.end("good");
      for (let tick = 0; tick < 4; tick++) {
        story.loseLines();
        await story.tick();
      }
      await story.tick();
    },
  ],
  ["sense may not read the ledger", ["sense-errors"], (story) => story.tick({ fault: () => "denied" })],
  [
    "archive ends with an error, and sense does its work",
    ["archive-errors"],
    async (story) => {
      story.simulation.drop("a.csv", "one");
      await story.tick();
      await story.end("good", { fault: (_, name) => (name === "CopyObject" ? "throttle" : undefined) });
      await story.tick();
      assert.deepEqual(story.simulation.s3.keys(folders.incoming), []);
    },
  ],
  [
    "a call ends in the queue of dead letters",
    ["dead-letters"],
    async (story) => {
      story.leaveDeadLetter();
      await story.tick();
    },
  ],
  [
    "a dead letter lies in a queue that SQS no longer reports, until somebody purges it",
    ["dead-letters", "silence"],
    async (story) => {
      story.leaveDeadLetter();
      await story.tick();
      story.pass(8 * 60);
      assert.ok(story.isUp("dead-letters"));
      story.purgeDeadLetters();
      for (let tick = 0; tick <= TICKS_AN_HOUR; tick++) await story.tick();
      assert.ok(!story.isUp("dead-letters"));
    },
  ],
  [
    "the schedule stops for four hours",
    ["silence"],
    async (story) => {
      await story.tick();
      story.pass(240);
    },
  ],
  [
    "the schedule stops for two hours, and goes on",
    [],
    async (story) => {
      await story.tick();
      story.pass(120);
      await story.tick();
    },
  ],
  ["the stack was just made, and has not ticked yet", ["silence"], async (story) => story.look()],
];

/** A file with this text comes, gets through, and a tick follows. */
async function archiveOne(story: Story, text: string): Promise<void> {
  story.simulation.drop("a.csv", text);
  await story.tick();
  await story.end("good");
  await story.tick();
}

/** The batch in flight fails in one way for two hours. */
async function keepsFailing(story: Story, kind: Parameters<Story["end"]>[0]): Promise<void> {
  story.simulation.drop("a.csv", "one");
  for (let tick = 0; tick < 2 * TICKS_AN_HOUR; tick++) {
    await story.tick();
    await story.end(kind);
  }
}

describe("what raises the alarms", () => {
  let alarms: Alarm[];
  before(async () => {
    const program = await recordProgram("dev");
    alarms = program.namesOf("cloudwatch/metricAlarm:MetricAlarm").map((name) => {
      const inputs = program.inputsOf("cloudwatch/metricAlarm:MetricAlarm", name);
      return { ...inputs, name: name.replace("music-streams-alarms-", "") } as unknown as Alarm;
    });
  });

  for (const [happens, raises, tell] of STORIES)
    it(`${happens}: ${raises.join(", ") || "nothing to tell"}`, async () => {
      const story = createStory(alarms, "music-streams/dev");
      await tell(story);
      assert.deepEqual(story.taken(), raises);
    });

  it("is, over all stories, every alarm", () => {
    const told = new Set(STORIES.flatMap(([, raises]) => raises));
    assert.deepEqual([...told].sort(), alarms.map(({ name }) => name).sort());
  });
});
