import { until } from "../support/commands";
import { midWrite } from "./jobs";
import { by } from "./proxy";
import type { Scenario } from "./scenario";
import type { Stage } from "./stage";

/** Overwrites a file with its own rows and more: whichever versions are read, the metrics are those of the last one. */
async function grow(stage: Stage, name: string, file: number): Promise<void> {
  const more = stage
    .rows(file + 1000, 5)
    .split("\n")
    .slice(1)
    .join("\n");
  await stage.drop(name, `${stage.rows(file, 20)}${more}`);
  stage.fault("overwritten");
}

async function recreate(stage: Stage, name: string, file: number): Promise<void> {
  await stage.withdraw(name, true);
  await stage.drop(name, stage.rows(file, 20));
  stage.fault("deleted and created again");
}

/** Changes three of four files: one grows, one is deleted, one is deleted and created again. */
async function disturb(stage: Stage, phase: string, first: number, wasRead: boolean): Promise<void> {
  await grow(stage, `${phase}-grows.csv`, first);
  await stage.withdraw(`${phase}-vanishes.csv`, wasRead);
  stage.fault("deleted");
  await recreate(stage, `${phase}-returns.csv`, first + 2);
}

const phases = ["claim", "transform", "archive"] as const;

export const fileScenarios: Scenario[] = [
  {
    name: "files-change",
    about: "files are overwritten, deleted, or deleted and created again, during claim, transform and archive",
    async play(stage) {
      const days = 3;
      for (const [at, phase] of phases.entries())
        for (const [more, what] of ["grows", "vanishes", "returns", "stays"].entries())
          await stage.drop(`${phase}-${what}.csv`, stage.rows(at * 4 + more, 20, days));

      await stage.failing("start held", { ...by("lambdas", "glue", "StartWorkflowRun"), latency: 5000 });
      const tick = stage.tick();
      await until("the run is about to start", () => stage.hasFired("start held"));
      await disturb(stage, "claim", 0, false);
      await tick;

      await midWrite(stage, days);
      await disturb(stage, "transform", 4, true);
      await stage.mend();

      await stage.failing("move held", { ...by("lambdas", "s3", "CopyObject"), latency: 5000 });
      await until("archive is at it", () => stage.hasFired("move held"));
      await disturb(stage, "archive", 8, true);
      await stage.mend();
    },
  },
];
