import { mkdir, readFile, rename } from "node:fs/promises";
import path from "node:path";
import { PulumiCommand } from "@pulumi/pulumi/automation";
import { execa } from "execa";
import { fileHash, once, type Site, step } from "./site";

/** A Go module that names the CLI as its tool, with the versions and hashes of all that it is built from. */
const MODULE = path.join("test", "engine", "pulumi-cli");
const PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";

/** What to do on a machine that has neither. */
export const PULUMI_REMEDY =
  "Install the Pulumi CLI (https://www.pulumi.com/docs/iac/download-install/), or Go (https://go.dev/dl/), with which it is built.";

/**
 * What PATH must be for `pulumi` to be found there: as it is, or with a CLI in front that is built with Go, once.
 *
 * @param gently leaves the machine to whatever else runs on it
 * @returns nothing where there is neither a CLI that the Automation API takes nor Go
 * @throws UserError when the build fails
 */
export async function installPulumi(site: Site, gently: boolean): Promise<string | undefined> {
  if (await hasPulumi()) return process.env.PATH;
  const { exitCode } = await execa("go", ["version"], { reject: false });
  if (exitCode !== 0) return undefined;
  return [path.dirname(await build(site, gently)), process.env.PATH].join(path.delimiter);
}

async function hasPulumi(): Promise<boolean> {
  return PulumiCommand.get().then(
    () => true,
    () => false,
  );
}

async function build(site: Site, gently: boolean): Promise<string> {
  const { root, log } = site;
  const module = path.join(root, MODULE);
  const files = ["go.mod", "go.sum"].map((name) => path.join(module, name));
  const pulumi = path.join(root, ".local", "pulumi", "pulumi");
  return once(root, "pulumi", await fileHash(...files, __filename), pulumi, async () => {
    const how = gently ? "beside the first checks" : "five minutes perhaps";
    log(`No Pulumi CLI on PATH: building it with Go into .local/pulumi (${how}, this once) ...`);
    const version = /github\.com\/pulumi\/pulumi\/sdk\/v3 v(\S+)/.exec(await readFile(files[0]!, "utf8"))?.[1];
    const unfinished = `${pulumi}.unfinished`;
    await mkdir(path.dirname(pulumi), { recursive: true });
    const go = ["go", "build", "-C", module, "-mod=readonly", "-buildvcs=false", "-trimpath", "-o", unfinished];
    // The Automation API refuses a CLI that can't tell its version.
    go.push("-ldflags", `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${version}`);
    if (gently) go.push("-p", "1");
    const remedy = `Check the network (and a proxy's settings), then try again. Or: ${PULUMI_REMEDY}`;
    const [command = "", ...args] = [...(gently ? ["nice", "-n", "19"] : []), ...go, PACKAGE];
    await step(site, "pulumi", command, args, remedy, gently ? { GOMAXPROCS: "1" } : {});
    await rename(unfinished, pulumi);
  });
}
