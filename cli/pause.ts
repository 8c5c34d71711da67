import { readPipeline } from "../runtime/ledger";
import { pause } from "../runtime/operator";
import { commandLine, type Terminal } from "../terminal/terminal";
import { capital } from "./operate";
import { openTarget, storeOf } from "./target";

/** `npm run pause`: the pipeline claims no more files; the batch in flight is still settled. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  const program = commandLine("music-streams pause", terminal)
    .description("Pauses the pipeline: it claims no files and starts no replay. The batch in flight is still settled.")
    .option("--stack <name>", "a deployed stack instead of the local cloud")
    .allowExcessArguments(false);
  await program.parseAsync(args, { from: "user" });
  const target = await openTarget({ ...terminal, stack: program.opts<{ stack?: string }>().stack });
  const store = storeOf(target);
  const before = await readPipeline(store);
  await pause(store);
  const since = before.pausedSince === undefined ? "" : ` since ${before.pausedSince}`;
  const rest = before.inFlight === undefined ? "Nothing is in flight" : `Batch ${before.inFlight} is still settled`;
  await terminal.out(`${capital(target.name)} is paused${since}. ${rest}. To end the pause: npm run resume\n`);
  return 0;
}
