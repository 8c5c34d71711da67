import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { root } from "../support/commands";

/** The rule is 25 words. This is the hard limit, for sentences that list things. */
const MOST_WORDS = 35;
const MOST_COLUMNS = 160;
const MOST_COMMENT_COLUMNS = 120;
const BANNED = ["anew", "held against", "told of", "comes to", "so much as", "by chance", "of which", "is tried again"];

const PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Pulumi.README.md", "{docs,local}/**/*.md"];
// The width of Python's comments is not checked here: ruff does it (E501).
const SOURCES = "**/*.{ts,mjs,cjs}";
const ALL_SOURCES = "**/*.{ts,mjs,cjs,py,sql,yaml,yml}";

const found = (...patterns: string[]) =>
  globSync(patterns, { cwd: root, exclude: (name) => name === "node_modules" || name === ".local" }).sort();
const read = (file: string) => readFileSync(path.join(root, file), "utf8");

/** One line of a page. `starts`: a paragraph begins here, so no sentence reaches over from the line before. */
interface Line {
  number: number;
  kind: "prose" | "table";
  text: string;
  starts: boolean;
}

/** A page without its code: fenced, or indented by four columns or more (no list here nests deeper than that). */
function linesOf(page: string): Line[] {
  const lines: Line[] = [];
  let fenced = false;
  let starts = true;
  for (const [index, text] of page.split("\n").entries()) {
    const fence = text.startsWith("```");
    if (fence) fenced = !fenced;
    if (fence || fenced || text.startsWith("    ") || text.trim() === "") {
      starts = true;
      continue;
    }
    const kind = text.startsWith("|") ? "table" : "prose";
    const alone = kind === "table" || /^\s*([-*]|\d+\.|#+) /.test(text);
    lines.push({ number: index + 1, kind, text, starts: starts || alone });
    starts = text.startsWith("#");
  }
  return lines;
}

/** Text with marks of lists and headings, links and abbreviations taken away, and each code span as one word. */
function plain(text: string): string {
  return text
    .replace(/`[^`]+`/g, "Code")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^\s*([-*]|\d+\.|#+) /, "")
    .replace(/\b(e\.g|i\.e|vs|cf)\./g, "$1");
}

function sentencesIn(text: string): string[] {
  return text.split(/(?<=[.?!][)"'*]*)\s+(?=[("'*]*[A-Z])/);
}

/** What is wrong with a page's words, each with its line. */
function wrongWords(page: string): string[] {
  const lines = linesOf(page);
  const wrong: string[] = [];
  const paragraphs: { number: number; text: string }[] = [];
  for (const { number, kind, text, starts } of lines) {
    const say = (what: string) => wrong.push(`${number}: ${what}`);
    const words = plain(text);
    for (const phrase of BANNED)
      if (new RegExp(`\\b${phrase}\\b`, "i").test(words)) say(`"${phrase}" is no plain English`);
    if (kind === "table") {
      paragraphs.push(...words.split("|").map((cell) => ({ number, text: cell })));
      continue;
    }
    if (text.length > MOST_COLUMNS) say(`${text.length} columns, ${MOST_COLUMNS} at most`);
    if (sentencesIn(words).length > 1) say("more than one sentence");
    if (starts) paragraphs.push({ number, text: words });
    else paragraphs.at(-1)!.text += ` ${words.trim()}`;
  }
  for (const { number, text } of paragraphs)
    for (const sentence of sentencesIn(text)) {
      const count = sentence.split(/\s+/).filter((word) => /\w/.test(word)).length;
      if (count > MOST_WORDS)
        wrong.push(`${number}: ${count} words in "${sentence.trim().slice(0, 60)}...", ${MOST_WORDS} at most`);
    }
  return wrong;
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsIn(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}

/** Links of a page that lead to no file, or to no section of it. */
function deadLinks(file: string, page: string): string[] {
  return linesOf(page).flatMap(({ number, text }) =>
    [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(([, to = "", section]) => {
      const target = to === "" ? file : path.join(path.dirname(file), to);
      if (!existsSync(path.join(root, target))) return [`${number}: no file ${target}`];
      if (section && !anchorsIn(to === "" ? page : read(target)).includes(section))
        return [`${number}: no section #${section} in ${target}`];
      return [];
    }),
  );
}

