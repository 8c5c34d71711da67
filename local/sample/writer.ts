import { open } from "node:fs/promises";
import { Gzip } from "fflate";

/** A text file that is written piece by piece, so that it never lies in memory as a whole. */
export interface SampleWriter {
  /** Takes text; true when it is time to await `flush`. */
  add(text: string): boolean;
  flush(): Promise<void>;
  close(): Promise<void>;
}

const pieceLength = 256 * 1024;

/** Opens a file for writing; as gzip when its name ends so. The same text gives the same bytes, also on another day and machine. */
export async function openWriter(file: string): Promise<SampleWriter> {
  const handle = await open(file, "w");
  const packed: Uint8Array[] = [];
  // fflate is plain JavaScript, and a time stamp of 0 leaves the day out; zlib differs between builds of Node.
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
