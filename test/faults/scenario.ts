import type { Stage } from "./stage";

/**
 * A pipeline at work, and what goes wrong with it. The runner then lets it settle, and checks that nothing is lost or
 * counted twice.
 */
export interface Scenario {
  /** Names it on the command line. */
  name: string;
  /** What goes wrong, for the table. */
  about: string;
  /** Part of `npm test`, which has four minutes for all of these. */
  quick?: true;
  /** Needs a cloud that keeps its data from one start to the next. */
  keeps?: true;
  play(stage: Stage): Promise<void>;
}
