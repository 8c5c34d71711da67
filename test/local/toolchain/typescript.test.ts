import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import * as tsNode from "ts-node";
import { root } from "../../support/commands";

const hook = path.join("local", "toolchain", "typescript.cjs");

describe("the start of TypeScript programs", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-typescript-"));
    await mkdir(path.join(folder, path.dirname(hook)), { recursive: true });
    for (const file of [hook, "tsconfig.json", "package.json"])
      await cp(path.join(root, file), path.join(folder, file));
    await symlink(path.join(root, "node_modules"), path.join(folder, "node_modules"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const kept = () => path.join(folder, ".local", "transpiled");
  const write = (text: string) => writeFile(path.join(folder, "main.ts"), text);
  const run = () =>
    execa(process.execPath, ["--require", `./${hook}`, "main.ts"], {
      cwd: folder,
      env: { TS_NODE_PROJECT: path.join(folder, "tsconfig.json") },
      reject: false,
    });

  it("transpiles a file again when it has changed, or when what was kept of it is cut off", async () => {
    await write(`const said: string = "first";\nconsole.log(said);\n`);
    assert.equal((await run()).stdout, "first");
    assert.equal((await run()).stdout, "first");
    await write(`const said: string = "other";\nconsole.log(said);\n`);
    assert.equal((await run()).stdout, "other");
    const [only, ...more] = await readdir(kept());
    assert.deepEqual(more, []);
    const whole = await readFile(path.join(kept(), only!), "utf8");
    await writeFile(path.join(kept(), only!), whole.slice(0, 99));
    assert.equal((await run()).stdout, "other");
    assert.equal(await readFile(path.join(kept(), only!), "utf8"), whole);
  });

  it("names lines of the source in errors, also from what was kept", async () => {
    await write(`interface Gone {\n  one: string;\n}\n\nthrow new Error(String({} as Gone));\n`);
    for (const time of ["first", "second"]) assert.match((await run()).stderr, /main\.ts:5:7/, time);
  });

  it("keeps nothing of a file that has an error, and names it each time", async () => {
    await write("const = 1;\n");
    for (const time of ["first", "second"]) assert.match((await run()).stderr, /main\.ts\(1,7\): error TS1134/, time);
    assert.deepEqual(await readdir(kept()).catch(() => []), []);
  });

  it("starts where it can't keep anything", async () => {
    await writeFile(path.join(folder, ".local"), "no folder");
    await write(`const said: string = "still";\nconsole.log(said);\n`);
    assert.equal((await run()).stdout, "still");
  });

  // Pulumi runs the program through ts-node alone, and puts the functions' text into the Lambdas.
  it("runs the same text as ts-node alone makes of the program", async () => {
    const alone = tsNode.create({ transpileOnly: true, project: path.join(root, "tsconfig.json") });
    const files = [...(await readdir(path.join(root, "infra"))).map((name) => path.join("infra", name)), "index.ts"];
    for (const name of files.filter((one) => one.endsWith(".ts"))) {
      const file = path.join(root, name);
      const code = await readFile(file, "utf8");
      const ours = process[tsNode.REGISTER_INSTANCE]!.compile(code, file);
      assert.equal(ours, alone.compile(code, file), name);
    }
  });
});
