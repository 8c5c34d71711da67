import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { main } from "../../cli/main";
import { verbs } from "../../cli/verbs";
import { generateSample, type SampleSummary } from "../../local/sample/generator";
import { runCommandIn } from "../cli/pipeline";
import { blocksOf, isCommands, listener, ownCommand } from "../support/page-code";

describe("README's commands", () => {
  let folder: string;
  let sample: SampleSummary;
  let songs: string;
  const calls: { name: string; args: string[] }[] = [];

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-readme-"));
    sample = await generateSample(path.join(folder, "sample"));
    songs = await readFile(path.join(folder, "sample", "reference", "songs.csv"), "utf8");
    // This also makes the files that a reader makes.
    const calledBy = await listener(folder);
    for (const { text } of blocksOf("README.md").filter(isCommands))
      calls.push(...(await calledBy(text)).flatMap((call) => ownCommand(call) ?? []));
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

  for (const name of Object.keys(verbs))
    it(`have help: ${name}`, async () => {
      const { code, out, notes } = await runCommandIn(folder, main, [name, "--help"]);
      assert.equal(code, 0, notes.join("\n"));
      assert.match(out, new RegExp(`^Usage: music-streams ${name}`));
    });

  it("use days, genres and tracks that the sample has", () => {
    const shown = calls.filter(({ args }) => !args.includes("--stack"));
    const dates = shown.flatMap(({ args }) => args.filter((arg) => /^\d{4}-\d\d-\d\d$/.test(arg)));
    assert.ok(dates.length >= 2);
    for (const date of dates) assert.ok(sample.days.includes(date), date);
    const value = (kind: string) => shown.find(({ args }) => args[0] === kind)?.args[1];
    assert.match(songs, new RegExp(`,${value("genre")}\n`));
    assert.match(songs, new RegExp(`^\\d+,${value("track")},`, "m"));
    assert.match(songs, new RegExp(`^\\d+,[^,]+,${value("artist")}`, "im"));
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
