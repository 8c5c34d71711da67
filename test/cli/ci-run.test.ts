import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import { ROOT } from "../support/program-record";

describe(".ci/run", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "music-streams-ci-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Runs the script with an `npm` that prints these lines, and ends with these codes, for its two commands. */
  async function runWith(test: [string, number], all: [string, number]) {
    const answer = ([text, code]: [string, number]) => `printf '${text}'; exit ${code}`;
    const npm = `#!/bin/sh\nif [ "$1" = run ]; then ${answer(all)}; else ${answer(test)}; fi\n`;
    // With a browser on PATH, it installs none.
    for (const [name, text] of Object.entries({ npm, chromium: "#!/bin/sh\n" }))
      await writeFile(path.join(folder, name), text, { mode: 0o755 });
    const PATH = `${folder}${path.delimiter}${process.env.PATH}`;
    const { stdout, exitCode } = await execa(path.join(ROOT, ".ci", "run"), { reject: false, env: { PATH } });
    return [stdout.split("\n").at(-1), exitCode];
  }

  it("adds up the last lines of its two commands, and no line that a check printed like them", async () => {
    const check = "7 passed, 5 failed\\n";
    const ran = await runWith([`${check}12 passed, 0 failed\\n`, 0], [`${check}3 passed, 0 failed\\n`, 0]);
    assert.deepEqual(ran, ["15 passed, 0 failed", 0]);
  });

  it("fails when one of them failed, or broke off before its last line", async () => {
    const good: [string, number] = ["12 passed, 0 failed\\n", 0];
    assert.deepEqual(await runWith(good, ["3 passed, 1 failed\\n", 1]), ["15 passed, 1 failed", 1]);
    assert.deepEqual(await runWith(["9 passed, 3 failed\\n", 1], good), ["21 passed, 3 failed", 1]);
    assert.deepEqual(await runWith(good, ["Out of memory\\n", 0]), ["12 passed, 0 failed", 1]);
    assert.deepEqual(await runWith(["", 137], ["", 137]), ["0 passed, 0 failed", 1]);
  });
});
