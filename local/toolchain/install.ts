import path from "node:path";
import { withInstallLock } from "./install-lock.cjs";
import { installJava, javaHomeOfMachine } from "./java";
import { installPython, layerTestPython } from "./python";
import type { Site } from "./site";
import { installJars } from "./spark-jars";

/** What the local cloud runs with; every path lies below the project's folder, except a Java that the machine already had. */
export interface Toolchain {
  python: string;
  sparkSubmit: string;
  /** JAVA_HOME for Spark. */
  javaHome: string;
  /** S3A and the parts of the AWS SDK for Java that it uses. */
  sparkJars: string[];
}

/** Installs what is missing below `.local/`, once; from then on it only looks. Throws a UserError that says what to do. */
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
  const sparkSubmit = path.join(path.dirname(python), "spark-submit");
  const sparkJars = await installJars(site, { python, sparkSubmit, javaHome });
  return { python, sparkSubmit, javaHome, sparkJars };
}

/** The Python of `npm test`: the local cloud's own packages, and the test tools on top of them. */
export async function installTestPython(root: string, log: (line: string) => void): Promise<string> {
  return withInstallLock(root, () => layerTestPython({ root, log }));
}

/** The local cloud's Python alone, with what reads Parquet: for a command that works on a deployed stack, from a machine that runs no local cloud. */
export async function installRuntimePython(root: string, log: (line: string) => void): Promise<string> {
  return withInstallLock(root, () => installPython({ root, log }));
}
