// Plain JavaScript, because the bootstrap needs it before any package is installed.
// How a command ends, the same for every verb. docs/operations.md, "Exit codes", says it to users.

/** Done, and the answer is good. */
const done = 0;
/** The answer is bad, or the work failed: a breach, a FAILED batch, a request that was refused. */
const bad = 1;
/** The command can't be understood as it was given. Nothing was changed. */
const wrongUsage = 2;
/** The local cloud or the stack isn't there, or no longer answers. */
const noCloud = 3;
/** A signal or Ctrl-C ended the command (128 + SIGINT). */
const interrupted = 130;

module.exports = { done, bad, wrongUsage, noCloud, interrupted };
