import { StringDecoder } from "node:string_decoder";

/** The lines of UTF-8 text, ended by "\n" alone: node:readline would also end one at U+2028, which data may hold. */
export async function* linesOf(text: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let begun: string[] = [];
  for await (const chunk of text) {
    const parts = (typeof chunk === "string" ? chunk : decoder.write(Buffer.from(chunk))).split("\n");
    const last = parts.pop()!;
    for (const part of parts) {
      yield begun.join("") + part;
      begun = [];
    }
    if (last !== "") begun.push(last);
  }
  const rest = begun.join("") + decoder.end();
  if (rest !== "") yield rest;
}

/** The runs of an id's characters in a text, as transform sees them (docs/data.md, "Ids"). */
export function tokensOf(text: string): string[] {
  return [...text.matchAll(/[A-Za-z0-9._:-]+/g)].map(([token]) => token);
}
