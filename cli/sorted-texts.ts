import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { linesOf } from "./audit/lines";

/** A text with the key that sorts it: by the first part, then by the second, both by JavaScript's order of strings. */
export interface KeyedText {
  key: [string, string];
  text: string;
}

/** Characters in memory, of keys and texts. A sorted part of this size goes to the disk when more come. */
const charactersInMemory = 64 * 1024 ** 2;

/**
 * Sorts more texts than fit into memory: sorted parts wait in a temporary folder, and are merged in the end. So memory
 * does not grow with the table. `close` removes the folder.
 */
export class SortedTexts {
  #held: KeyedText[] = [];
  #characters = 0;
  #folder: string | undefined;
  readonly #parts: string[] = [];

  constructor(readonly mostCharacters = charactersInMemory) {}

  async add(one: KeyedText): Promise<void> {
    this.#held.push(one);
    this.#characters += one.text.length + one.key[0].length + one.key[1].length;
    if (this.#characters > this.mostCharacters) await this.#putAside();
  }

  /** Yields all texts in order. Call it once. */
  async *texts(): AsyncGenerator<string> {
    this.#held.sort(compare);
    const sources = [...this.#parts.map(partIn), inMemory(this.#held)];
    const heads = await Promise.all(sources.map(async (source) => ({ source, next: await source.next() })));
    for (;;) {
      let first: (typeof heads)[number] | undefined;
      for (const head of heads)
        if (!head.next.done && (!first || compare(head.next.value, first.next.value as KeyedText) < 0)) first = head;
      if (!first) return;
      yield (first.next.value as KeyedText).text;
      first.next = await first.source.next();
    }
  }

  async close(): Promise<void> {
    if (this.#folder) await rm(this.#folder, { recursive: true, force: true });
  }

  async #putAside(): Promise<void> {
    this.#folder ??= await mkdtemp(path.join(tmpdir(), "music-streams-export-"));
    const file = path.join(this.#folder, String(this.#parts.length));
    await writeFile(file, jsonLines(this.#held.sort(compare)));
    this.#parts.push(file);
    this.#held = [];
    this.#characters = 0;
  }
}

function* jsonLines(all: KeyedText[]): Generator<string> {
  for (const one of all) yield `${JSON.stringify(one)}\n`;
}

async function* partIn(file: string): AsyncGenerator<KeyedText> {
  for await (const line of linesOf(createReadStream(file))) yield JSON.parse(line);
}

async function* inMemory(all: KeyedText[]): AsyncGenerator<KeyedText> {
  yield* all;
}

function compare({ key: a }: KeyedText, { key: b }: KeyedText): number {
  const [left, right] = a[0] === b[0] ? [a[1], b[1]] : [a[0], b[0]];
  return left < right ? -1 : left > right ? 1 : 0;
}
