import { InvokeCommand } from "@aws-sdk/client-lambda";
import { isUnreachable, NoCloudError } from "../terminal/errors";
import { printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import type { Target } from "./target";

/** Invokes sense and doesn't wait for it. A refusal is only noted: the schedule still ticks. */
export async function askForTick(target: Target, terminal: Terminal): Promise<void> {
  try {
    await target.lambda.send(
      new InvokeCommand({ FunctionName: target.outputs.senseFunctionName, InvocationType: "Event" }),
    );
  } catch (error) {
    if (isUnreachable(error)) throw lostTarget(target, error);
    terminal.note(
      `No early tick (${printable(error instanceof Error ? error.message : String(error))}); the schedule ticks later.`,
    );
  }
}

const tickPauseMs = 2_000;

/** Asks for ticks, but not twice within a pause: a tick costs a call even when it finds nothing to do. */
export function earlyTicks(ask: () => Promise<void>, askedMs = 0): (pauseMs?: number) => Promise<void> {
  let lastMs = askedMs;
  return async (pauseMs = tickPauseMs) => {
    if (Date.now() - lastMs < pauseMs) return;
    lastMs = Date.now();
    await ask();
  };
}

export function lostTarget(target: Target, cause: unknown): NoCloudError {
  const advice = target.isLocal
    ? " Its files are gone with it; start it again with npm start, and drop them again."
    : "";
  return new NoCloudError(`${target.name} no longer answers.${advice}`.replace(/^t/, "T"), { cause });
}
