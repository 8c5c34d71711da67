import { readPipeline } from "../runtime/ledger";
import { resume } from "../runtime/operator";
import { capital, simpleOrder } from "./operate";
import { runAsProgram, type Terminal } from "./terminal";

/** `npm run resume`: ends the pause. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  const order = {
    name: "resume",
    description: "Ends the pause: the next tick claims what waits.",
    act: async (target: { name: string }, store: Parameters<typeof resume>[0]) => {
      const { pausedSince } = await readPipeline(store);
      await resume(store);
      const was = pausedSince === undefined ? "was not paused" : `goes on; it was paused since ${pausedSince}`;
      await terminal.out(`${capital(target.name)} ${was}.\n`);
      return pausedSince !== undefined;
    },
  };
  return simpleOrder(order, args, terminal);
}

if (require.main === module) runAsProgram(main);
