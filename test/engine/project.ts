import { cp, mkdir, readdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { parse, stringify } from "yaml";
import type { Config } from "../../local/provider/program";
import { ROOT } from "../support/program-record";

/** What `pulumi up` reads. */
const sources = [
  "index.ts",
  "infra",
  "runtime",
  "glue-scripts",
  "policy",
  "layout.json",
  "package.json",
  "tsconfig.json",
];

/**
 * Copies the npm packages that go into Lambdas, because Pulumi packs only what lies in the project's folder. Links the
 * others: Pulumi's runtime, above all, must be the test's own.
 */
async function copyPackages(to: string): Promise<void> {
  const { packages } = JSON.parse(await readFile(path.join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const from = path.join(ROOT, "node_modules");
  for (const entry of await readdir(from)) {
    const names = entry.startsWith("@")
      ? (await readdir(path.join(from, entry))).map((one) => `${entry}/${one}`)
      : [entry];
    await mkdir(path.dirname(path.join(to, names[0]!)), { recursive: true });
    for (const name of names) {
      const { dev } = packages[`node_modules/${name}`] ?? { dev: true };
      const [source, target] = [path.join(from, name), path.join(to, name)];
      if (dev) await symlink(source, target);
      // No Lambda has these two folders.
      else await cp(source, target, { recursive: true, filter: (file) => !/\/dist-(es|types)$/.test(file) });
    }
  }
}

/** A copy of the project's sources that a test and Pulumi may write to. */
export class Project {
  /** Whether a file differs from what Node has loaded. */
  private isChanged = true;

  private constructor(readonly root: string) {}

  /** @param modified the time of change of the copied files */
  static async copy(root: string, modified = new Date()): Promise<Project> {
    const stackFiles = (await readdir(ROOT)).filter((name) => /^Pulumi\..*(yaml|md)$/.test(name));
    for (const part of [...sources, ...stackFiles]) {
      await cp(path.join(ROOT, part), path.join(root, part), { recursive: true });
    }
    await copyPackages(path.join(root, "node_modules"));
    for (const file of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (file.isFile()) await utimes(path.join(file.parentPath, file.name), modified, modified);
    }
    return new Project(root);
  }

  /** Replaces a text that stands once in a file. Returns a function that undoes it. */
  async edit(file: string, find: string, replacement: string): Promise<() => Promise<void>> {
    const before = await readFile(path.join(this.root, file), "utf8");
    if (before.split(find).length !== 2) throw new Error(`"${find}" must stand in ${file} once`);
    return this.write(
      file,
      before,
      before.replace(find, () => replacement),
    );
  }

  /** Sets values of a stack, as `pulumi config set` does. Returns a function that undoes it. */
  async configure(stack: string, values: Config): Promise<() => Promise<void>> {
    const file = `Pulumi.${stack}.yaml`;
    const before = await readFile(path.join(this.root, file), "utf8");
    const settings = parse(before) as { config: Record<string, unknown> };
    for (const [key, value] of Object.entries(values)) {
      // Pulumi writes the key with the project's name. Both forms of one key in a file would be two values.
      delete settings.config[key];
      settings.config[`music-streams:${key}`] = value.startsWith("[") ? JSON.parse(value) : value;
    }
    return this.write(file, before, stringify(settings));
  }

  private async write(file: string, before: string, after: string): Promise<() => Promise<void>> {
    const put = async (text: string) => {
      this.isChanged ||= /\.tsx?$|layout/.test(file);
      await writeFile(path.join(this.root, file), text);
    };
    await put(after);
    return () => put(before);
  }

  /** Runs the program. index.ts makes the resources while Node loads it, so it must not be loaded already. */
  run(): Record<string, unknown> {
    process.chdir(this.root);
    const main = path.join(this.root, "index.ts");
    for (const file of Object.keys(require.cache)) {
      if (file === main || (this.isChanged && file.startsWith(this.root + path.sep))) delete require.cache[file];
    }
    this.isChanged = false;
    return { ...require(main) };
  }
}
