import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { tracksOf } from "../../cli/read/artists";
import { folders } from "../support/folders";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const python = path.resolve(__dirname, "..", "..", ".local", "python", "bin", "python");
const DATA = `(VALUES
  ('t1', 'ABBA', 'Dancing Queen'), ('t2', 'Abba;Cher', NULL), ('t3', 'Cher', 'Believe'), ('t4', NULL, 'No artist'),
  ('t5', 'Motörhead', 'Überfall')) rows(track_id, artists, track_name)`;

describe("the search by artist", () => {
  let pipeline: Pipeline;

  before(async () => {
    pipeline = await startPipeline();
  });
  after(() => pipeline.close());

  /** A copy of the reference data as transform keeps it: several files, ZSTD, more columns. */
  async function putCopy(name: string, from: string, isWhole = true): Promise<void> {
    const folder = `${folders.staged}reference/${name}/`;
    const objects: { key: string }[] = [{ key: `${folder}users/part-0.parquet` }];
    for (const half of [0, 1]) {
      const file = `${name}-${half}.parquet`;
      const query = `COPY (SELECT *, ['pop'] AS genres, 5::BIGINT AS popularity FROM ${from}
        WHERE track_id[2]::INT % 2 = ${half}) TO '${file}' (FORMAT parquet, CODEC zstd)`;
      execFileSync(python, ["-c", "import duckdb, sys; duckdb.sql(sys.argv[1])", query], { cwd: pipeline.root });
      const key = `${folder}tracks/part-${half}.parquet`;
      objects.push({ key });
      const Body = readFileSync(path.join(pipeline.root, file));
      await pipeline.target.s3.send(
        new PutObjectCommand({ Bucket: pipeline.target.outputs.bucketName, Key: key, Body }),
      );
    }
    if (isWhole) await pipeline.put(`${folder}users/part-0.parquet`, "users");
    await pipeline.put(`${folder}copy.json`, JSON.stringify({ findings: {}, objects }));
  }

  it("says that there is no copy of the reference data yet", async () => {
    assert.equal(await tracksOf(pipeline.target, "abba"), undefined);
    const { code, notes } = await pipeline.run(verb("metrics"), "artist", "abba");
    assert.equal(code, 1);
    assert.match(notes.join("\n"), /There is no parsed reference data now/);
  });

  it("finds a part of a name in any case, in all files, sorted by artists and name", async () => {
    await putCopy("a", DATA);
    assert.deepEqual(await tracksOf(pipeline.target, "abba"), [
      { trackId: "t1", name: "Dancing Queen", artists: "ABBA" },
      { trackId: "t2", name: undefined, artists: "Abba;Cher" },
    ]);
    assert.deepEqual(await tracksOf(pipeline.target, "MOTÖR"), [
      { trackId: "t5", name: "Überfall", artists: "Motörhead" },
    ]);
    const { code, out } = await pipeline.run(verb("metrics"), "artist", "cher");
    assert.equal(code, 0);
    assert.deepEqual(out.match(/t\d/g), ["t2", "t3"]);
    const none = await pipeline.run(verb("metrics"), "artist", "nobody");
    assert.equal(none.code, 1);
    assert.match(none.notes.join("\n"), /no track of an artist like "nobody"/);
  });

  it("reads the newest copy that is whole", async () => {
    // S3 keeps times in seconds.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await putCopy("newer", "(VALUES ('t9', 'ABBA', 'Waterloo')) rows(track_id, artists, track_name)");
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await putCopy("newest", DATA, false);
    assert.deepEqual(await tracksOf(pipeline.target, "abba"), [{ trackId: "t9", name: "Waterloo", artists: "ABBA" }]);
  });
});
