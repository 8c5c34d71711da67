import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { javaHomeOfMachine } from "../../../local/toolchain/java.cjs";
import { sitePackages } from "../../../local/toolchain/python.cjs";
import { installJars } from "../../../local/toolchain/spark-jars.cjs";

describe("Spark's jars", () => {
  const local = path.join(process.env.MUSIC_STREAMS_ROOT ?? "", ".local");
  const python = path.join(local, "python", "bin", "python");
  const mirror = process.env.DEFAULT_ARTIFACT_REPOSITORY;
  const files = new Map([
    ["/org/example/one/1.0/one-1.0.jar", "the first"],
    ["/org/example/of/two_2.13/2.0-b/two_2.13-2.0-b.jar", "the second"],
  ]);
  let root: string;
  let registry: Server;
  let asked: Set<string>;

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), "music-streams-jars, #1 "));
    asked = new Set();
    registry = createServer((request, answer) => {
      asked.add(request.url!);
      const found = files.get(request.url!);
      answer.writeHead(found ? 200 : 404).end(request.method === "HEAD" ? undefined : found);
    });
    await new Promise<void>((done) => registry.listen(0, "127.0.0.1", done));
    process.env.DEFAULT_ARTIFACT_REPOSITORY = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`;
  });
  afterEach(async () => {
    if (mirror === undefined) delete process.env.DEFAULT_ARTIFACT_REPOSITORY;
    else process.env.DEFAULT_ARTIFACT_REPOSITORY = mirror;
    registry.close();
    await rm(root, { recursive: true, force: true });
  });

  async function install(second: string) {
    const hash = (text: string) => createHash("sha256").update(text).digest("hex");
    const lines = [`${hash("the first")}  org.example:one:1.0`, `${hash(second)}  org.example.of:two_2.13:2.0-b`];
    await mkdir(path.join(root, "local", "toolchain"), { recursive: true });
    await writeFile(path.join(root, "local", "toolchain", "spark-jars.lock"), `# Two.\n${lines.join("\n")}\n`);
    const sparkSubmit = path.join(await sitePackages(python), "pyspark", "bin", "spark-submit");
    const javaHome = (await javaHomeOfMachine()) ?? path.join(local, "java");
    return installJars({ root, log: () => {} }, { python, sparkSubmit, javaHome });
  }

  it("are those that the lock names, and nothing else is downloaded", async () => {
    const jars = await install("the second");
    const found = await Promise.all(jars.map(async (jar) => [path.basename(jar), await readFile(jar, "utf8")]));
    assert.deepEqual(found.sort(), [
      ["org.example.of_two_2.13-2.0-b.jar", "the second"],
      ["org.example_one-1.0.jar", "the first"],
    ]);
    assert.deepEqual(asked, new Set(files.keys()));
    asked.clear();
    assert.deepEqual(await install("the second"), jars);
    assert.deepEqual(asked, new Set());
  });

  it("are not installed where one has another checksum", async () => {
    await assert.rejects(install("what was locked"), /two_2\.13-2\.0-b\.jar has the wrong checksum: sha256 \w+, but/);
    assert.equal((await install("the second")).length, 2);
  });
});
