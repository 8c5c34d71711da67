import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { root } from "../support/commands";

const read = (file: string) => readFileSync(path.join(root, file), "utf8");
const script = (name: string) => read(`glue-scripts/music_streams/${name}.py`);
const page = read("docs/data.md");

/** The tables of a section of the page, each as rows of cells, without its head. */
function tablesOf(title: string): string[][][] {
  const [, section] = new RegExp(`^## ${title}\\n([^]*?)(?=^## |(?![^]))`, "m").exec(page) ?? [];
  assert.ok(section, `docs/data.md has no section "${title}"`);
  const blocks = section
    .trim()
    .split(/\n{2,}/)
    .filter((block) => block.startsWith("|"));
  return blocks.map((block) =>
    block
      .trimEnd()
      .split("\n")
      .slice(2)
      .map((row) =>
        row
          .split("|")
          .slice(1, -1)
          .map((cell) => cell.trim()),
      ),
  );
}

/** The names in code spans of a table's first column, in order. */
function namesIn(title: string, nth = 0): string[] {
  const rows = tablesOf(title)[nth] ?? [];
  return rows.flatMap(([first = ""]) => [...first.matchAll(/`([^`]+)`/g)].map(([, name]) => name!));
}

/** What a pattern finds in a text, each once, sorted. The pattern has one group. */
function foundIn(text: string, pattern: RegExp): string[] {
  const found = [...new Set([...text.matchAll(pattern)].map(([, name]) => name!))].sort();
  assert.ok(found.length > 0, `the code has changed: ${pattern} finds nothing`);
  return found;
}

/** The text of a function: from its head to the next line that is not indented. */
function functionOf(source: string, name: string): string {
  const [text] = new RegExp(`^def ${name}\\([^]*?(?=\\n[^\\s)]|(?![^]))`, "m").exec(source) ?? [];
  assert.ok(text, `the code has no function ${name}`);
  return text;
}

/** The names of a Python tuple of texts; `*OTHER` in it stands for another tuple of the file. */
function tupleOf(source: string, name: string): string[] {
  const [, inner] = new RegExp(`^${name} = \\(([^)]*)\\)`, "m").exec(source) ?? [];
  assert.ok(inner, `the code has no tuple ${name}`);
  return [...inner.matchAll(/\*(\w+)|"(\w+)"/g)].flatMap(([, other, text]) => (other ? tupleOf(source, other) : text!));
}

describe("docs/data.md", () => {
  it("has every column of the streams, the songs and the users, and no other", () => {
    const reference = script("reference");
    const required = (title: string) =>
      tablesOf(title)[0]!
        .filter(([, isRequired]) => isRequired === "yes")
        .map(([name]) => name!.replaceAll("`", ""));
    const columns = [
      ["Streams", tupleOf(script("listens"), "COLUMNS"), tupleOf(script("listens"), "COLUMNS")],
      ["Songs", tupleOf(reference, "SONG_COLUMNS"), tupleOf(reference, "SONG_KEYS")],
      ["Users", tupleOf(reference, "USER_COLUMNS"), tupleOf(reference, "USER_KEYS")],
    ] as const;
    for (const [title, all, keys] of columns) {
      assert.deepEqual(namesIn(title), all, title);
      assert.deepEqual(required(title), keys, `${title}: required`);
    }
    const numbers = ["Songs", "Users"].flatMap((title) =>
      tablesOf(title)[0]!
        .filter(([, , type]) => type === "whole number")
        .map(([name]) => name!.replaceAll("`", "")),
    );
    assert.deepEqual(numbers, tupleOf(reference, "NUMBERS"));
  });

  it("has every reason of a row, in the order in which they apply", () => {
    const judged = functionOf(script("listens"), "checked");
    const reasons = [...judged.matchAll(/, "([a-z_]+)"\)\n/g)].map(([, name]) => name);
    // A forgotten listener's row is not judged further.
    const [, first] = /^FORGOTTEN = "(\w+)"$/m.exec(script("listens")) ?? [];
    assert.deepEqual(namesIn("Quarantined rows"), [first, ...reasons]);
    const console = read("console/pages/quarantine.ts");
    for (const reason of namesIn("Quarantined rows")) assert.match(console, new RegExp(`^  ${reason}:`, "m"));
  });

  it("has every reason of a file, and no other", () => {
    const sources = globSync("glue-scripts/music_streams/*.py", { cwd: root }).map(read).join("\n");
    const reasons = [
      // As it is raised, as a row shows it, and as a staged file gets it.
      ...foundIn(sources, /QuarantinedFileError\(\s*"(\w+)"/g),
      ...foundIn(sources, /problem = (?:F|problem)\.when\([^\n]*, "(\w+)"\)/g),
      ...foundIn(sources, /\bwide = F\.when\([^\n]*, "(\w+)"\)/g),
      ...foundIn(sources, /\.quarantine\(\w+, "(\w+)"/g),
      ...foundIn(sources, /^REFUSED = "(\w+)"/gm),
    ];
    assert.deepEqual(namesIn("Quarantined files").sort(), [...new Set(reasons)].sort());
  });

  it("has every finding of the reference data, and no other", () => {
    const fields = foundIn(script("dimensions"), /"(reference[A-Z]\w+)":/g);
    assert.deepEqual(namesIn("Findings in the reference data", 0).sort(), fields);
    const reference = script("reference");
    const values = `${functionOf(reference, "_findings")}${functionOf(reference, "_number")}`;
    const reasons = foundIn(values, /, "([a-z_0-9]+)"\)/g);
    assert.deepEqual(namesIn("Findings in the reference data", 1).sort(), reasons);
  });

  it("has the limits that the code has", () => {
    const limits = tablesOf("Limits")[0]!.map((row) => row.join(" | "));
    const [, units] = /^LONGEST_FIELD = (\d+)\*\*2$/m.exec(script("rows")) ?? [];
    assert.match(limits[0]!, new RegExp(`\\| ${(Number(units) ** 2).toLocaleString("en")} characters`));
    const [, columns] = /^MOST_COLUMNS = ([\d_]+)$/m.exec(script("rows")) ?? [];
    assert.match(limits[1]!, new RegExp(`\\| ${columns?.replaceAll("_", ",")} columns$`));
    const [, header] = /^LONGEST_HEADER = (\d+) \* 1024\*\*2$/m.exec(script("inputs")) ?? [];
    assert.match(limits[2]!, new RegExp(`\\| ${header} MB$`));
    const [, unsuspected] = /^UNSUSPECTED_BYTES = (\d+) \* 1024\*\*2$/m.exec(script("inputs")) ?? [];
    const [, growth] = /^MOST_GZIP_GROWTH = (\d+)$/m.exec(script("inputs")) ?? [];
    assert.match(limits[3]!, new RegExp(`more than ${unsuspected} MB \\| ${growth} times its size$`));
  });

  it("says the id rule and the range of times that the code has", () => {
    const [, rest] = /^ANY_ID = "\[A-Za-z0-9\]\[A-Za-z0-9\._:-\]\{0,(\d+)\}"$/m.exec(script("listens")) ?? [];
    assert.ok(page.includes(`An id has 1 to ${1 + Number(rest)} characters:`), rest);
    const [, year] = /^EARLIEST = datetime\((\d{4}), 1, 1, /m.exec(script("listens")) ?? [];
    const [, days] = /^LATEST_AFTER_CLAIM = timedelta\(days=(\d+)\)$/m.exec(script("listens")) ?? [];
    const range = tablesOf("Times")[0]!.find(([part]) => part === "range")?.[1];
    assert.equal(`${days} day`, "1 day");
    assert.equal(range, `from ${year}-01-01 00:00:00 UTC to a day after the batch was claimed`);
  });

  it("has every item of the metrics table, and every attribute", () => {
    const items = script("metrics_items");
    const keys = [...items.matchAll(/f?"((?:TRACK|GENRE|DAY)#)\{[^}]+\}", f?"([A-Z_]+)(#?)/g)];
    const inCode = [...new Set(keys.map(([, pk, sk, dated]) => `${pk} ${sk}${dated}`))].sort();
    assert.equal(inCode.length, 8);
    const onPage = tablesOf("What is published")[0]!.map(([, item]) => {
      const [, pk, sk, dated] = /`([A-Z]+#)<\w+>`, `([A-Z_]+)(#?)/.exec(item!) ?? [];
      return `${pk} ${sk}${dated}`;
    });
    assert.deepEqual(onPage.sort(), inCode);
    const attributes = [...new Set([...foundIn(items, /"([a-z_]{2,})":/g), ...foundIn(items, /_list\(\s*"(\w+)"/g)])];
    const provenance = foundIn(script("publish_writer"), /"(batch_id|published_at)":/g);
    assert.deepEqual(namesIn("What is published", 1).sort(), [...attributes, ...provenance].sort());
    const [, kinds = ""] = /`metric` names it:\n(.*)\.$/m.exec(page) ?? [];
    assert.deepEqual(foundIn(kinds, /`(\w+)`/g), foundIn(items, / Metric\("(\w+)"/g));
  });
});
