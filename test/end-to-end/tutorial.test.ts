import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import { stopsAtFailure } from "../support/chain";
import { isAlive, root, until } from "../support/commands";
import { type Block, blocksOf, needsAws } from "../support/page-code";

/** A person asks this of a batch that is not archived; ours is. */
const REFUSED = /^npm run (retry|abandon) /;
/** Whatever stands for something of the reader's, and what goes on, or takes long, or needs a program more. */
const OF_THE_READER: [RegExp, string][] = [
  [/^npm run console\b.*/, "true"],
  [/\bUSER_ID\b/, "nobody"],
  [/> FILE\b/, "> metrics.ndjson"],
  [/\bDIR --listens 1000000\b/, "sample --listens 1000"],
  [/\| jq\b/, `| node -e 'JSON.parse(require("fs").readFileSync(0))'`],
];
/** The commands of a block, one a line, without their comments. */
const commandsOf = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/ +# .*$/, ""));
const BATCH_ID = /\b\d{8}T\d{6}Z-[A-Z0-9]{8}\b/g;

/** What a block below "It prints" must find in an output: its lines, in their order, with any text for each `...`. */
function expected(text: string): RegExp {
  const lines = text.trimEnd().split("\n");
  const escaped = lines.map((line) => line.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replaceAll("\\.\\.\\.", ".*"));
  return new RegExp(escaped.join("[^]*\n"));
}

/** Types docs/tutorial.md as its first section says. */
describe("docs/tutorial.md", () => {
  stopsAtFailure();
  /** It looks like the project's folder, so that what the reader writes there stays out of it. */
  let folder: string;
  let started: ReturnType<typeof type> | undefined;
  let printed = "";
  let batchId = "";

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-tutorial-"));
    for (const name of readdirSync(root)) await symlink(path.join(root, name), path.join(folder, name));
  });
  after(async () => {
    started?.kill("SIGINT");
    await started;
    await rm(folder, { recursive: true, force: true });
  });

  const type = (commands: string) =>
    execa("sh", ["-ec", commands], { cwd: folder, all: true, reject: false, stdin: "ignore" });

  /** The one command that goes on. It may take any port, because another cloud can have its own. */
  async function start(command: string): Promise<void> {
    started = type(`exec ${command} -- --port 0`);
    let output = "";
    started.all.on("data", (chunk) => {
      output += chunk;
    });
    await until("npm start is ready", () => {
      if (!isAlive(started!.pid!)) throw new Error(`npm start ended early:\n${output}`);
      return output.includes("The local cloud is ready");
    });
    assert.match(output, /^Console: http/m);
  }

  async function run({ text }: Block): Promise<void> {
    if (text === "npm start\n") return start(text.trim());
    const { exitCode, all } = await type(text.replaceAll("BATCH_ID", batchId));
    assert.equal(exitCode, text.includes("# exit code 1") ? 1 : 0, all);
    printed = all;
    batchId = all.match(BATCH_ID)?.at(-1) ?? batchId;
  }

  async function follow(block: Block): Promise<void> {
    const { kind, text, above } = block;
    const [, name] = /^Save it as `([\w.]+)`:$/.exec(above) ?? [];
    if (kind === "shell") await run(block);
    else if (kind === "text" && above === "It prints:") assert.match(printed, expected(text));
    else if (name) await writeFile(path.join(folder, name), text, { flag: "wx" });
    else assert.fail(`neither commands, nor output, nor a file: ${text}`);
  }

  const blocks = blocksOf("docs/tutorial.md").filter((block) => !needsAws(block));
  const sections = [...new Set(blocks.map(({ section }) => section))];

  for (const section of sections)
    it(`works as it is written: ${section}`, async () => {
      for (const block of blocks.filter((one) => one.section === section)) await follow(block);
    });

  it("README's other commands work on the same cloud, and the replay gives the same metrics", async () => {
    const block = blocksOf("README.md").find(
      ({ section, text }) => section === "Work with it" && text.includes("npm run drop"),
    )!;
    const typed = new Set(blocks.flatMap(({ kind, text }) => (kind === "shell" ? commandsOf(text) : [])));
    const lines = commandsOf(block.text).filter((line) => !typed.has(line));
    assert.ok(lines.length >= 15 && lines.includes("npm run replay -- BATCH_ID"), lines.join("\n"));
    for (const line of lines) {
      const command = OF_THE_READER.reduce((text, [from, to]) => text.replace(from, to), line);
      const { exitCode, all } = await type(command.replaceAll("BATCH_ID", batchId));
      assert.equal(exitCode, REFUSED.test(command) ? 1 : 0, `${command}\n${all}`);
      if (command.startsWith("npm run replay ")) await until("it is archived again", isReplayed, 3000);
    }
    const exported = await readFile(path.join(folder, "metrics.ndjson"), "utf8");
    const { stdout } = await type("npx music-streams metrics export");
    assert.equal(`${stdout}\n`, exported);
  });

  /** The tutorial's own replay was the batch's second attempt. */
  async function isReplayed(): Promise<boolean> {
    const { stdout } = await type("npx music-streams batches --json");
    const batches: { batchId: string; state: string; attempt: number }[] = JSON.parse(stdout);
    const replayed = batches.find((batch) => batch.batchId === batchId)!;
    return replayed.attempt > 2 && batches.every(({ state }) => state === "ARCHIVED");
  }
});
