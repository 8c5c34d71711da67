// Plain JavaScript, because the bootstrap needs it before any package is installed.

/** A signal or Ctrl-C ended the command (128 + SIGINT). */
const interrupted = 130;

module.exports = { interrupted };
