import { createHash } from "node:crypto";
import layout from "../layout.json";

type Entry = keyof typeof layout;
type Place = Exclude<Entry, "incoming" | "reference" | "users" | "songs" | "listens" | "scripts">;

/** The object key or prefix of an entry of the layout, with `parts` filled in unchanged. */
export function place(name: Place, parts: { batchId?: string; date?: string; name?: string; userId?: string }): string {
  // A function as replacement: a name may contain `$&`, which a string would expand.
  const key = layout[name].replace(/\{(\w+)\}/g, (_, part: string) => {
    const value = parts[part as keyof typeof parts];
    if (value === undefined) throw new Error(`the layout's ${name} needs ${part}`);
    return part === "name" ? shorten(value, layout[name], parts) : value;
  });
  return key;
}

/** The folder of waiting files. */
export function incoming(): string {
  return layout.incoming;
}

/** The part of an entry of the layout before the first `{`, such as `quarantine/rows/batch_id=`. */
export function prefixOf(name: Entry): string {
  return layout[name].split("{")[0]!;
}

/** The folder that holds all objects of an entry of the layout, such as `quarantine/rows/`. */
export function folderOf(name: Entry): string {
  const prefix = prefixOf(name);
  return prefix.slice(0, prefix.lastIndexOf("/") + 1);
}

/** The folder above the curated listens. */
export function curatedFolder(): string {
  const listens = folderOf("listens");
  return /^(.*\/)[^/]+\/$/.exec(listens)?.[1] ?? listens;
}

/** The name of a document, such as `transform.json`. */
export function fileOf(name: Entry): string {
  return layout[name].slice(layout[name].lastIndexOf("/") + 1);
}

/** So many days the bucket keeps the older versions of an object, and deleted objects. */
export const OLD_VERSION_DAYS = 30;

/** The end of a shortened name. */
const SHORTENED = /~[0-9a-f]{16}(\.csv(\.gz)?)?$/i;
/** The most bytes of a character in UTF-8. */
const CHARACTER_BYTES = 4;

/**
 * S3 keys have at most 1,024 bytes (Amazon S3: Object key naming), and a dated folder is longer than incoming/. A name
 * that would not fit keeps its beginning; a hash of the whole name replaces the rest. A name that looks and is as long
 * as a shortened one is shortened too: otherwise it could have another name's key.
 */
function shorten(name: string, template: string, parts: { batchId?: string; date?: string }): string {
  const folder = template
    .replace("{name}", "")
    .replace("{date}", parts.date ?? "")
    .replace("{batchId}", parts.batchId ?? "");
  const room = 1024 - Buffer.byteLength(folder);
  const size = Buffer.byteLength(name);
  const looksShortened = size > room - CHARACTER_BYTES && SHORTENED.test(name);
  if (size <= room && !looksShortened) return name;
  const suffix = /\.csv(\.gz)?$/i.exec(name)?.[0] ?? "";
  const tail = `~${createHash("sha256").update(name).digest("hex").slice(0, 16)}${suffix}`;
  let kept = "";
  let bytes = Buffer.byteLength(tail);
  for (const character of name) {
    bytes += Buffer.byteLength(character);
    if (bytes > room) break;
    kept += character;
  }
  return kept + tail;
}
