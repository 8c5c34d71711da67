import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { UserError } from "../../terminal/errors";
import { fileHash, installOnce, type Site, step } from "./site";

/** Spark's S3 connector: Spark's own Ivy downloads it from Maven Central. `spark-jars.lock` has the checksums. */
export async function installJars(
  site: Site,
  tools: { python: string; sparkSubmit: string; javaHome: string },
): Promise<string[]> {
  const { root, log } = site;
  const lockFile = path.join(root, "local", "toolchain", "spark-jars.lock");
  const lock = await readFile(lockFile, "utf8");
  const packages = fieldOf(lock, "packages");
  const excluded = fieldOf(lock, "excluded");
  const folder = path.join(root, ".local", "jars");
  await installOnce(root, "jars", await fileHash(lockFile), folder, async () => {
    log("Downloading Spark's S3 connector into .local/jars (only once) ...");
    const ivy = path.join(root, ".local", "ivy");
    await rm(folder, { recursive: true, force: true });
    const nothing = path.join(root, ".local", "nothing.py");
    await writeFile(nothing, "");
    const submit = ["--packages", packages, "--exclude-packages", excluded, "--conf", `spark.jars.ivy=${ivy}`, nothing];
    const remedy = "Maven Central was not reachable: check the network (and proxy settings), then try again.";
    await step(site, "jars", tools.sparkSubmit, submit, remedy, {
      JAVA_HOME: tools.javaHome,
      SPARK_SUBMIT_OPTS: proxyOptions(),
      PYSPARK_PYTHON: tools.python,
    });
    await mkdir(folder, { recursive: true });
    for (const jar of await lockedJars(lock, path.join(ivy, "jars"))) {
      await copyFile(path.join(ivy, "jars", jar), path.join(folder, jar));
    }
  });
  return (await readdir(folder)).filter((name) => name.endsWith(".jar")).map((name) => path.join(folder, name));
}

function fieldOf(lock: string, name: string): string {
  const value = new RegExp(`^# ${name}: (.+)$`, "m").exec(lock)?.[1];
  if (!value) throw new Error(`local/toolchain/spark-jars.lock has no line "# ${name}: ..."`);
  return value.trim();
}

async function lockedJars(lock: string, folder: string): Promise<string[]> {
  const wanted = lock
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => line.split(/\s+/) as [string, string]);
  for (const [hash, name] of wanted) {
    const got = await fileHash(path.join(folder, name));
    if (got !== hash)
      throw new UserError(
        `${name} has the wrong checksum: sha256 ${got}, but local/toolchain/spark-jars.lock has ${hash}. Remove .local/ivy and try again.`,
      );
  }
  return wanted.map(([, name]) => name);
}

/** The proxy as Java options: Java does not read the environment's proxy variables. */
function proxyOptions(): string {
  const proxy = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  if (!proxy) return "";
  const { hostname, port } = new URL(proxy);
  return `-Dhttps.proxyHost=${hostname} -Dhttps.proxyPort=${port || "443"}`;
}
