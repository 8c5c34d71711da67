import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { type KeyedText, SortedTexts } from "../../cli/sorted-texts";

const folders = () => readdirSync(tmpdir());

async function sortedBy(mostCharacters: number, all: KeyedText[]) {
  const sorted = new SortedTexts(mostCharacters);
  const texts: string[] = [];
  let onDisk = 0;
  try {
    for (const one of all) await sorted.add(one);
    onDisk = folders().length;
    for await (const text of sorted.texts()) texts.push(text);
  } finally {
    await sorted.close();
  }
  return { texts, onDisk };
}

describe("sorted texts", () => {
  const usual = process.env.TMPDIR;
  // A folder of its own, so that nobody else makes or removes what the test counts.
  before(() => {
    process.env.TMPDIR = mkdtempSync(path.join(tmpdir(), "music-streams-sorted-"));
  });
  after(() => {
    rmSync(tmpdir(), { recursive: true });
    if (usual === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = usual;
  });

  const keyed = fc
    .tuple(fc.string({ unit: "binary", maxLength: 3 }), fc.string({ maxLength: 3 }), fc.string({ unit: "binary" }))
    .map(([pk, sk, text]): KeyedText => ({ key: [pk, sk], text: `${text}\u2028\n"` }));
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

  it("are the same whether they fit into memory or go to the disk in any number of parts", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(keyed, { maxLength: 30, selector: ({ key }) => key.join("\0\0") }),
        fc.integer({ min: 1, max: 200 }),
        async (all, mostCharacters) => {
          const wanted = [...all].sort((a, b) => order(a.key[0], b.key[0]) || order(a.key[1], b.key[1]));
          const { texts } = await sortedBy(mostCharacters, all);
          assert.deepEqual(
            texts,
            wanted.map(({ text }) => text),
          );
        },
      ),
      { numRuns: 100 },
    );
  });

  it("leave no folder behind, and use none while they fit into memory", async () => {
    const before = folders().length;
    const all = [2, 3, 1].map((n): KeyedText => ({ key: ["k", String(n)], text: `${n}\n` }));
    assert.deepEqual(await sortedBy(1, all), { texts: ["1\n", "2\n", "3\n"], onDisk: before + 1 });
    assert.deepEqual(await sortedBy(1000, all), { texts: ["1\n", "2\n", "3\n"], onDisk: before });
    assert.equal(folders().length, before);
  });
});
