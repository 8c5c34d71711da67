const path = require("node:path");
const { installJava, javaHomeOfMachine } = require("./java.cjs");
const { withInstallLock } = require("./lock.cjs");
const { installPython, layerTestPython, sitePackages } = require("./python.cjs");
const { installJars } = require("./spark-jars.cjs");

/** @typedef {import("./site.cjs").Site} Site */

/**
 * The tools of the local cloud. All paths are below the project's folder, except that of the machine's own Java.
 *
 * @typedef {object} Toolchain
 * @property {string} python
 * @property {string} sparkSubmit
 * @property {string} javaHome JAVA_HOME for Spark.
 * @property {string[]} sparkJars S3A, the parts of the AWS SDK for Java that it uses, and the way to its committer.
 */

/**
 * Installs missing tools below `.local/`, each only once. The caller holds the lock of installations.
 *
 * @param {Site} site
 * @returns {Promise<Toolchain>}
 * @throws {UserError} that says what to do
 */
async function installTools(site) {
  const python = await installPython(site);
  const javaHome = (await javaHomeOfMachine()) ?? (await installJava(site, python));
  // Not the one beside Python: that script can't find Spark in a path with a space.
  const sparkSubmit = path.join(await sitePackages(python), "pyspark", "bin", "spark-submit");
  const sparkJars = await installJars(site, { python, sparkSubmit, javaHome });
  return { python, sparkSubmit, javaHome, sparkJars };
}

/**
 * As `installTools`, and takes the lock.
 *
 * @param {string} root
 * @param {(line: string) => void} log
 * @param {AbortSignal} [stop]
 */
async function installToolchain(root, log, stop) {
  return withInstallLock(root, () => installTools({ root, log, ...(stop && { stop }) }));
}

/**
 * Installs the Python of `npm test`: the packages of the local cloud and the test tools.
 *
 * @param {string} root
 * @param {(line: string) => void} log
 */
async function installTestPython(root, log) {
  return withInstallLock(root, () => layerTestPython({ root, log }));
}

/**
 * Installs only the local cloud's Python, which can read Parquet: for a command on a deployed stack.
 *
 * @param {string} root
 * @param {(line: string) => void} log
 */
async function installRuntimePython(root, log) {
  return withInstallLock(root, () => installPython({ root, log }));
}

module.exports = { installRuntimePython, installTestPython, installToolchain, installTools };
