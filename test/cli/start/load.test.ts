import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { uploadAll } from "../../../cli/start/load";
import { testCredentials } from "../../support/credentials";

describe("the loading of files into the local cloud", function () {
  this.timeout(10_000);

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
