import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { main } from "../../cli/main";
import { verbs } from "../../cli/verbs";
import { readSettings } from "../../infra/settings";
import { type Config, readConfig } from "../../local/provider/program";
import { runCommandIn } from "../cli/pipeline";
import { root } from "../support/commands";
import { wrongUsageOf } from "../support/other-tools";
import { blocksOf, isCommands, listener, ownCommand } from "../support/page-code";

const read = (file: string) => readFileSync(path.join(root, file), "utf8");
const { scripts }: { scripts: Record<string, string> } = JSON.parse(read("package.json"));
const pages = ["README.md", ...globSync("docs/*.md", { cwd: root }).sort()];

/** What waits for a person or writes a lot: only its options are looked up. */
const NOT_RUN = ["start", "generate"];

/**
 * Every command of every page, as a shell reads it. Those of the project run where there is no cloud, up to the point
 * where they look for one. test/end-to-end/tutorial.test.ts runs those of the tutorial to their ends.
 */
describe("the commands of the docs", () => {
  let folder: string;
  let calledBy: Awaited<ReturnType<typeof listener>>;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-commands-"));
    calledBy = await listener(folder);
    // Files that the pages take for granted.
    await mkdir(path.join(folder, "year"));
    const listen = "user_id,track_id,listen_time\n2,t,2025-06-15 21:00:00\n";
    for (const file of ["plays.csv", "year/01.csv"]) await writeFile(path.join(folder, file), listen);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Wrong usage ends with 2. `cost` needs no cloud, and all others end with 3 because there is none. */
  async function checkOwn(name: string, args: string[]): Promise<void> {
    assert.ok(name in scripts || name in verbs, "neither a script nor a verb");
    if (!(name in verbs)) return;
    const given = NOT_RUN.includes(name) ? ["--help"] : args;
    const { code, out, notes } = await runCommandIn(folder, main, [name, ...given], { PATH: "/usr/bin:/bin" });
    assert.equal(code, NOT_RUN.includes(name) || name === "cost" ? 0 : 3, notes.join("\n"));
    if (NOT_RUN.includes(name))
      for (const option of args.filter((arg) => arg.startsWith("--"))) assert.ok(out.includes(option), option);
  }

  /** A command of another tool, and the setting or output that it names. */
  async function checkOther(call: string[]): Promise<void> {
    const [program, ...words] = call;
    if (program === "jq" || program!.startsWith(".local/")) return;
    assert.equal(wrongUsageOf(call), undefined);
    const [, output] = /^stack output (.*)/.exec(words.join(" ")) ?? [];
    if (output) assert.match(read("index.ts"), new RegExp(`^export const ${output} =`, "m"));
    if (words[0] !== "config") return;
    const [, , name, value] = words;
    assert.ok(read("Pulumi.yaml").includes(`\n  ${name}:\n`), `no setting ${name}`);
    pulumi.runtime.setAllConfig({ ...readConfig(root, "dev"), [`music-streams:${name}`]: value } as Config);
    const mocks = { newResource: () => ({ id: "", state: {} }), call: () => ({}) };
    await pulumi.runtime.setMocks(mocks, "music-streams", "dev");
    readSettings();
  }

  for (const page of pages.filter((one) => blocksOf(one).some(isCommands)))
    it(`in ${page} exist, with their options, settings and outputs`, async () => {
      for (const { text } of blocksOf(page).filter(isCommands))
        for (const call of await calledBy(text))
          try {
            const own = ownCommand(call);
            await (own ? checkOwn(own.name, own.args) : checkOther(call));
          } catch (error) {
            assert.fail(`${call.join(" ")}\n${(error as Error).message}`);
          }
    });

  it("are all indented code of README, FAQ, tutorial and metrics, but for one output and the tree of folders", () => {
    const own = ["README.md", "docs/faq.md", "docs/tutorial.md", "docs/use-the-metrics.md"];
    const others = own.flatMap(blocksOf).filter((block) => block.kind === "shell" && !isCommands(block));
    assert.deepEqual(
      others.map(({ text }) => text.split(/\s/)[0]),
      ["Batch", "index.ts"],
    );
  });
});
