import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { root } from "../support/commands";

const read = (file: string) => readFileSync(path.join(root, file), "utf8");
const MOST_LINES = 6;

/** The sections of docs/faq.md: the anchor of each question, and its answer. */
const answers = read("docs/faq.md")
  .split(/^## /m)
  .slice(1)
  .map((section) => {
    const [title = "", ...lines] = section.split("\n");
    const anchor = title
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-");
    return { title, anchor, text: lines.join("\n") };
  });

describe("docs/faq.md", () => {
  it("is linked from README question by question", () => {
    const linked = [...read("README.md").matchAll(/\(docs\/faq\.md#([\w-]+)\)/g)].map(([, anchor]) => anchor);
    assert.deepEqual([...new Set(linked)].sort(), answers.map(({ anchor }) => anchor).sort());
  });

  it("answers in a few lines, with a command or a link", () => {
    assert.ok(answers.length >= 12);
    for (const { title, text } of answers) {
      const prose = text.replace(/^```[\s\S]*?^```/gm, "").split("\n");
      const lines = prose.filter((line) => line !== "" && !/^( {4}|\|)/.test(line));
      assert.ok(lines.length <= MOST_LINES, `${title} ${lines.length} lines`);
      assert.ok(/\]\(|^ {4}/m.test(text), `${title} No command and no link`);
    }
  });

  it("names settings that exist", () => {
    const named = answers.flatMap(({ text }) => [
      ...[...text.matchAll(/config set (\w+)/g)].map(([, name]) => name!),
      ...[...text.matchAll(/`((?:alarm|max|numberOf|startOn)\w+)`/g)].map(([, name]) => name!),
    ]);
    assert.ok(named.length > 4);
    const settings = read("Pulumi.yaml");
    for (const name of named) assert.ok(settings.includes(`\n  ${name}:\n`), name);
  });
});
