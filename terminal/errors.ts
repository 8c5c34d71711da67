/**
 * An error that a person can do something about: its message says what was expected, what came and what to do. It is shown as it is,
 * without a stack trace.
 */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** The codes and causes below an error, outermost first: fetch and the SDKs wrap what really happened. */
function chain(error: unknown): Error[] {
  const found: Error[] = [];
  const open = [error];
  while (open.length > 0 && found.length < 20) {
    const next = open.shift();
    if (!(next instanceof Error)) continue;
    found.push(next);
    open.push(next.cause, ...(next instanceof AggregateError ? next.errors : []));
  }
  return found;
}

/** Whether an error means that nothing answers at the other end (any more). */
export function isUnreachable(error: unknown): boolean {
  const codes = ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOTFOUND", "EHOSTUNREACH", "ETIMEDOUT", "TimeoutError"];
  return chain(error).some(
    (one) => codes.includes((one as NodeJS.ErrnoException).code ?? "") || codes.includes(one.name),
  );
}

/** Whether AWS (or the emulator) answered with an error, as opposed to a mistake in our own code. */
function isServiceError(error: Error): boolean {
  return "$metadata" in error || ["CredentialsProviderError", "TokenProviderError"].includes(error.name);
}

/** One error as the text for a terminal: expected ones as a message, unexpected ones with their stack, for a bug report. */
export function describeError(error: unknown): string {
  if (error instanceof UserError) return error.message;
  if (!(error instanceof Error)) return String(error);
  if (isUnreachable(error))
    return `No answer from the service: ${chain(error).at(-1)?.message || error.message || error.name}`;
  if (error.name === "CredentialsProviderError") {
    return `AWS gave no credentials: ${error.message} Log in (aws sso login, AWS_PROFILE or AWS_ACCESS_KEY_ID) and try again.`;
  }
  if (isServiceError(error)) return `${error.name}: ${error.message}`;
  if ("syscall" in error) return error.message;
  return error.stack ?? error.message;
}

/**
 * Runs what a command does, as this process: its number becomes the exit code, an error one clear message on stderr and code 1.
 * A reader that has seen enough (`| head`) ends it quietly.
 */
export async function runCommand(action: () => Promise<unknown>): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
  }
  try {
    const code = await action();
    if (typeof code === "number") process.exitCode = code;
  } catch (error) {
    console.error(describeError(error));
    process.exitCode = 1;
  }
}
