/** An error of the Glue API: `code` is its name in the API's model, and the client's error class. */
export class GlueError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = code;
  }
}

export const invalidInput = (message: string) => new GlueError("InvalidInputException", message);
export const notFound = (message: string) => new GlueError("EntityNotFoundException", message);
export const alreadyExists = (message: string) => new GlueError("AlreadyExistsException", message);
export const tooManyRuns = (message: string) => new GlueError("ConcurrentRunsExceededException", message);
export const illegalState = (message: string) => new GlueError("IllegalWorkflowStateException", message);

/** The error of a second create: Glue has one for the same settings and another for different ones. */
export function duplicate(kind: string, name: string, same: boolean): GlueError {
  return same
    ? alreadyExists(`${kind} with name '${name}' already submitted`)
    : new GlueError(
        "IdempotentParameterMismatchException",
        `${kind} with name '${name}' already submitted with different configuration`,
      );
}

/** A run can't be launched. The text becomes the run's ErrorMessage. */
export class LaunchError extends Error {}
