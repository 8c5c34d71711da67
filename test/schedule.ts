/** What decides when a check can start. */
interface Startable {
  /** It starts the project's local cloud. There can be one at a time. */
  startsCloud?: boolean;
}

/**
 * Runs checks, at most `slots` at once. A free slot takes the first one that can start: it never waits for the cloud
 * while another check could run. Gives the results in the order of the checks.
 */
export async function inSlots<C extends Startable, R>(
  checks: C[],
  slots: number,
  run: (check: C) => Promise<R>,
): Promise<R[]> {
  const waiting = [...checks];
  const results = new Map<C, R>();
  let cloudIsTaken = false;
  async function work(): Promise<void> {
    for (;;) {
      const at = waiting.findIndex(({ startsCloud }) => !(startsCloud && cloudIsTaken));
      // Whatever is left needs the cloud: the slot that has it now goes on with them.
      if (at < 0) return;
      const [check] = waiting.splice(at, 1) as [C];
      if (check.startsCloud) cloudIsTaken = true;
      results.set(check, await run(check));
      if (check.startsCloud) cloudIsTaken = false;
    }
  }
  await Promise.all(Array.from({ length: slots }, work));
  return checks.map((check) => results.get(check)!);
}
