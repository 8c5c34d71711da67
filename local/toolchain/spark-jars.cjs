const { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } = require("node:fs/promises");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { UserError } = require("../../terminal/user-error.cjs");
const { fileHash, installOnce, step } = require("./site.cjs");

/**
 * Spark's S3 connector: Spark's own Ivy downloads the jars that `spark-jars.lock` names. They come from Maven Central,
 * or from the mirror that DEFAULT_ARTIFACT_REPOSITORY names to Spark.
 *
 * @param {import("./site.cjs").Site} site
 * @param {{ python: string, sparkSubmit: string, javaHome: string }} tools
 * @returns {Promise<string[]>} Paths of the jars.
 */
async function installJars(site, tools) {
  const { root, log } = site;
  const lockFile = path.join(root, "local", "toolchain", "spark-jars.lock");
  const folder = path.join(root, ".local", "jars");
  await installOnce(root, "jars", await fileHash(lockFile), folder, async () => {
    log("Downloading Spark's S3 connector into .local/jars (only once) ...");
    const locked = readLock(await readFile(lockFile, "utf8"));
    await rm(folder, { recursive: true, force: true });
    // Spark takes some characters of a path for its own (`#`, `,`), so it works in a folder with a plain path.
    const ivy = await mkdtemp(path.join(tmpdir(), "music-streams-ivy-"));
    try {
      const [nothing, settings] = [path.join(ivy, "nothing.py"), path.join(ivy, "settings.xml")];
      await writeFile(nothing, "");
      await writeFile(settings, ivySettings());
      const where = ["--conf", `spark.jars.ivy=${ivy}`, "--conf", `spark.jars.ivySettings=${settings}`];
      const packages = locked.map(({ coordinates }) => coordinates).join(",");
      await step(site, "jars", tools.sparkSubmit, ["--packages", packages, ...where, nothing], undefined, {
        JAVA_HOME: tools.javaHome,
        // Otherwise Spark's own script looks for it, and can't in a path with a space.
        SPARK_HOME: path.dirname(path.dirname(tools.sparkSubmit)),
        // Java works for some seconds only, and compiles lightly.
        SPARK_SUBMIT_OPTS: `-XX:TieredStopAtLevel=1 -XX:+UseSerialGC ${proxyOptions()}`,
        PYSPARK_PYTHON: tools.python,
      });
      await mkdir(folder, { recursive: true });
      for (const { hash, name } of locked) {
        await check(path.join(ivy, "jars", name), hash);
        await copyFile(path.join(ivy, "jars", name), path.join(folder, name));
      }
    } finally {
      await rm(ivy, { recursive: true, force: true });
    }
  });
  return (await readdir(folder)).filter((name) => name.endsWith(".jar")).map((name) => path.join(folder, name));
}

/** @param {string} lock */
function readLock(lock) {
  const lines = lock.split("\n").filter((line) => line && !line.startsWith("#"));
  return lines.map((line) => {
    const [hash = "", coordinates = ""] = line.split(/\s+/);
    const [group, artifact, version] = coordinates.split(":");
    return { hash, coordinates, name: `${group}_${artifact}-${version}.jar` };
  });
}

/**
 * Ivy's settings: it asks for the jars alone. Their descriptions, and those of their parents, are three times as many
 * files, one after the other; the lock has all that they say, and better checksums.
 */
function ivySettings() {
  const mirror = process.env.DEFAULT_ARTIFACT_REPOSITORY;
  const root = mirror ? `root="${mirror.replaceAll("&", "&amp;")}"` : "";
  return `<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers>
    <ibiblio name="central" m2compatible="true" usepoms="false" useMavenMetadata="false" checksums="" ${root}/>
  </resolvers>
</ivysettings>
`;
}

/**
 * @param {string} jar
 * @param {string} hash
 */
async function check(jar, hash) {
  const got = await fileHash(jar);
  if (got !== hash)
    throw new UserError(
      `${path.basename(jar)} has the wrong checksum: sha256 ${got}, but local/toolchain/spark-jars.lock has ${hash}. Try again; if it comes again, do not trust the network.`,
    );
}

/** The proxy as Java options: Java does not read the environment's proxy variables. */
function proxyOptions() {
  const proxy = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  if (!proxy) return "";
  const { hostname, port } = new URL(proxy);
  return `-Dhttps.proxyHost=${hostname} -Dhttps.proxyPort=${port || "443"}`;
}

module.exports = { installJars };
