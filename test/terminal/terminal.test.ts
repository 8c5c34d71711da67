import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { canRedraw, hasColours } from "../../terminal/colours";
import { counted, printable, printableLines } from "../../terminal/format";
import { type Output, processTerminal } from "../../terminal/terminal";

const ROOT = path.resolve(__dirname, "..", "..");

/** A stream that remembers what is written to it. */
function remembering(isTTY: boolean): { stream: Output; written: () => string } {
  let text = "";
  const write = (more: string) => {
    text += more;
    return true;
  };
  return { stream: { isTTY, write, once: () => {} } as unknown as Output, written: () => text };
}

/** Cursor movements, hidden text, a reversed name, a line separator, a tag, half a character. */
const NASTY = [
  "\u001b[2J",
  "\u001b[8m",
  "\u009b31m",
  "\u202egnp.exe",
  "a\u2028b",
  "\u{e0041}",
  "\ud800",
  "\r",
  "\u0007",
];
const nasty = fc.array(fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: "binary" }))).map((all) => all.join(""));
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const own = new RegExp(`\n|${String.fromCharCode(27)}\\[([012]|22|3[12369])m`, "g");
const withoutOwn = (text: string) => text.replace(own, "");

describe("a number of things", () => {
  it("has the singular for one alone", () => {
    assert.deepEqual(
      [counted(0, "file"), counted(1, "file"), counted(1200, "file"), counted(2, "batch", "batches")],
      ["0 files", "1 file", "1,200 files", "2 batches"],
    );
  });

  it("is written by one function, in every message", () => {
    const plural =
      /\$\{(?:count\()?[\w.!]+\)?\} (?:files|rows|batches|items|days|checks|breaches|listens|genres|tracks)\b/;
    const found = ["cli", "local", "terminal"]
      .flatMap((room) =>
        readdirSync(path.join(ROOT, room), { recursive: true, encoding: "utf8" }).map((name) => `${room}/${name}`),
      )
      .filter((name) => name.endsWith(".ts") && plural.test(readFileSync(path.join(ROOT, name), "utf8")));
    assert.deepEqual(found, []);
  });
});

describe("what a terminal can do", () => {
  for (const [what, isTTY, env, redraws, shows] of [
    ["a terminal", true, { TERM: "xterm" }, true, true],
    ["a terminal with NO_COLOR", true, { TERM: "xterm", NO_COLOR: "1" }, true, false],
    ["a terminal with an empty NO_COLOR", true, { TERM: "xterm", NO_COLOR: "" }, true, true],
    ["TERM=dumb", true, { TERM: "dumb" }, false, false],
    ["CI", true, { TERM: "xterm", CI: "1" }, false, false],
    ["a file or a pipe", false, { TERM: "xterm" }, false, false],
  ] as const)
    it(`${what} ${redraws ? "is redrawn" : "gets plain lines"}, ${shows ? "with" : "without"} colours`, () =>
      assert.deepEqual([canRedraw({ isTTY }, env), hasColours({ isTTY }, env)], [redraws, shows]));
});

describe("a print to a terminal", () => {
  it("is refused for bytes, which a file or a pipe takes as they are", () => {
    const bytes = Uint8Array.of(80, 65, 82, 49);
    const [screen, file] = [remembering(true), remembering(false)];
    assert.throws(() => processTerminal(screen.stream).out(bytes), /not for a terminal\. Give a file with --out/);
    processTerminal(file.stream).out(bytes);
    assert.deepEqual([screen.written(), file.written()], ["", String(bytes)]);
  });

  it("holds no character that moves the cursor, reorders or hides text, whatever the data", () => {
    fc.assert(
      fc.property(nasty, (text) => {
        const [out, err] = [remembering(true), remembering(true)];
        const terminal = processTerminal(out.stream, err.stream);
        terminal.out(text);
        terminal.note(text);
        for (const written of [out.written(), err.written()]) assert.doesNotMatch(withoutOwn(written), unsafe);
      }),
    );
  });

  it("is unchanged in a file or a pipe, but for notes, which are for people", () => {
    const [out, err] = [remembering(false), remembering(false)];
    const terminal = processTerminal(out.stream, err.stream);
    terminal.out(`{"name":"\u202e\u2028"}\n`);
    terminal.note("batch \u001b[2J failed");
    assert.equal(out.written(), `{"name":"\u202e\u2028"}\n`);
    assert.equal(err.written(), "batch \\u001b[2J failed\n");
  });

  it("keeps its own line breaks and colours, and a value's line break is none of them", () => {
    assert.equal(
      printableLines("\u001b[1mBatch\u001b[22m\n  \u001b[31m✖\u001b[39m"),
      "\u001b[1mBatch\u001b[22m\n  \u001b[31m✖\u001b[39m",
    );
    assert.equal(printableLines(`file ${printable("a\n✔ done.csv")}`), "file a\\n✔ done.csv");
  });

  it("comes from terminal/ alone, or passes its function", () => {
    const writes = /console\.\w+\(|process\.std(out|err)\b(?!\.isTTY)/;
    const found = ["cli", "local", "terminal"]
      .flatMap((room) =>
        readdirSync(path.join(ROOT, room), { recursive: true, encoding: "utf8" }).map((name) => `${room}/${name}`),
      )
      .filter((name) => /\.(ts|mjs|cjs)$/.test(name) && writes.test(readFileSync(path.join(ROOT, name), "utf8")))
      .sort();
    assert.deepEqual(found, [
      // Redraws lines that passed printableLines.
      "cli/start/display.ts",
      // Runs before any package or data is there.
      "local/toolchain/bootstrap.mjs",
      "terminal/errors.ts",
      "terminal/terminal.ts",
    ]);
  });
});
