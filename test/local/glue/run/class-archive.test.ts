import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { archivedRun } from "../../../../local/glue/run/class-archive";

describe("Java's class archive", () => {
  let folder: string;
  const at = (name: string) => path.join(folder, name);
  const files = ["java/bin/java", "spark-submit", "s3.jar"];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-classes-"));
    await mkdir(at("java/bin"), { recursive: true });
    for (const file of files) await writeFile(at(file), "");
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const next = () =>
    archivedRun(
      {
        ...{ javaHome: at("java"), sparkSubmit: at("spark-submit"), sparkJars: [at("s3.jar")] },
        ...{ classArchiveDir: at("classes"), workDir: folder, python: "", emulatorEndpoint: "", region: "" },
        credentials: { accessKeyId: "", secretAccessKey: "" },
      },
      folder,
      true,
    );

  async function written() {
    const run = next();
    assert.ok(run.writes);
    await writeFile(at("classes.jsa"), "");
    await run.keep();
    return readdir(at("classes"));
  }

  for (const file of files)
    it(`is written again when ${file} was installed again, in place of the old one`, async () => {
      const first = await written();
      assert.deepEqual(next().javaOptions[0], `-XX:SharedArchiveFile=${path.join(at("classes"), first[0]!)}`);
      await utimes(at(file), 1, 1);
      const second = await written();
      assert.notDeepEqual(second, first);
      assert.equal(second.length, 1);
    });
});
