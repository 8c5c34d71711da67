import { readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { root } from "./commands";

/** A piece of a page's code. */
export interface Block {
  /** `shell`: indented lines. Otherwise the language of the fence. */
  kind: string;
  text: string;
  /** The title of its section. */
  section: string;
  /** The last line of prose above it. */
  above: string;
}

/** Every block of code on a page, in order. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let section = "";
  let above = "";
  let fence: Block | undefined;
  let shell: Block | undefined;
  for (const line of readFileSync(path.join(root, page), "utf8").split("\n")) {
    const isFence = line.startsWith("```");
    if (fence && isFence) fence = undefined;
    else if (fence) fence.text += `${line}\n`;
    else if (isFence) {
      fence = { kind: line.slice(3), text: "", section, above };
      blocks.push(fence);
    } else if (line.startsWith("    ")) {
      if (!shell) {
        shell = { kind: "shell", text: "", section, above };
        blocks.push(shell);
      }
      shell.text += `${line.slice(4)}\n`;
      continue;
    } else if (line.startsWith("## ")) section = line.slice(3);
    else if (line !== "") above = line;
    shell = undefined;
  }
  return blocks;
}

/** The text of the one block of a kind on a page. */
export function onlyBlock(page: string, kind: string): string {
  const [found, ...others] = blocksOf(page).filter((block) => block.kind === kind);
  if (!found || others.length > 0) throw new Error(`${page} must have one block of ${kind}`);
  return found.text;
}

/** Such a section is for an account of the reader's: no test runs its commands (docs/tutorial.md says so). */
export const needsAws = ({ section }: Block) => section.endsWith("(needs AWS)");

/** A shell block that holds commands. The others show output, or a tree of folders. */
export const isCommands = ({ kind, text }: Block) =>
  kind === "shell" && /^\s*(npm|npx|pulumi|aws|git|eval|export|printf) /m.test(text);

/** Programs of the docs that `listener` replaces. */
const NOTED = ["npm", "npx", "pulumi", "aws", "git", "jq", ".local/python/bin/python"];

/**
 * Returns a function that gives a block to a shell as it stands, in this folder, and returns the words of every
 * program that it would run. The programs only note what the shell gives them; files are written for real.
 */
export async function listener(folder: string): Promise<(block: string) => Promise<string[][]>> {
  const notes = path.join(folder, ".notes");
  const bin = path.join(folder, ".bin");
  for (const name of NOTED) {
    const program = path.join(name.includes("/") ? folder : bin, name);
    await mkdir(path.dirname(program), { recursive: true });
    // One write, since the programs of a pipe run side by side.
    const script = `#!/bin/sh\nprintf '%s\\0' ${name} "$@" '\n' >> '${notes}'\n`;
    await writeFile(program, script, { mode: 0o755 });
  }
  const env = { PATH: `${bin}:/usr/bin:/bin` };
  return async (block) => {
    await writeFile(notes, "");
    await execa("/bin/sh", ["-ec", block], { cwd: folder, extendEnv: false, env });
    const lines = (await readFile(notes, "utf8")).split("\0\n\0").filter(Boolean);
    return lines.map((line) => line.split("\0"));
  };
}

/** A command of the project, without its runner; nothing for other programs, `npm ci` among them. */
export function ownCommand([tool, ...words]: string[]): { name: string; args: string[] } | undefined {
  if (tool === "npx" && words[0] === "music-streams") return { name: words[1] ?? "", args: words.slice(2) };
  if (tool !== "npm" || words[0] === "ci") return undefined;
  const [name = "", dashes, ...args] = words[0] === "run" ? words.slice(1) : words;
  if (dashes !== undefined && dashes !== "--") throw new Error(`npm needs -- before ${dashes}`);
  return { name, args };
}
