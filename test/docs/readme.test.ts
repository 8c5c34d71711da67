import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import { main } from "../../cli/main";
import { verbs } from "../../cli/verbs";
import { generateSample, type SampleSummary } from "../../local/sample/generator";
import { runCommandIn } from "../cli/pipeline";
import { root } from "../support/commands";

const { scripts }: { scripts: Record<string, string> } = JSON.parse(
  readFileSync(path.join(root, "package.json"), "utf8"),
);

/** A command of the project: its verb or script, and its arguments as a shell gives them. */
interface Call {
  line: string;
  name: string;
  args: string[];
}

/** The lines of a page's code blocks, which are indented. README's last section has a tree of folders instead. */
function codeIn(page: string): string[] {
  const text = readFileSync(path.join(root, page), "utf8").replace(/^## Where things are\n[\s\S]*/m, "");
  const lines = text.split("\n").filter((line) => line.startsWith("    "));
  return lines.map((line) => line.trim());
}

function callsIn(code: string[]): Call[] {
  return code.flatMap((line) => {
    // A comment can name a command too: "npm run resume goes on".
    const [, shown = ""] = /^(.*?)(?:\s+# .*)?$/.exec(line) ?? [];
    const found = shown.matchAll(/\bnpm (?:run )?([\w:]+)((?: [^|>)&]*)?)|\bnpx music-streams (\w+)([^|>)&]*)/g);
    return [...found]
      .filter(([, script]) => script !== "ci")
      .map(([, script, ofScript, verb, ofVerb]) => {
        const words = (ofScript ?? ofVerb ?? "").trim().split(/\s+/).filter(Boolean);
        if (script !== undefined && words.length > 0) assert.equal(words.shift(), "--", `${line}: npm needs -- here`);
        return { line, name: (script ?? verb)!, args: words };
      });
  });
}

const code = codeIn("README.md");
const calls = callsIn(code);
const faq = codeIn("docs/faq.md");

/** What waits for a person (start), or writes a lot (generate, start): its options are looked up, and it is not run. */
const notRun = ["start", "generate"];

describe("README's commands", () => {
  let folder: string;
  let sample: SampleSummary;
  let songs: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-readme-"));
    sample = await generateSample(path.join(folder, "sample"));
    songs = await readFile(path.join(folder, "sample", "reference", "songs.csv"), "utf8");
    // What makes a file, as a reader types it.
    for (const line of code.filter((one) => one.startsWith("printf ")))
      await execa("sh", ["-c", line], { cwd: folder });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("are found", () => {
    assert.ok(calls.length > 25, String(calls.length));
    const shown = new Set(calls.map(({ name }) => name));
    assert.deepEqual(
      Object.keys(verbs).filter((name) => !shown.has(name) && name !== "resume"),
      [],
      "README shows every verb",
    );
  });

  it("name scripts that exist", () => {
    for (const { name, line } of calls) assert.ok(name in scripts || name in verbs, line);
  });

  for (const name of Object.keys(verbs))
    it(`have help: ${name}`, async () => {
      const { code, out, notes } = await runCommandIn(folder, main, [name, "--help"]);
      assert.equal(code, 0, notes.join("\n"));
      assert.match(out, new RegExp(`^Usage: music-streams ${name}`));
      for (const { args, line } of calls.filter((call) => call.name === name && notRun.includes(name)))
        for (const option of args.filter((arg) => arg.startsWith("--"))) assert.ok(out.includes(option), line);
    });

  /** Runs a command without a cloud: its arguments, options and files are looked at first. `cost` needs none. */
  async function isRightUsage({ line, name, args }: Call, cwd: string): Promise<void> {
    const { code, notes } = await runCommandIn(cwd, main, [name, ...args], { PATH: "/usr/bin:/bin" });
    assert.equal(code, name === "cost" ? 0 : 3, `${line}\n${notes.join("\n")}`);
  }

  for (const call of calls.filter(({ name }) => name in verbs && !notRun.includes(name)))
    it(`are right usage: ${call.name} ${call.args.join(" ")}`, () => isRightUsage(call, folder));

  it("are right usage in docs/faq.md, too", async () => {
    const files = path.join(folder, "faq");
    await mkdir(path.join(files, "year"), { recursive: true });
    await writeFile(path.join(files, "year/01.csv"), "user_id,track_id,listen_time\n2,t,2025-06-15 21:00:00\n");
    const shown = callsIn(faq).filter(({ name }) => name in verbs);
    assert.ok(shown.length >= 7, String(shown.length));
    for (const call of shown) await isRightUsage(call, files);
  });

  it("use days, genres and tracks that the sample has", () => {
    const shown = calls.filter(({ args }) => !args.includes("--stack"));
    const dates = shown.flatMap(({ args }) => args.filter((arg) => /^\d{4}-\d\d-\d\d$/.test(arg)));
    assert.ok(dates.length >= 2);
    for (const date of dates) assert.ok(sample.days.includes(date), date);
    const value = (kind: string) => shown.find(({ args }) => args[0] === kind)?.args[1];
    assert.match(songs, new RegExp(`,${value("genre")}\n`));
    assert.match(songs, new RegExp(`^\\d+,${value("track")},`, "m"));
  });

  it("drop a file whose listens are new, known and of the sample's days", async () => {
    const dropped = calls
      .filter(({ name }) => name === "drop")
      .flatMap(({ args }) => args.filter((arg) => /\.csv/.test(arg)));
    const users = await readFile(path.join(folder, "sample", "reference", "users.csv"), "utf8");
    const streams = path.join(folder, "sample", "streams");
    const plain = (await readdir(streams)).filter((name) => /^listens-.*\.csv$/.test(name));
    const sent = (await Promise.all(plain.map((name) => readFile(path.join(streams, name), "utf8")))).join("");
    assert.ok(dropped.length > 0);
    for (const file of dropped) {
      assert.ok(existsSync(path.join(folder, file)), file);
      const [header, ...rows] = (await readFile(path.join(folder, file), "utf8")).trimEnd().split("\n");
      assert.equal(header, "user_id,track_id,listen_time");
      assert.ok(rows.length > 0);
      for (const row of rows) {
        const [user, track, time] = row.split(",");
        assert.match(users, new RegExp(`^${user},`, "m"), row);
        assert.match(songs, new RegExp(`^\\d+,${track},`, "m"), row);
        assert.ok(sample.days.includes(time!.slice(0, 10)), row);
        assert.ok(!sent.includes(row), `${row} is a duplicate`);
      }
    }
  });
});
