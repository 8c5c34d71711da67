import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { UserError } from "../../terminal/errors";
import type { Toolchain } from "./install";
import { fileHash, once, type Site, step } from "./site";

/** S3A for Spark, resolved by Spark's own Ivy from Maven Central and held against the checksums in `local/toolchain/spark-jars.lock`. */
export async function installJars(site: Site, tools: Omit<Toolchain, "sparkJars">): Promise<string[]> {
  const { root, log } = site;
  const lockFile = path.join(root, "local", "toolchain", "spark-jars.lock");
  const lock = await readFile(lockFile, "utf8");
  const packages = fieldOf(lock, "packages");
  const excluded = fieldOf(lock, "excluded");
  const folder = path.join(root, ".local", "jars");
  await once(root, "jars", await fileHash(lockFile), folder, async () => {
    log("Fetching Spark's S3 connector into .local/jars (this once) ...");
    const ivy = path.join(root, ".local", "ivy");
    await rm(folder, { recursive: true, force: true });
    const nothing = path.join(root, ".local", "nothing.py");
    await writeFile(nothing, "");
    const submit = ["--packages", packages, "--exclude-packages", excluded, "--conf", `spark.jars.ivy=${ivy}`, nothing];
    const remedy = "Maven Central must be reachable (check the network and a proxy's settings), then try again.";
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
        `${name} is not the file that local/toolchain/spark-jars.lock names (sha256 ${got}, expected ${hash}). Remove .local/ivy and try again.`,
      );
  }
  return wanted.map(([, name]) => name);
}

/** Java does not read the proxy variables that every other client reads. */
function proxyOptions(): string {
  const proxy = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  if (!proxy) return "";
  const { hostname, port } = new URL(proxy);
  return `-Dhttps.proxyHost=${hostname} -Dhttps.proxyPort=${port || "443"}`;
}
