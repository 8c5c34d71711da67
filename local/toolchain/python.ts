import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { UserError } from "../../terminal/errors";
import { fileHash, installOnce, type Site, step } from "./site";

const oldestPython: [number, number] = [3, 10];

export async function layerTestPython(site: Site): Promise<string> {
  const runtime = await installPython(site);
  const runtimePackages = await sitePackages(runtime);
  return virtualEnvironment(site, "python-test", "requirements-test.lock", async (python) => {
    await writeFile(path.join(await sitePackages(python), "runtime.pth"), `${runtimePackages}\n`);
  });
}

export async function installPython(site: Site): Promise<string> {
  return virtualEnvironment(site, "python", "requirements.lock");
}

/** The folder of a Python's packages. */
export async function sitePackages(python: string): Promise<string> {
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
  const lock = path.join(root, "local", "toolchain", "python", lockName);
  return installOnce(root, name, await fileHash(lock), python, async () => {
    const base = await pythonOfMachine();
    log(`Installing Python packages into .local/${name} (${lockName}, one or two minutes, only once) ...`);
    await rm(folder, { recursive: true, force: true });
    await step(site, `${name}-venv`, base, ["-m", "venv", folder], venvRemedy);
    await prepare?.(python);
    const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--require-hashes", "-r", lock];
    // The lock names everything. Python compiles what it imports, a small part of it all.
    await step(site, `${name}-pip`, python, [...pip, "--no-deps", "--no-compile"]);
  });
}

const venvRemedy =
  "Python's venv module is needed. On Debian or Ubuntu: apt install python3-venv. Elsewhere, install Python from https://www.python.org.";

/** The first Python on the machine that is new enough. The environment variable PYTHON is tried first. */
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
    `Python ${oldestPython.join(".")} or newer was not found${found}. Install it from https://www.python.org or your package manager, or set PYTHON to its path, then try again.`,
  );
}
