import { createHash } from "node:crypto";
import layout from "../layout.json";

type Place = Exclude<keyof typeof layout, "incoming" | "reference" | "users" | "songs" | "listens">;

/** The object key, or the key's prefix, of a place of the layout. A place's parts are filled in as they are. */
export function place(name: Place, parts: { batchId?: string; date?: string; name?: string }): string {
  // A function as replacement: a name may hold `$&`, which a string would expand.
  const key = layout[name].replace(/\{(\w+)\}/g, (_, part: string) => {
    const value = parts[part as keyof typeof parts];
    if (value === undefined) throw new Error(`the layout's ${name} needs ${part}`);
    return part === "name" ? shorten(value, layout[name], parts) : value;
  });
  return key;
}

/** The prefix of waiting files. */
export function incoming(): string {
  return layout.incoming;
}

/**
 * S3 keys end at 1,024 bytes (Amazon S3: Object key naming), and a dated folder is longer than incoming/. A name that
 * would not fit keeps its beginning and gets a hash of the whole in place of the rest.
 */
function shorten(name: string, template: string, parts: { batchId?: string; date?: string }): string {
  const folder = template
    .replace("{name}", "")
    .replace("{date}", parts.date ?? "")
    .replace("{batchId}", parts.batchId ?? "");
  const room = 1024 - Buffer.byteLength(folder);
  if (Buffer.byteLength(name) <= room) return name;
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
