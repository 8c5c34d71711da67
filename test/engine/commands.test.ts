import assert from "node:assert/strict";
import { execa } from "execa";
import { OTHER_TOOLS } from "../support/other-tools";

describe("the Pulumi commands of the docs", () => {
  for (const [command, { options }] of Object.entries(OTHER_TOOLS).filter(([name]) => name.startsWith("pulumi ")))
    it(`exist with their options: ${command}`, async () => {
      const [program, ...words] = command.split(" ");
      const { stdout } = await execa(program!, [...words, "--help"], { env: { PULUMI_SKIP_UPDATE_CHECK: "true" } });
      // The help of a group is shown for any word that follows it; the last word must be the command's name or alias.
      const usage = /^Usage:\n {2}pulumi ([\s\S]*?)^(?:Flags|Options):/m.exec(stdout)?.[1] ?? "";
      assert.ok(usage.split(/[^\w-]+/).includes(words.at(-1)!) && !usage.includes("[command]"), stdout);
      for (const option of options) assert.match(stdout, new RegExp(` ${option}\\b`));
    });
});
