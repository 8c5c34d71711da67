import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { version } from "../package.json";

/** Text files by path within a package, sorted by path. */
export type Files = Record<string, string>;

/** The library that both jobs import, as a Python package: its sources, its SQL and the bucket's layout. */
export function readLibrary(root: string): Files {
  const folder = join(root, "glue-scripts", "music_streams");
  const files: Files = { "music_streams/layout.json": readFileSync(join(root, "layout.json"), "utf8") };
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || !/\.(py|sql|json)$/.test(entry.name)) continue;
    const name = `music_streams/${relative(folder, path).split(sep).join("/")}`;
    // Pulumi ignores an asset without text; a line break makes an empty __init__.py one with text.
    files[name] ??= readFileSync(path, "utf8") || "\n";
  }
  return sorted(files);
}

/** The file name that pip requires of a wheel: name, version, and that any Python 3 may install it. */
export const WHEEL_NAME = `music_streams-${version}-py3-none-any.whl`;

/**
 * The same library as the content of a wheel, the only format that a Python shell job takes. PyPA's "Binary
 * distribution format" has the files, and next to them METADATA, WHEEL and a RECORD of every hash.
 */
export function asWheel(library: Files): Files {
  const info = `music_streams-${version}.dist-info`;
  const content: Files = sorted({
    ...library,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: music-streams\nVersion: ${version}\n`,
    [`${info}/WHEEL`]: "Wheel-Version: 1.0\nGenerator: music-streams\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
  });
  const record = Object.entries(content).map(([path, text]) => {
    const digest = createHash("sha256").update(text).digest("base64url");
    return `${path},sha256=${digest},${Buffer.byteLength(text)}\n`;
  });
  return { ...content, [`${info}/RECORD`]: `${record.join("")}${info}/RECORD,,\n` };
}

/** A hash of names and contents, the same on every machine. */
export function hashOf(files: Files): string {
  const hash = createHash("sha256");
  for (const [path, text] of Object.entries(sorted(files))) {
    hash.update(`${path}\0${Buffer.byteLength(text)}\0${text}`);
  }
  return hash.digest("hex");
}

function sorted(files: Files): Files {
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
