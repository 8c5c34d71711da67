import Table from "cli-table3";

// C0 and C1 controls move the cursor or start escape sequences. The others reorder or hide text (bidirectional marks,
// line separators, zero-width characters, tags). Lone surrogates can't be written as UTF-8.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Text from data (a track's name, a file's key), safe for a terminal: control characters become visible escapes. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => {
    const code = character.codePointAt(0) as number;
    const short = { 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r" }[code];
    if (short) return short;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

// Of the sequences that change colours, only those that the display uses: others could hide text.
const ESCAPE = String.fromCharCode(27);
const colours = new RegExp(`(${ESCAPE}\\[(?:[012]|22|3[12369])m)`);

/**
 * What every print to a terminal passes last: line breaks and the display's own colours stay, all else is made
 * printable. A value within a line passes `printable` before, or a line break in it would look like a line of ours.
 */
export function printableLines(text: string): string {
  return text
    .split(colours)
    .map((part, at) => (at % 2 === 1 ? part : part.split("\n").map(printable).join("\n")))
    .join("");
}

/** Printable text of at most `limit` characters. An ellipsis replaces the rest. */
export function brief(text: string, limit: number): string {
  const characters = [...printable(text)];
  return characters.length <= limit ? characters.join("") : `${characters.slice(0, limit - 1).join("")}…`;
}

/** 22692 -> "22,692"; an unknown number -> "-". */
export function count(value: number | bigint | null | undefined): string {
  return value === null || value === undefined ? "-" : value.toLocaleString("en-US");
}

/** A number of things: "1 file", "2 files", "1 batch", "3 batches". */
export function counted(number: number | undefined, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A field of a CSV by RFC 4180: quoted if needed, with quotes within it doubled. */
export function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Bytes in a readable unit: 512 B, 541 kB, 1.2 GB. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

/** Milliseconds in the two largest units: 45 s, 3 min 20 s, 7 h 05 min, 1,204 h 00 min. */
export function duration(milliseconds: number | bigint): string {
  const seconds = (typeof milliseconds === "bigint" ? milliseconds : BigInt(Math.round(milliseconds))) / 1000n;
  if (seconds < 60n) return `${seconds} s`;
  const two = (value: bigint) => value.toString().padStart(2, "0");
  const minutes = seconds / 60n;
  if (minutes < 60n) return `${minutes} min ${two(seconds % 60n)} s`;
  return `${count(minutes / 60n)} h ${two(minutes % 60n)} min`;
}

/** How wide a terminal is at least. */
const terminalWidth = 80;

/** Text in lines of at most 80 characters, all behind `indent`. A word that is longer is cut. Must be printable. */
export function wrapped(text: string, indent = ""): string[] {
  const width = terminalWidth - indent.length;
  const lines: string[][] = [];
  for (const word of text.split(" ")) {
    const characters = [...word];
    const last = lines.at(-1);
    if (last && last.length + 1 + characters.length <= width) last.push(" ", ...characters);
    else for (let at = 0; at === 0 || at < characters.length; at += width) lines.push(characters.slice(at, at + width));
  }
  return lines.map((line) => indent + line.join(""));
}

/** A table without borders, as lines. Columns named in `right` are aligned right. Cells must be printable. */
export function columns(head: string[], rows: string[][], right: string[] = []): string[] {
  const lengths = [head, ...rows].map((cells) => cells.map((cell) => [...cell].length));
  const widths = head.map((_, at) => Math.max(...lengths.map((row) => row[at] ?? 0)));
  return [head, ...rows].map((cells, row) =>
    cells
      .map((cell, at) => {
        const space = " ".repeat((widths[at] as number) - (lengths[row]?.[at] as number));
        return right.includes(head[at] as string) ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd(),
  );
}

/** A table as text, with the columns named in `right` aligned right. Cells must be printable. */
export function table(head: string[], rows: string[][], right: string[] = []): string {
  const drawn = new Table({
    head,
    colAligns: head.map((name) => (right.includes(name) ? "right" : "left")),
    style: { head: [], border: [], compact: true },
  });
  drawn.push(...rows);
  return drawn.toString();
}
