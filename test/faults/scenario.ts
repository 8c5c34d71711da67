import type { Stage } from "./stage";

/**
 * What goes wrong with a pipeline at work. Then the runner lets it settle, and checks that nothing is lost or counted
 * twice.
 */
export interface Scenario {
  /** Names it on the command line. */
  name: string;
  /** What goes wrong, for the table. */
  about: string;
  /** Part of `npm run test:all`. */
  quick?: true;
  /** Needs a cloud that keeps its data for the next start. */
  keeps?: true;
  play(stage: Stage): Promise<void>;
}
