import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { LocalGlueOptions } from "../options";

/** Java options for a run, and what to do after its success. */
export interface ArchivedRun {
  readonly javaOptions: readonly string[];
  /** Whether it writes the archive. */
  readonly writes: boolean;
  keep(): Promise<void>;
}

/**
 * Spark's start is mostly Java loading some ten thousand classes. The first successful run that may write it leaves an
 * archive of them (JDK, "Class Data Sharing": dynamic archive), which later runs map into memory. Writing takes Java
 * half a minute at its end. Java ignores an archive of other jars, or of jars that were installed again, without a
 * word: so its name depends on them.
 */
export function archivedRun(options: LocalGlueOptions, folder: string, mayWrite: boolean): ArchivedRun {
  const without: ArchivedRun = { javaOptions: [], writes: false, keep: async () => {} };
  if (!options.classArchiveDir) return without;
  const java = options.javaHome ? [join(options.javaHome, "bin", "java")] : [];
  const files = [...java, options.sparkSubmit, ...options.sparkJars];
  const identity = JSON.stringify(files.map((file) => [file, statSync(file, { throwIfNoEntry: false })?.mtimeMs]));
  const name = `spark-${createHash("sha256").update(identity).digest("hex").slice(0, 16)}.jsa`;
  const archive = join(options.classArchiveDir, name);
  const quiet = ["-Xlog:cds=off", "-Xlog:cds+dynamic=off"];
  if (existsSync(archive)) return { ...without, javaOptions: [`-XX:SharedArchiveFile=${archive}`, ...quiet] };
  if (!mayWrite) return without;
  const fresh = join(folder, "classes.jsa");
  return {
    javaOptions: [`-XX:ArchiveClassesAtExit=${fresh}`, ...quiet],
    writes: true,
    keep: async () => {
      if (!existsSync(fresh)) return;
      // Those of earlier jars: 200 MB each.
      await rm(options.classArchiveDir!, { recursive: true, force: true });
      await mkdir(options.classArchiveDir!, { recursive: true });
      await rename(fresh, archive);
    },
  };
}
