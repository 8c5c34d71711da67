// One file, because its stories share an emulator and the play of a batch's end.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { outcomeText } from "../../cli/drop";
import { place } from "../../runtime/places";
import { until } from "../support/commands";
import { folders } from "../support/folders";
import { type Pipeline, type Said, startHost, startPipeline, verb } from "./pipeline";

const main = verb("drop");

describe("npm run drop", () => {
  let pipeline: Pipeline;
  let nth = 0;

  before(async () => {
    pipeline = await startPipeline();
  });
  after(() => pipeline.close());

  /** A batch id later than all before. */
  function nextBatchId(): string {
    nth += 1;
    return `20260101T${String(nth).padStart(6, "0")}Z-AAAAAAAA`;
  }
  async function file(name: string, text = "user_id,track_id,listen_time\n"): Promise<string> {
    await mkdir(path.dirname(path.join(pipeline.root, name)), { recursive: true });
    await writeFile(path.join(pipeline.root, name), text);
    return name;
  }
  async function bytesOf(key: string): Promise<Buffer> {
    const object = await pipeline.target.s3.send(
      new GetObjectCommand({ Bucket: pipeline.target.outputs.bucketName, Key: key }),
    );
    return Buffer.from((await object.Body?.transformToByteArray()) ?? []);
  }
  async function landed(name: string): Promise<void> {
    const arrived = async () => (await pipeline.keys(folders.incoming)).includes(`${folders.incoming}${name}`);
    await until(`${name} has arrived`, arrived, 50);
  }

  /** Drops a file with --wait, plays the pipeline, and returns what the command said. */
  async function dropAndPlay(name: string, play: (batchId: string) => Promise<void>, text?: string): Promise<Said> {
    await file(name, text);
    const said = pipeline.run(main, "--wait", "--timeout", "600", name);
    await landed(name);
    await play(nextBatchId());
    return said;
  }

  it("puts files under their base names below incoming/, odd names and prefixes included", async () => {
    const name = `ä b+%20[x]'"&=.CSV`;
    await file(`some/folder/${name}`, "x");
    const { code, notes } = await pipeline.run(main, "--prefix", "/web/2024//", `some/folder/${name}`);
    assert.equal(code, 0, notes.join());
    assert.deepEqual(await pipeline.keys(`${folders.incoming}web/`), [`${folders.incoming}web/2024/${name}`]);
    assert.deepEqual(notes.slice(0, 1), [`uploaded ${folders.incoming}web/2024/${name} (1 B)`]);
  });

  it("takes the CSVs below a folder with their paths, and says what it does not upload", async () => {
    await file("tree/one.csv");
    await file("tree/deep/er/two.csv.gz");
    await file("tree/notes.txt");
    await symlink("..", path.join(pipeline.root, "tree", "deep", "loop"));
    const { code, notes } = await pipeline.run(main, "--prefix", "t", "tree");
    // The link's folder is not uploaded a second time, and whatever is left out is no success.
    assert.equal(code, 1, notes.join());
    assert.match(notes[1] ?? "", /^Left out: 1 .*\n.*loop is a link to a folder that is taken already$/);
    assert.deepEqual(await pipeline.keys(`${folders.incoming}t/`), [
      `${folders.incoming}t/deep/er/two.csv.gz`,
      `${folders.incoming}t/one.csv`,
    ]);
    assert.match(notes[0] ?? "", /^Not uploaded: 1 .*notes\.txt/);
  });

  it("names what it can't upload from a folder, uploads the rest, and ends with 1", async () => {
    await file("part/good.csv");
    await symlink("nowhere.csv", path.join(pipeline.root, "part", "dangling.csv"));
    const folder = Buffer.from(path.join(pipeline.root, "part", "latin-"));
    // Not every file system takes such a name.
    const isOdd = await writeFile(Buffer.concat([folder, Buffer.from([0xe9]), Buffer.from(".csv")]), "x").then(
      () => true,
      () => false,
    );
    const { code, notes } = await pipeline.run(main, "--prefix", "part", "part");
    assert.equal(code, 1);
    assert.deepEqual(await pipeline.keys(`${folders.incoming}part/`), [`${folders.incoming}part/good.csv`]);
    assert.match(notes[0] ?? "", /dangling\.csv is a link to nothing/);
    if (isOdd) assert.match(notes[0] ?? "", /latin-é\.csv has a name that is not UTF-8/);
  });

  it("uploads a large file in parts, byte for byte, and an empty one", async () => {
    const large = "0123456789abcdef".repeat(1_200_000);
    await file("large.csv", large);
    await file("empty.csv", "");
    const { code, notes } = await pipeline.run(main, "large.csv", "empty.csv");
    assert.equal(code, 0, notes.join());
    const digest = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");
    assert.equal(digest(await bytesOf(`${folders.incoming}large.csv`)), digest(large));
    assert.equal((await bytesOf(`${folders.incoming}empty.csv`)).length, 0);
  });

  it("refuses before it uploads anything, naming every reason", async () => {
    await file("fine.csv");
    await file("other/fine.csv");
    await file("page.html");
    await mkdir(path.join(pipeline.root, "bare"), { recursive: true });
    const { code, notes } = await pipeline.run(
      main,
      "--prefix",
      "refused",
      "fine.csv",
      "other/fine.csv",
      "page.html",
      "absent.csv",
      "bare",
    );
    assert.equal(code, 2);
    const text = notes.join("\n");
    assert.match(text, /^Nothing was uploaded:/);
    assert.match(text, /page\.html: its name must end with \.csv or \.csv\.gz/);
    assert.match(text, /absent\.csv: there is no such file/);
    assert.match(text, /bare: there is no \.csv/);
    assert.match(text, new RegExp(`would both become ${folders.incoming}refused/fine\\.csv`));
    assert.deepEqual(await pipeline.keys(`${folders.incoming}refused`), []);
  });

  it("refuses a prefix that leads elsewhere, and a key that S3 can't take", async () => {
    await file("fine.csv");
    assert.match((await pipeline.run(main, "--prefix", "a/../b", "fine.csv")).notes.join(), /can't be part/);
    assert.match(
      (await pipeline.run(main, "--prefix", "é".repeat(600), "fine.csv")).notes.join(),
      /S3 takes at most 1024/,
    );
    assert.deepEqual(await pipeline.keys(`${folders.incoming}b`), []);
  });

  it("takes a file that is named twice once", async () => {
    await file("twice.csv");
    const { notes } = await pipeline.run(main, "--prefix", "once", "twice.csv", "./twice.csv");
    assert.equal(notes.filter((note) => note.startsWith("uploaded")).length, 1);
  });

  it("asks the local cloud for an early tick", async () => {
    const before = (await pipeline.keys("ticks/")).length;
    await file("tick.csv");
    await pipeline.run(main, "tick.csv");
    await until("sense is invoked", async () => (await pipeline.keys("ticks/")).length > before, 100);
  });

  it("waits until the file's batch is archived, and shows its rows", async () => {
    const { code, out, notes } = await dropAndPlay("good.csv", async (batchId) => {
      const claim = await pipeline.claim(batchId, ["good.csv"]);
      await sleep(1500);
      const counts = { rowsRead: 9, rowsKept: 6, rowsDuplicate: 1, rowsQuarantined: { bad_id: 2 } };
      await claim.report({ filesQuarantined: [], filesChanged: [], files: [{ name: "good.csv", ...counts }] });
      const bad = (raw: string, key = "good.csv") =>
        JSON.stringify({ key: folders.incoming + key, reason: "bad_id", raw });
      const rows = [bad("of another", "other.csv"), bad("\u001b[2J,first"), bad("second"), bad("third"), ""];
      await pipeline.put(`${place("quarantinedRows", { batchId })}part-0.json`, rows.join("\n"));
      await claim.move("good.csv", `${folders.archived}2026-01-01/${batchId}/good.csv`);
      await claim.set({ state: "ARCHIVED", day: "2026-01-01" });
    });
    assert.equal(code, 0, out);
    assert.match(
      out,
      /^good\.csv: archived in batch .* \(9 rows read, 6 kept, 1 duplicate, 2 quarantined: bad_id 2\)\n/,
    );
    const rows = out.split("\n").slice(1);
    assert.deepEqual(rows.slice(0, 2), ["    bad_id: \\u001b[2J,first (good.csv)", "    bad_id: second (good.csv)"]);
    const inBatch = place("quarantinedRows", { batchId: ".*" });
    assert.match(rows[2]!, new RegExp(`^ {4}lines 2, 3 of ${inBatch}part-0\\.json$`));
    assert.deepEqual(rows.slice(3), [""], "two rows of each reason are enough");
    assert.match(notes.join("\n"), /RUNNING, attempt 1/);
  });

  it("waits for a batch of its own when the same file was archived before", async () => {
    const archive = async (batchId: string) => {
      const claim = await pipeline.claim(batchId, ["same.csv"]);
      await claim.report({ files: [] });
      await claim.move("same.csv", `${folders.archived}2026-01-01/${batchId}/same.csv`);
      await claim.set({ state: "ARCHIVED", day: "2026-01-01" });
    };
    const first = await dropAndPlay("same.csv", archive);
    let second = "";
    const again = await dropAndPlay("same.csv", async (batchId) => {
      second = batchId;
      await sleep(1000);
      await archive(batchId);
    });
    assert.deepEqual([first.code, again.code], [0, 0]);
    assert.ok(again.out.includes(second), again.out);
  });

  it("does not mistake an earlier batch with the same file for this one's", async () => {
    await dropAndPlay("before.csv", async (batchId) => {
      const claim = await pipeline.claim(batchId, ["before.csv"]);
      await claim.move("before.csv", `${folders.archived}2026-01-01/${batchId}/before.csv`);
      await claim.set({ state: "ARCHIVED", day: "2026-01-01" });
    });
    const { code, out } = await dropAndPlay("before.csv", async () => {
      await pipeline.target.s3.send(
        new DeleteObjectCommand({ Bucket: pipeline.target.outputs.bucketName, Key: `${folders.incoming}before.csv` }),
      );
    });
    assert.deepEqual(
      [code, out],
      [1, `before.csv: not archived, someone deleted it from ${folders.incoming} before it was read\n`],
    );
  });

  it("ends with 1 when the file changed after it was read, before it was moved", async () => {
    const { code, out } = await dropAndPlay("late.csv", async (batchId) => {
      const claim = await pipeline.claim(batchId, ["late.csv"]);
      await claim.report({ filesQuarantined: [], filesChanged: [], files: [] });
      await pipeline.put(`${folders.incoming}late.csv`, "another version");
      await claim.set({ state: "ARCHIVED", day: "2026-01-01" });
    });
    assert.equal(code, 1);
    assert.match(out, /another version of it was dropped after its listens had been counted/);
  });

  it("ends with 1 when no row of a file could be used, with the reasons and the first rows of each", async () => {
    const { code, out } = await dropAndPlay("useless.csv", async (batchId) => {
      const claim = await pipeline.claim(batchId, ["useless.csv"]);
      const counts = { rowsRead: 4, rowsKept: 0, rowsDuplicate: 0, rowsQuarantined: { bad_id: 3, malformed_row: 1 } };
      await claim.report({ filesQuarantined: [], filesChanged: [], files: [{ name: "useless.csv", ...counts }] });
      const row = (raw: string, reason: string, name = "useless.csv") =>
        `${JSON.stringify({ key: `${folders.incoming}${name}`, reason, raw })}\n`;
      const rows = row("a", "bad_id", "other.csv") + row("b,1", "bad_id") + row("c\n,2", "bad_id") + row("d", "bad_id");
      await pipeline.target.s3.send(
        new PutObjectCommand({
          Bucket: pipeline.target.outputs.bucketName,
          Key: `${place("quarantinedRows", { batchId })}part-0.json`,
          Body: rows + row("e", "malformed_row"),
        }),
      );
      await claim.move("useless.csv", `${folders.archived}2026-01-01/${batchId}/useless.csv`);
      await claim.set({ state: "ARCHIVED", day: "2026-01-01" });
    });
    assert.equal(code, 1);
    const [first, ...rows] = out.trimEnd().split("\n");
    assert.match(
      first!,
      /^useless\.csv: archived in .*, but none of its 4 rows could be used: bad_id 3, malformed_row 1$/,
    );
    assert.deepEqual(
      rows.map((row) => row.trim().replace(/ of .*part-0/, " of part-0")),
      [
        "bad_id: b,1 (useless.csv)",
        "bad_id: c\\n,2 (useless.csv)",
        "malformed_row: e (useless.csv)",
        "lines 2, 3, 5 of part-0.json",
      ],
    );
  });

  it("ends with 1 when the file is quarantined, and says why", async () => {
    const { code, out } = await dropAndPlay("bad.csv", async (batchId) => {
      const claim = await pipeline.claim(batchId, ["bad.csv"]);
      await claim.report({
        filesQuarantined: [{ name: "bad.csv", reason: "missing_columns", detail: "no user_id" }],
        files: [],
      });
      await claim.move("bad.csv", `${folders.quarantinedFiles}2026-01-01/${batchId}/bad.csv`);
      await claim.set({ state: "ARCHIVED", day: "2026-01-01" });
    });
    assert.equal(code, 1);
    assert.match(out, /bad\.csv: not archived, quarantined in batch .*\(missing_columns: no user_id\)/);
  });

  it("follows a split batch to its halves, and ends with 1 when the file's half failed", async () => {
    const { code, out } = await dropAndPlay("half.csv", async (batchId) => {
      const parent = await pipeline.claim(batchId, ["half.csv"]);
      await sleep(700);
      // A half may have any id: here one that sorts before its parent's.
      const half = batchId.replace("AAAAAAAA", "22222222");
      await parent.set({ state: "SPLIT", children: [half] });
      const child = await pipeline.claim(half, ["half.csv"], batchId);
      await sleep(700);
      await child.move("half.csv", `${folders.failed}2026-01-01/half.csv`);
      await child.set({ state: "FAILED", error: "transform: it broke" });
    });
    assert.equal(code, 1);
    assert.match(out, /half\.csv: not archived, batch \d+T\d+Z-2{8} FAILED: transform: it broke/);
  });

  // A name of 980 bytes fits below incoming/, but not below a dated folder, where a shortened name takes its place.
  for (const [what, kind, end, code, said] of [
    ["archived", "archived", { state: "ARCHIVED" }, 0, /: archived in batch /],
    ["quarantined", "quarantinedFile", { state: "ARCHIVED" }, 1, /: not archived, quarantined in batch /],
    ["failed", "failed", { state: "FAILED", error: "it broke" }, 1, /: not archived, batch .* FAILED: it broke/],
  ] as const)
    it(`says how a file with a very long name ended: ${what}`, async () => {
      const date = "2026-01-01";
      const prefix = Array(4).fill(what.padEnd(245, "-")).join("/");
      const name = `${prefix}/long.csv`;
      assert.ok(Buffer.byteLength(name) >= 980);
      await file("long.csv");
      const dropped = pipeline.run(main, "--wait", "--timeout", "600", "--prefix", prefix, "long.csv");
      await landed(name);
      const batchId = nextBatchId();
      const claim = await pipeline.claim(batchId, [name]);
      const filesQuarantined = what === "quarantined" ? [{ name, reason: "missing_columns" }] : [];
      await claim.report({ filesQuarantined, filesChanged: [], files: [] });
      await claim.move(name, place(kind, { date, batchId, name }));
      await claim.set({ ...end, day: date });
      const { code: ended, out } = await dropped;
      assert.match(out, said);
      assert.equal(ended, code, out);
    });

  it("ends with 1 when another version took the file's place before it was read", async () => {
    const { code, out } = await dropAndPlay("replaced.csv", async () => {
      await pipeline.put(`${folders.incoming}replaced.csv`, "another version");
    });
    assert.equal(code, 1);
    assert.match(out, /another version of it was dropped before it was read/);
  });

  it("ends with 1 when someone deleted the file", async () => {
    const { code, out } = await dropAndPlay("removed.csv", async () => {
      await pipeline.target.s3.send(
        new DeleteObjectCommand({ Bucket: pipeline.target.outputs.bucketName, Key: `${folders.incoming}removed.csv` }),
      );
    });
    assert.equal(code, 1);
    assert.match(out, /someone deleted it/);
  });

  it("stops waiting after --timeout, and says where the files are", async () => {
    await pipeline.putLedger({ pk: "PIPELINE", sk: "PAUSED", since: "2026-01-01T00:00:00Z" });
    await file("patient.csv");
    const { code, notes } = await pipeline.run(main, "--wait", "--timeout", "2", "patient.csv");
    assert.equal(code, 1);
    assert.match(notes.join("\n"), new RegExp(`1 file is waiting in ${folders.incoming} \\(the pipeline is paused\\)`));
    assert.match(notes.join("\n"), /Not settled after .*1 of 1 file\./);
  });

  it("shows control characters of names and reasons as escapes", () => {
    const text = outcomeText({ name: "a\u001b[2J.csv", end: "failed", batchId: "b", reason: "line\nline" });
    assert.match(text, /^a\\u001b\[2J\.csv: .*line\\nline/);
  });
});

describe("npm run drop --wait", () => {
  it("says so when the local cloud ends meanwhile", async () => {
    const host = await startHost();
    const pipeline = await startPipeline(host);
    await writeFile(path.join(pipeline.root, "alone.csv"), "x");
    const said = pipeline.run(main, "--wait", "--timeout", "600", "alone.csv");
    await until("the file has arrived", async () => (await pipeline.keys(folders.incoming)).length > 0);
    await host.close();
    const { code, notes } = await said;
    await pipeline.close();
    assert.equal(code, 3);
    assert.match(notes.at(-1) ?? "", /^The local cloud no longer answers/);
  });
});
