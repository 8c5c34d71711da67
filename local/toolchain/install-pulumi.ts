import { mkdir, readFile, rename } from "node:fs/promises";
import path from "node:path";
import { PulumiCommand } from "@pulumi/pulumi/automation";
import { execa } from "execa";
import { fileHash, installOnce, type Site, step } from "./site.cjs";

/** A Go module that names the CLI as its tool, with versions and hashes of everything in the build. */
const MODULE = path.join("test", "engine", "pulumi-cli");
const PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";

/** What to do on a machine with neither the CLI nor Go. */
export const PULUMI_REMEDY =
  "Install the Pulumi CLI (https://www.pulumi.com/docs/iac/download-install/), or Go (https://go.dev/dl/) to build it.";

/**
 * The PATH on which `pulumi` is found: unchanged, or with a CLI in front that this builds with Go, once.
 *
 * @param inBackground builds with low priority, on one core
 * @returns nothing if the machine has neither Go nor a CLI that the Automation API accepts
 * @throws UserError when the build fails
 */
export async function installPulumi(site: Site, inBackground: boolean): Promise<string | undefined> {
  if (await hasPulumi()) return process.env.PATH;
  const { exitCode } = await execa("go", ["version"], { reject: false });
  if (exitCode !== 0) return undefined;
  return [path.dirname(await build(site, inBackground)), process.env.PATH].join(path.delimiter);
}

async function hasPulumi(): Promise<boolean> {
  return PulumiCommand.get().then(
    () => true,
    () => false,
  );
}

async function build(site: Site, inBackground: boolean): Promise<string> {
  const { root, log } = site;
  const module = path.join(root, MODULE);
  const files = ["go.mod", "go.sum"].map((name) => path.join(module, name));
  const pulumi = path.join(root, ".local", "pulumi", "pulumi");
  return installOnce(root, "pulumi", await fileHash(...files, __filename), pulumi, async () => {
    const how = inBackground ? "in the background" : "about five minutes";
    log(`No Pulumi CLI on PATH: building it with Go into .local/pulumi (${how}, only once) ...`);
    const version = /github\.com\/pulumi\/pulumi\/sdk\/v3 v(\S+)/.exec(await readFile(files[0]!, "utf8"))?.[1];
    const unfinished = `${pulumi}.unfinished`;
    await mkdir(path.dirname(pulumi), { recursive: true });
    const go = ["go", "build", "-C", module, "-mod=readonly", "-buildvcs=false", "-trimpath", "-o", unfinished];
    // The Automation API refuses a CLI without a version.
    go.push("-ldflags", `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${version}`);
    if (inBackground) go.push("-p", "1");
    const remedy = `The lines above say why. Or: ${PULUMI_REMEDY}`;
    const [command = "", ...args] = [...(inBackground ? ["nice", "-n", "19"] : []), ...go, PACKAGE];
    await step(site, "pulumi", command, args, remedy, inBackground ? { GOMAXPROCS: "1" } : {});
    await rename(unfinished, pulumi);
  });
}
