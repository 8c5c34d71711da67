import { diskFullAdvice } from "./disk-full.cjs";
import { bad, noCloud, wrongUsage } from "./exit-codes.cjs";
import { printableLines } from "./format";
import { UserError } from "./user-error.cjs";

export { UserError };

/** The arguments are wrong. Thrown before anything is changed. */
export class UsageError extends UserError {
  override readonly exitCode: number = wrongUsage;
}

/** There is no such cloud or stack, or it no longer answers. */
export class NoCloudError extends UserError {
  override readonly exitCode: number = noCloud;
}

/** An error and its causes, outermost first: fetch and the SDKs wrap the real error. */
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

/** Whether an error means that no service answers at the other end. */
export function isUnreachable(error: unknown): boolean {
  const codes = ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOTFOUND", "EHOSTUNREACH", "ETIMEDOUT", "TimeoutError"];
  return chain(error).some(
    (one) => codes.includes((one as NodeJS.ErrnoException).code ?? "") || codes.includes(one.name),
  );
}

/** Whether an error is an answer of AWS (or the emulator), not a mistake in our own code. */
function isServiceError(error: Error): boolean {
  return "$metadata" in error || ["CredentialsProviderError", "TokenProviderError"].includes(error.name);
}

/** An error as text for a terminal: an expected one as a message, an unexpected one with its stack for a bug report. */
export function describeError(error: unknown): string {
  if (error instanceof UserError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const full = chain(error).find((one) => diskFullAdvice(`${(one as NodeJS.ErrnoException).code} ${one.message}`));
  if (full) return `${full.message}\n${diskFullAdvice("ENOSPC")}`;
  if (isUnreachable(error))
    return `No answer from the service: ${chain(error).at(-1)?.message || error.message || error.name}`;
  if (error.name === "CredentialsProviderError") {
    return `AWS gave no credentials: ${error.message} Log in (aws sso login, AWS_PROFILE or AWS_ACCESS_KEY_ID) and try again.`;
  }
  if (isServiceError(error)) return `${error.name}: ${error.message}`;
  if ("syscall" in error) return error.message;
  return error.stack ?? error.message;
}

/** The exit code of a command that ended with an error. */
export function exitCodeOfError(error: unknown): number {
  if (error instanceof UserError) return error.exitCode;
  return isUnreachable(error) ? noCloud : bad;
}

/**
 * Runs a command as this process. The number that it returns is the exit code. An error is a message on stderr and the
 * exit code of its kind. When the reader closes stdout (`| head`), the process ends without a message.
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
    console.error(printableLines(describeError(error)));
    process.exitCode = exitCodeOfError(error);
  }
}