/** Comments that are too wide: Biome wraps code, but not comments. Neither a line of code nor a text in it counts. */
function wideComments(source: string): string[] {
  return source.split("\n").flatMap((line, index) => {
    const comment = /^\s*(\/\/|\/?\*)|[;,(){}[\]>] \/\/ /.test(line);
    return comment && line.length > MOST_COMMENT_COLUMNS
      ? [`${index + 1}: ${line.length} columns, ${MOST_COMMENT_COLUMNS} at most`]
      : [];
  });
}

describe("the words", () => {
  const pages = found(...PAGES);

  for (const file of pages)
    it(`of ${file} are one sentence a line, short and plain`, () => {
      assert.deepEqual(wrongWords(read(file)), []);
    });

  for (const file of pages)
    it(`of ${file} link to files and sections that exist`, () => {
      assert.deepEqual(deadLinks(file, read(file)), []);
    });

  it("of comments, texts and titles in the sources are plain", () => {
    const phrases = new RegExp(`\\b(${BANNED.join("|")})\\b`, "i");
    const wrong = found(ALL_SOURCES)
      .filter((file) => !file.startsWith("test/docs/"))
      .flatMap((file) =>
        read(file)
          .split("\n")
          .flatMap((line, index) => (phrases.test(line) ? [`${file}:${index + 1}: ${phrases.exec(line)![1]}`] : [])),
      );
    assert.deepEqual(wrong, []);
  });

  it("of comments fit the width of the code", () => {
    const wide = found(SOURCES).flatMap((file) => wideComments(read(file)).map((what) => `${file}:${what}`));
    assert.deepEqual(wide, []);
  });

  it("of a bad page break each rule", () => {
    const long = Array(MOST_WORDS + 1).fill("it");
    const bad: [page: string, wrong: RegExp][] = [
      [`See ${"x".repeat(MOST_COLUMNS)}.`, /^1: 165 columns/],
      ["Sense looks. It claims.", /^1: more than one sentence$/],
      ["- Is it so? `sense` looks.", /^1: more than one sentence$/],
      [`${long.join(" ")}.`, /^1: 36 words/],
      [`${long.slice(5).join(" ")}\n${long.slice(0, 5).join(" ")}.`, /^1: 36 words/],
      [`| cell | ${long.join(" ")} |`, /^1: 36 words/],
      ["## A title\n\nThe batch is tried again.", /^3: "is tried again"/],
    ];
    for (const [page, wrong] of bad) {
      const [first, ...more] = wrongWords(page);
      assert.match(first ?? "", wrong, page);
      assert.deepEqual(more, [], page);
    }
    const code = "A table. Of names. ".repeat(10);
    const good = `It reads, e.g. \`a table\`.\n\n| ${code} | ${"x".repeat(160)} |\n\n    ${code}\n\n\`\`\`sh\n${code}\n\`\`\`\n`;
    assert.deepEqual(wrongWords(good), []);
    assert.equal(wideComments(`// ${"x".repeat(MOST_COMMENT_COLUMNS)}`).length, 1);
    assert.equal(wideComments(`  call(); // ${"x".repeat(MOST_COMMENT_COLUMNS)}`).length, 1);
    assert.deepEqual(wideComments(`const text = "https://${"x".repeat(MOST_COMMENT_COLUMNS)}";`), []);
    assert.equal(
      deadLinks("docs/ci.md", "[a](nowhere.md), [b](ci.md#nothing), [c](#no), [d](https://e.org/f)").length,
      3,
    );
  });
});
