import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { installOnce, step } from "../../../local/toolchain/site.cjs";
import { ODD_NAME } from "../../support/odd-files";

describe("an installation", () => {
  let folder: string;
  let installed: string[];

  const install = (root: string, inputs = "1") => {
    const product = path.join(root, ".local", "tool");
    return installOnce(root, "tool", inputs, product, async () => {
      installed.push(path.basename(root));
      await writeFile(product, inputs);
    });
  };

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-site-"));
    installed = [];
    await install(path.join(folder, "first"));
    await install(path.join(folder, "first"));
    assert.deepEqual(installed, ["first"]);
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("is made again for other inputs, without its product, and after one that failed", async () => {
    await install(path.join(folder, "first"), "2");
    await rm(path.join(folder, "first", ".local", "tool"));
    await install(path.join(folder, "first"), "2");
    assert.deepEqual(installed, ["first", "first", "first"]);
    const failing = installOnce(path.join(folder, "first"), "tool", "3", path.join(folder, "first", ".local"), () =>
      Promise.reject(new Error("no network")),
    );
    await assert.rejects(failing, /no network/);
    await install(path.join(folder, "first"), "2");
    assert.equal(installed.length, 4);
  });

  it("is made again where the project has moved, because it names its own place", async () => {
    await rename(path.join(folder, "first"), path.join(folder, "moved"));
    await install(path.join(folder, "moved"));
    assert.deepEqual(installed, ["first", "moved"]);
  });

  it("serves a copy of the project that links it, and stays as it is", async () => {
    const [first, copy] = ["first", "copy"].map((name) => path.join(folder, name, ".local")) as [string, string];
    await mkdir(copy, { recursive: true });
    for (const name of ["tool", "tool.installed"]) await symlink(path.join(first, name), path.join(copy, name));
    await install(path.join(folder, "copy"));
    await symlink(path.join(folder, "first"), path.join(folder, "link"));
    await install(path.join(folder, "link"));
    await install(path.join(folder, "first"));
    assert.deepEqual(installed, ["first"]);
  });
});

describe("a step of an installation that fails", () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(path.join(tmpdir(), ODD_NAME));
  });
  after(() => rm(root, { recursive: true, force: true }));

  const causes: [output: string, remedy: RegExp][] = [
    ["OSError: [Errno 28] No space left on device", /The disk is full/],
    ["npm error code ENOSPC", /The disk is full/],
    ["[Errno 13] Permission denied: '/x/.local'", /may not be written or run/],
    [
      "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution",
      /The network, or a proxy/,
    ],
    [":: org.apache.hadoop#hadoop-aws;3.4.2: unresolved dependency", /The network, or a proxy/],
    ["npm error code E407", /The network, or a proxy/],
    ["find-spark-home: line 40: /home/a: No such file or directory", /^(?!.*(network|disk)).*The lines above say why/],
    ["error: this version of Python is too old", /^(?!.*(network|disk)).*The lines above say why/],
  ];
  for (const [output, remedy] of causes)
    it(`names the real cause: ${output}`, async () => {
      const failing = step({ root, log: () => {} }, "it", "sh", ["-c", `echo "$1" >&2; exit 1`, "sh", output]);
      await assert.rejects(failing, (error: Error) => {
        assert.ok(error.message.startsWith(`Installing (it) failed:\n${output}\n`), error.message);
        assert.match(error.message.split("\n").at(-1)!, remedy);
        return true;
      });
    });

  it("shows the last twelve lines of a command that failed, and of long ones the beginning", async () => {
    const script = 'i=0; while [ $i -lt 13 ]; do i=$((i + 1)); printf "%s %0400d\\n" $i 0; done; exit 1';
    await assert.rejects(step({ root, log: () => {} }, "it", "sh", ["-c", script]), (error: Error) => {
      const lines = error.message.split("\n").slice(1, -1);
      const shown = Array.from({ length: 12 }, (_, at) => `${`${at + 2} ${"0".repeat(400)}`.slice(0, 300)} ...`);
      assert.deepEqual(lines, shown);
      return true;
    });
  });

  it("names a command that is not there", async () => {
    await assert.rejects(step({ root, log: () => {} }, "it", "no-such-command", []), /no-such-command ENOENT/);
  });
});
