const path = require("node:path");
const { diskFullAdvice } = require("../../terminal/disk-full.cjs");
const { UserError } = require("../../terminal/user-error.cjs");

/**
 * Why an installation failed, by what its command printed, with what to do. Plain JavaScript, because the bootstrap
 * needs it before TypeScript is there.
 *
 * @type {[RegExp, string][]}
 */
const CAUSES = [
  [
    /EACCES|EPERM|EROFS|Permission denied|Operation not permitted|Read-only file system/i,
    "A file may not be written or run: see who owns the project's folder and its .local/, then try again.",
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ECONN(REFUSED|RESET|ABORTED)|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|UnknownHost|name resolution|Name or service not known|no such host|NewConnectionError|Connection (refused|reset|timed out|aborted)|(Read|Connect|i\/o|network) ?time(d )?out|SSLError|CERTIFICATE|certificate|PKIX|ProxyError|proxy|HTTP[^\n]{0,20} (403|407|5\d\d)|unresolved dependency|No matching distribution|E40[37]/i,
    "The network, or a proxy, did not let it through: check both, then try again.",
  ],
];

/**
 * The error of a command that failed: the end of its output, and what to do.
 *
 * @param {string} what
 * @param {string} output
 * @param {string | undefined} log The file with the whole output, if it could be written.
 * @param {string} [remedy] For an output that names no known cause.
 * @returns {UserError}
 */
function installError(what, output, log, remedy = "The lines above say why.") {
  const where = log === undefined ? "" : ` The whole output is in ${path.relative(process.cwd(), log)}.`;
  return new UserError(`${what} failed:\n${lastLines(output)}\n${remedyFor(output, remedy)}${where}`);
}

/**
 * @param {string} output
 * @param {string} otherwise what to do where the output names no known cause
 * @returns {string}
 */
function remedyFor(output, otherwise) {
  return diskFullAdvice(output) ?? CAUSES.find(([symptom]) => symptom.test(output))?.[1] ?? otherwise;
}

/**
 * The last lines of a command's output, as far as they fit a few lines of a terminal: Spark names all jars in one.
 *
 * @param {string} output
 * @returns {string}
 */
function lastLines(output) {
  const lines = output.trim().split("\n").slice(-12);
  return lines.map((line) => (line.length > 300 ? `${line.slice(0, 300)} ...` : line)).join("\n");
}

module.exports = { installError };
