import { until } from "../support/commands";
import { midPublish } from "./jobs";
import { midMove } from "./lambdas";
import { by } from "./proxy";
import type { Scenario } from "./scenario";

/** The whole cloud ends and starts again with its kept data. Glue has forgotten its runs by then. */
export const restartScenarios: Scenario[] = [
  {
    name: "restart-claimed",
    about: "everything restarts after the claim, just before the run starts",
    keeps: true,
    async play(stage) {
      await stage.dropMany(3, 100);
      await stage.failing("start held", { ...by("lambdas", "glue", "StartWorkflowRun"), latency: 60_000 });
      const tick = stage.tick().catch(() => "the cloud ended");
      await until("the run is about to start", () => stage.hasFired("start held"));
      await stage.reach("CLAIMED");
      await stage.restart();
      await tick;
    },
  },
  {
    name: "restart-transform",
    about: "everything restarts while transform runs",
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
    about: "everything restarts after publish wrote part of its items",
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
    about: "everything restarts after part of the files are moved",
    keeps: true,
    async play(stage) {
      await stage.dropMany(120, 3);
      await midMove(stage);
      await stage.restart();
    },
  },
  {
    name: "cut-off",
    about: "kill -9 of the emulator during publish; its tables are lost, and every file is processed again",
    keeps: true,
    async play(stage) {
      await stage.dropMany(3, 200, 8);
      await stage.tick();
      await midPublish(stage);
      await stage.cutOff();
    },
  },
];
