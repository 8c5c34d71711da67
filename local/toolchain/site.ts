import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { UserError } from "../../terminal/errors";
import { lastLines, remedyFor } from "./install-failure.cjs";

/** An installation: the project's folder, the log for its progress, and the signal that aborts it. */
export interface Site {
  root: string;
  log: (line: string) => void;
  stop?: AbortSignal;
}

/**
 * Runs `install` unless its marker file shows that it succeeded with the same inputs. The marker is written last. It
 * names its own folder, because an installation can't be moved; a link to it, beside a link to the marker, is as good.
 */
export async function installOnce(
  root: string,
  name: string,
  inputs: string,
  product: string,
  install: () => Promise<void>,
): Promise<string> {
  const marker = path.join(root, ".local", `${name}.installed`);
  const wanted = async () => `${inputs} ${path.dirname(await realpath(marker))}`;
  const done = existsSync(product) && existsSync(marker) && (await readFile(marker, "utf8")) === (await wanted());
  if (done) return product;
  await mkdir(path.dirname(marker), { recursive: true });
  await rm(marker, { force: true });
  await install();
  await writeFile(marker, "");
  await writeFile(marker, await wanted());
  return product;
}

export async function fileHash(...files: string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(file));
  return hash.digest("hex");
}

/**
 * Runs a command with its output in a log. @throws UserError if it fails, with the end of the output and what to do:
 * by the cause that the output names, otherwise `remedy`
 */
export async function step(
  site: Site,
  name: string,
  command: string,
  args: string[],
  remedy = "The lines above say why.",
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
  // On a full disk the log can't be written either.
  const isLogged = await writeFile(log, done.all ?? "").then(
    () => true,
    () => false,
  );
  stop?.throwIfAborted();
  if (!done.failed) return;
  // A command that could not be started has no output.
  const output = done.all || (done.shortMessage ?? "");
  const where = isLogged ? ` The whole output is in ${path.relative(process.cwd(), log)}.` : "";
  throw new UserError(`Installing (${name}) failed:\n${lastLines(output)}\n${remedyFor(output, remedy)}${where}`);
}
