import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { installOnce } from "../../../local/toolchain/site";

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
