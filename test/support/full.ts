import { timeout } from "../.mocharc.json";

/** Whether tests run at full count: `FULL=1`, which `npm run test:all` sets. Otherwise they try fewer random cases. */
export const FULL = process.env.FULL === "1";

/**
 * Mocha's time limit for a test of `count` cases that may take `msEach` on a slow machine. It only ends what hangs: how
 * fast a machine is says nothing about the code. So it is longer than the limit in test/.mocharc.json.
 */
export function timeLimitMs(count: number, msEach: number): number {
  return timeout + count * msEach;
}
