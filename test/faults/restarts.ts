import { until } from "../support/commands";
import { midPublish } from "./jobs";
import { midMove } from "./lambdas";
import { by } from "./proxy";
import type { Scenario } from "./scenario";

/** Everything ends and begins again upon the data that was kept; Glue has forgotten its runs by then. */
export const restartScenarios: Scenario[] = [
  {
    name: "restart-claimed",
    about: "everything restarted when the batch is claimed and its run is about to start",
    keeps: true,
    async play(stage) {
      await stage.dropMany(3, 100);
      await stage.failing("start held", { ...by("lambdas", "glue", "StartWorkflowRun"), latency: 60_000 });
      const tick = stage.tick().catch(() => "the cloud ended");
      await until("the run is about to start", 60_000, () => stage.hasFired("start held"));
      await stage.reach("CLAIMED");
      await stage.restart();
      await tick;
    },
  },
  {
    name: "restart-transform",
    about: "everything restarted while transform runs",
    keeps: true,
    async play(stage) {
      await stage.dropMany(3, 100);
      await stage.tick();
      await stage.working("transform");
      await stage.restart();
    },
  },
  {
    name: "restart-publish",
    about: "everything restarted when publish has written part of its items",
    keeps: true,
    async play(stage) {
      await stage.dropMany(3, 200, 8);
      await stage.tick();
      await midPublish(stage);
      await stage.restart();
    },
  },
  {
    name: "restart-archive",
    about: "everything restarted when part of the files are moved",
    keeps: true,
    async play(stage) {
      await stage.dropMany(120, 3);
      await midMove(stage);
      await stage.restart();
    },
  },
  {
    name: "cut-off",
    about: "the emulator killed with -9 during publish, its tables lost: every file is worked through again",
    keeps: true,
    async play(stage) {
      await stage.dropMany(3, 200, 8);
      await stage.tick();
      await midPublish(stage);
      await stage.cutOff();
    },
  },
];
