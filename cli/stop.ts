import { UserError } from "../terminal/errors";
import { interrupted } from "../terminal/exit-codes.cjs";

const oneSignalMs = 1_000;

/** Aborts on Ctrl-C, on a kill, and when the process that started this one is gone. A second signal ends at once. */
export function stopOnSignals(): AbortSignal {
  const controller = new AbortController();
  let firstAt = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      firstAt ||= Date.now();
      // One Ctrl-C arrives up to three times: from the terminal, and passed on by npm and by the front door.
      if (Date.now() - firstAt > oneSignalMs) process.exit(interrupted);
      controller.abort(new UserError("stopped"));
    });
  }
  const starter = process.ppid;
  setInterval(() => {
    if (process.ppid !== starter) controller.abort(new UserError("stopped"));
  }, 1000).unref();
  return controller.signal;
}
