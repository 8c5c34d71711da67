import path from "node:path";
import { installJava, javaHomeOfMachine } from "./java";
import { withInstallLock } from "./lock.cjs";
import { installPython, layerTestPython, sitePackages } from "./python";
import type { Site } from "./site";
import { installJars } from "./spark-jars";

/** The tools of the local cloud. All paths are below the project's folder, except that of the machine's own Java. */
export interface Toolchain {
  python: string;
  sparkSubmit: string;
  /** JAVA_HOME for Spark. */
  javaHome: string;
  /** S3A, the parts of the AWS SDK for Java that it uses, and the way to its committer. */
  sparkJars: string[];
}

/** Installs missing tools below `.local/`, each only once. @throws UserError that says what to do */
export async function installToolchain(
  root: string,
  log: (line: string) => void,
  stop?: AbortSignal,
): Promise<Toolchain> {
  return withInstallLock(root, () => install({ root, log, ...(stop && { stop }) }));
}

async function install(site: Site): Promise<Toolchain> {
  const python = await installPython(site);
  const javaHome = (await javaHomeOfMachine()) ?? (await installJava(site, python));
  // Not the one beside Python: that script can't find Spark in a path with a space.
  const sparkSubmit = path.join(await sitePackages(python), "pyspark", "bin", "spark-submit");
  const sparkJars = await installJars(site, { python, sparkSubmit, javaHome });
  return { python, sparkSubmit, javaHome, sparkJars };
}

/** Installs the Python of `npm test`: the packages of the local cloud and the test tools. */
export async function installTestPython(root: string, log: (line: string) => void): Promise<string> {
  return withInstallLock(root, () => layerTestPython({ root, log }));
}

/** Installs only the local cloud's Python, which can read Parquet: for a command on a deployed stack. */
export async function installRuntimePython(root: string, log: (line: string) => void): Promise<string> {
  return withInstallLock(root, () => installPython({ root, log }));
}
