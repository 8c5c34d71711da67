import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { step } from "../../../local/toolchain/site.cjs";
import { diskFullAdvice } from "../../../terminal/disk-full.cjs";
import { describeError, UserError } from "../../../terminal/errors";

/** A device on which every write finds the disk full. */
const full = "/dev/full";

describe("a full disk", () => {
  let root: string;
  before(async function () {
    if (!existsSync(full)) return this.skip();
    root = await mkdtemp(path.join(tmpdir(), "music-streams-full-"));
  });
  after(async () => {
    if (root) await rm(root, { recursive: true, force: true });
  });
  const install = (script: string) => step({ root, log: () => {} }, "x", "sh", ["-c", script], "Check the network.");

  it("is named when an installation fails by it, and the network is not", async () => {
    await assert.rejects(install(`cp /bin/sh ${full}`), (error: UserError) => {
      assert.match(error.message, /^Installing \(x\) failed:\n.+\nThe disk is full\. Free some space/);
      assert.doesNotMatch(error.message, /network/);
      return error instanceof UserError;
    });
    await assert.rejects(install("echo no route to host; exit 1"), /no route to host\nCheck the network\./);
  });

  it("is named when a command can't write a file", async () => {
    const error = await writeFile(full, "metrics").catch((one) => one);
    assert.match(describeError(error), /ENOSPC.*\nThe disk is full\. Free some space/);
    assert.match(describeError(new Error("no metrics", { cause: error })), /The disk is full/);
    assert.doesNotMatch(describeError(new UserError("no such file")), /disk/);
  });

  it("is known by the words of npm, pip, Java and the emulator", () => {
    for (const words of [
      "npm error code ENOSPC\nnpm error syscall write",
      "npm error nospc ENOSPC: no space left on device, write",
      "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
      "java.io.IOException: No space left on device",
      "tar: write error: Disk quota exceeded",
    ])
      assert.ok(diskFullAdvice(words), words);
    for (const words of ["npm error code E404", "connect ECONNREFUSED 127.0.0.1:28", "[Errno 280]"])
      assert.equal(diskFullAdvice(words), undefined, words);
  });
});
