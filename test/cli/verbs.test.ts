import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Argument, Command } from "commander";
import { execa } from "execa";
import { main } from "../../cli/main";
import { verbs } from "../../cli/verbs";
import { root as project } from "../support/commands";
import { runCommandIn, startPipeline } from "./pipeline";

/** Verbs that need no running cloud. */
const standAlone = ["start", "generate", "cost"];
/** A good value for each argument that a verb asks for. */
const good: Record<string, string> = { file: "a.csv", date: "2024-06-25", "batch-id": "20240625T171313Z-AAAAAAAA" };

/** Every command line: the words that name it, and what it takes. */
const lines = Object.entries(verbs).flatMap(([name, { describe: describeVerb }]) => {
  const parent = new Command(name);
  const found: { words: string[]; line: Command }[] = [];
  describeVerb(parent, (line) => {
    found.push({ words: line === parent ? [name] : [name, line.name()], line });
  });
  return found.map(({ words, line }) => ({
    words,
    options: [...line.options, ...(line === parent ? [] : parent.options)],
    required: line.registeredArguments.filter(({ required }) => required),
    isVariadic: line.registeredArguments.some(({ variadic }) => variadic),
    places: line.registeredArguments.length,
  }));
});
const values = (required: readonly Argument[]) => required.map((one) => good[one.name()] ?? "some");
/** What some verbs need beside their required arguments. */
const more: Record<string, string[]> = {
  retry: ["--all"],
  replay: ["--from", "2024-06-25"],
  cost: ["--listens-per-day", "1000"],
};

describe("every command line", () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(path.join(tmpdir(), "music-streams-verbs-"));
    await writeFile(path.join(root, "a.csv"), "user_id,track_id,listen_time\n");
    // A Pulumi CLI that knows no stack.
    await writeFile(path.join(root, "pulumi"), "#!/bin/sh\necho 'error: no stack named nope found' >&2\nexit 255\n", {
      mode: 0o755,
    });
  });
  after(() => rm(root, { recursive: true, force: true }));

  it("is in the table of this test", () => assert.ok(lines.length >= 15, String(lines.length)));

  for (const { words, options, required, isVariadic, places } of lines) {
    const name = words.join(" ");
    const usual = [...words, ...values(required), ...(more[name] ?? [])];
    const wrong: [string, string[]][] = [["an option that it does not have", [...usual, "--no-such-option"]]];
    if (required.length > 0) wrong.push(["a missing argument", words]);
    if (!isVariadic) wrong.push(["an argument too much", [...words, ...Array(places + 1).fill("some")]]);
    for (const option of options.filter((one) => one.required))
      wrong.push([`${option.long} without its value`, [...usual, option.long as string]]);
    for (const [what, args] of wrong)
      it(`${name} ends with 2 for ${what}, and prints nothing on stdout`, async () => {
        const { code, out, notes } = await runCommandIn(root, main, args);
        assert.deepEqual([code, out], [2, ""], notes.join("\n"));
        assert.match(notes.join("\n"), /^error: /);
      });

    for (const { long } of options.filter((one) => one.long !== "--prefix"))
      it(`${name} ends with 2 when npm took ${long}, and names the remedy`, async () => {
        const taken = { [`npm_config_${long!.slice(2).replaceAll("-", "_")}`]: "true" };
        const env = { npm_lifecycle_event: words[0] as string, ...taken };
        const { code, out, notes } = await runCommandIn(root, main, [...words, ...values(required)], env);
        assert.deepEqual([code, out], [2, ""], notes.join("\n"));
        assert.match(
          notes.join("\n"),
          new RegExp(`npm took ${long} .* -- ${long} .*npx music-streams ${words[0]} ${long}`),
        );
      });

    if (standAlone.includes(name)) continue;
    it(`${name} ends with 3 without a cloud, and prints nothing on stdout`, async () => {
      const { code, out, notes } = await runCommandIn(root, main, usual);
      assert.deepEqual([code, out], [3, ""], notes.join("\n"));
      assert.match(notes.join("\n"), /^The local cloud is not running/);
    });
    if (options.some(({ long }) => long === "--stack"))
      it(`${name} ends with 3 without the stack, and prints nothing on stdout`, async () => {
        const env = { PATH: `${root}:/usr/bin:/bin` };
        const { code, out, notes } = await runCommandIn(root, main, [...usual, "--stack", "nope"], env);
        assert.deepEqual([code, out], [3, ""], notes.join("\n"));
        assert.match(notes.join("\n"), /no stack named nope found/);
      });
    if (options.some(({ long }) => long === "--out"))
      it(`${name} writes no file and names the folder when --out can't be written`, async () => {
        const { code, notes } = await runCommandIn(root, main, [...usual, "--out", "no/such/folder"]);
        assert.equal(code, 2);
        assert.match(notes.join("\n"), /no\/such\/folder can't be written/);
      });
  }

  for (const args of [
    ["metrics", "day", "2024-02-30"],
    ["metrics", "genre", "jazz", "--date", "yesterday"],
    ["replay"],
    ["replay", "--from", "2024-06-26", "--to", "2024-06-25"],
    ["retry"],
    ["retry", "--all", "20240625T171313Z-AAAAAAAA"],
    ["batches", "--limit", "some"],
    ["drop", "absent.csv"],
    ["generate", "new", "--last-day", "never"],
    ["start", "--data", "absent"],
    ["start", "--export", "absent/metrics.ndjson"],
  ])
    it(`${args.join(" ")} is wrong usage`, async () => {
      const { code, out, notes } = await runCommandIn(root, main, args);
      assert.deepEqual([code, out], [2, ""], notes.join("\n"));
    });

  it("takes no variable for a lost option that npm sets otherwise, or whose option was given", async () => {
    for (const [env, args] of [
      [{ npm_lifecycle_event: "npx", npm_config_yes: "true" }, ["abandon", "B"]],
      [{ npm_lifecycle_event: "abandon", npm_config_yes: "" }, ["abandon", "B"]],
      [{ npm_lifecycle_event: "abandon", npm_config_yes: "true" }, ["abandon", "B", "--yes"]],
      [{ npm_lifecycle_event: "drop", npm_config_prefix: "/usr", npm_config_loglevel: "silent" }, ["drop", "a.csv"]],
    ] as const)
      assert.equal((await runCommandIn(root, main, [...args], env)).code, 3, JSON.stringify(env));
  });

  it("ends with 2 when a person forgets -- behind npm run", async () => {
    const done = await execa("npm", ["run", "-s", "drop", "--wait", "a.csv"], { cwd: project, reject: false });
    assert.deepEqual([done.exitCode, done.stdout], [2, ""], done.stderr);
    assert.match(done.stderr, /npm took --wait for an option of its own.*npm run drop -- --wait/);
  });

  it("writes the same to a file as to stdout", async () => {
    const pipeline = await startPipeline();
    const id = "20240625T171313Z-AAAAAAAA";
    await pipeline.putLedger({ pk: "BATCH", sk: id, batchId: id, state: "ARCHIVED", error: "\u202e\u001b[2J" });
    try {
      for (const args of [["batches"], ["batches", "--json"], ["metrics", "export"]]) {
        const { out } = await pipeline.run(main, ...args);
        const file = path.join(pipeline.root, "written");
        const said = await pipeline.run(main, ...args, "--out", "written");
        assert.deepEqual([said.code, said.out, await readFile(file, "utf8")], [0, "", out]);
        assert.deepEqual(said.notes, ["Written to written."]);
      }
    } finally {
      await pipeline.close();
    }
  });
});
