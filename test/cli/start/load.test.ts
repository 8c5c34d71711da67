import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { readDataFolder, uploadAll } from "../../../cli/start/load";
import { testCredentials } from "../../support/credentials";

describe("a folder of your own files", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-data-"));
    for (const name of ["reference", "streams"]) await mkdir(path.join(folder, name));
    for (const name of ["users.csv", "songs.csv"]) await writeFile(path.join(folder, "reference", name), "id\n");
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("is refused where no stream is a CSV, by what is there", async () => {
    await writeFile(path.join(folder, "streams", "plays.json"), "{}");
    await symlink("nowhere.csv", path.join(folder, "streams", "plays.csv"));
    await assert.rejects(
      readDataFolder(folder),
      /streams holds no \.csv or \.csv\.gz file: .*\nLeft out: 1 .*\n.*plays\.csv is a link to nothing/,
    );
  });

  it("names what can't be uploaded beside the streams that can", async () => {
    await writeFile(path.join(folder, "streams", "good.csv"), "x");
    await symlink(".", path.join(folder, "streams", "loop"));
    const { streams, leftOut } = await readDataFolder(folder);
    assert.deepEqual(
      streams.map(({ key }) => path.basename(key)),
      ["good.csv"],
    );
    assert.deepEqual(leftOut, [`${path.join(folder, "streams", "loop")} is a link to a folder that is taken already`]);
  });
});

describe("the loading of files into the local cloud", () => {
  it("ends at once when it is broken off, however much is still to come", async () => {
    // Takes every upload's beginning and answers none.
    const server = createServer(() => {}).listen(0, "127.0.0.1");
    await once(server, "listening");
    const s3 = new S3Client({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: "us-east-1",
      credentials: testCredentials,
      forcePathStyle: true,
    });
    const folder = await mkdtemp(path.join(tmpdir(), "music-streams-load-"));
    const sources = Array.from({ length: 40 }, (_, n) => ({
      file: path.join(folder, `${n}.csv`),
      key: `incoming/${n}.csv`,
    }));
    for (const { file } of sources) await writeFile(file, "user_id,track_id,listen_time\n");
    const stop = new AbortController();
    server.once("request", () => setTimeout(() => stop.abort(new Error("stopped")), 100));
    try {
      await assert.rejects(uploadAll(s3, "lake", sources, stop.signal), /stopped|abort/i);
    } finally {
      s3.destroy();
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true });
    }
  });
});
