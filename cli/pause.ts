import { readPipeline } from "../runtime/ledger";
import { pause } from "../runtime/operator";
import { capital, simpleOrder } from "./operate";
import { runAsProgram, type Terminal } from "./terminal";

/** `npm run pause`: nothing is claimed any more; what is in flight is settled. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  const order = {
    name: "pause",
    description: "Pauses the pipeline: it claims nothing and takes up no replay; the batch in flight is still settled.",
    act: async (target: { name: string }, store: Parameters<typeof pause>[0]) => {
      const before = await readPipeline(store);
      await pause(store);
      const since = before.pausedSince === undefined ? "" : ` since ${before.pausedSince}`;
      const flying =
        before.inFlight === undefined ? "Nothing is in flight" : `Batch ${before.inFlight} is still settled`;
      await terminal.out(`${capital(target.name)} is paused${since}. ${flying}. It goes on with: npm run resume\n`);
      return false;
    },
  };
  return simpleOrder(order, args, terminal);
}

if (require.main === module) runAsProgram(main);
