const { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } = require("node:fs/promises");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { UserError } = require("../../terminal/user-error.cjs");
const { fileHash, installOnce, step } = require("./site.cjs");

/**
 * Spark's S3 connector: Spark's own Ivy downloads it from Maven Central. `spark-jars.lock` has the checksums.
 *
 * @param {import("./site.cjs").Site} site
 * @param {{ python: string, sparkSubmit: string, javaHome: string }} tools
 */
async function installJars(site, tools) {
  const { root, log } = site;
  const lockFile = path.join(root, "local", "toolchain", "spark-jars.lock");
  const lock = await readFile(lockFile, "utf8");
  const packages = fieldOf(lock, "packages");
  const excluded = fieldOf(lock, "excluded");
  const folder = path.join(root, ".local", "jars");
  await installOnce(root, "jars", await fileHash(lockFile), folder, async () => {
    log("Downloading Spark's S3 connector into .local/jars (only once) ...");
    await rm(folder, { recursive: true, force: true });
    // Spark takes some characters of a path for its own (`#`, `,`), so it works in a folder with a plain path.
    const ivy = await mkdtemp(path.join(tmpdir(), "music-streams-ivy-"));
    try {
      const nothing = path.join(ivy, "nothing.py");
      await writeFile(nothing, "");
      const where = ["--conf", `spark.jars.ivy=${ivy}`];
      const submit = ["--packages", packages, "--exclude-packages", excluded, ...where, nothing];
      await step(site, "jars", tools.sparkSubmit, submit, undefined, {
        JAVA_HOME: tools.javaHome,
        // Otherwise Spark's own script looks for it, and can't in a path with a space.
        SPARK_HOME: path.dirname(path.dirname(tools.sparkSubmit)),
        // Java works for some seconds only, and compiles lightly.
        SPARK_SUBMIT_OPTS: `-XX:TieredStopAtLevel=1 -XX:+UseSerialGC ${proxyOptions()}`,
        PYSPARK_PYTHON: tools.python,
      });
      await mkdir(folder, { recursive: true });
      for (const jar of await lockedJars(lock, path.join(ivy, "jars"))) {
        await copyFile(path.join(ivy, "jars", jar), path.join(folder, jar));
      }
    } finally {
      await rm(ivy, { recursive: true, force: true });
    }
  });
  return (await readdir(folder)).filter((name) => name.endsWith(".jar")).map((name) => path.join(folder, name));
}

/**
 * @param {string} lock
 * @param {string} name
 */
function fieldOf(lock, name) {
  const value = new RegExp(`^# ${name}: (.+)$`, "m").exec(lock)?.[1];
  if (!value) throw new Error(`local/toolchain/spark-jars.lock has no line "# ${name}: ..."`);
  return value.trim();
}

/**
 * @param {string} lock
 * @param {string} folder
 */
async function lockedJars(lock, folder) {
  const lines = lock.split("\n").filter((line) => line && !line.startsWith("#"));
  const wanted = lines.map((line) => line.split(/\s+/));
  for (const [hash, name = ""] of wanted) {
    const got = await fileHash(path.join(folder, name));
    if (got !== hash)
      throw new UserError(
        `${name} has the wrong checksum: sha256 ${got}, but local/toolchain/spark-jars.lock has ${hash}. Try again; if it comes again, do not trust the network.`,
      );
  }
  return wanted.map(([, name = ""]) => name);
}

/** The proxy as Java options: Java does not read the environment's proxy variables. */
function proxyOptions() {
  const proxy = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  if (!proxy) return "";
  const { hostname, port } = new URL(proxy);
  return `-Dhttps.proxyHost=${hostname} -Dhttps.proxyPort=${port || "443"}`;
}

module.exports = { installJars };
