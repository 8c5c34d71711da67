import { open } from "node:fs/promises";
import { Gzip } from "fflate";

/** A text file that is written in pieces, so that memory never holds all of it. */
export interface SampleWriter {
  /** Adds text. Returns true when the caller should await `flush`. */
  add(text: string): boolean;
  flush(): Promise<void>;
  close(): Promise<void>;
}

const pieceLength = 256 * 1024;

/**
 * Opens a file for writing, as gzip if its name ends in .gz. The same text gives the same bytes at any time, anywhere.
 */
export async function openWriter(file: string): Promise<SampleWriter> {
  const handle = await open(file, "w");
  const packed: Uint8Array[] = [];
  // fflate is plain JavaScript, and mtime 0 leaves out the time. zlib's output differs between builds of Node.
  const gzip = file.endsWith(".gz") ? new Gzip({ mtime: 0, level: 6 }, (bytes) => packed.push(bytes)) : undefined;
  let text = "";

  async function write(isLast: boolean): Promise<void> {
    const bytes = Buffer.from(text, "utf8");
    text = "";
    if (!gzip) {
      await handle.writeFile(bytes);
      return;
    }
    gzip.push(bytes, isLast);
    for (const piece of packed.splice(0)) await handle.writeFile(piece);
  }

  return {
    add(more) {
      text += more;
      return text.length >= pieceLength;
    },
    flush: () => write(false),
    async close() {
      await write(true);
      await handle.close();
    },
  };
}
