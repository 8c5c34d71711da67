// Plain JavaScript, because the bootstrap needs it before any package is installed.
const { bad } = require("./exit-codes.cjs");

/**
 * An error that the user can fix. Its message says what was expected, what came and what to do. It is shown without a
 * stack trace.
 */
class UserError extends Error {
  /**
   * @readonly
   * @override
   */
  name = "UserError";
  /**
   * @readonly
   * @type {number}
   */
  exitCode = bad;
}

module.exports = { UserError };
