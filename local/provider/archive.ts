import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { asset } from "@pulumi/pulumi";
import { unzipSync, type Zippable, zipSync } from "fflate";

type Contents = Map<string, Uint8Array>;

/**
 * The bytes of an asset, or of an archive as a zip: the same bytes for the same contents, as Pulumi's engine makes
 * them.
 *
 * @param root folder that relative paths start from
 */
export async function bytesOf(value: unknown, root: string): Promise<Uint8Array> {
  return asset.Archive.isInstance(value) ? zip(await unpack(value, root)) : read(value, root);
}

function zip(contents: Contents): Uint8Array {
  const entries: Zippable = {};
  for (const path of [...contents.keys()].sort()) entries[path] = contents.get(path)!;
  // Zip has local times and begins in 1980. The mode lets a Lambda's user read the files.
  // On one machine, packing quickly matters more than the size.
  return zipSync(entries, { mtime: new Date(1980, 0, 1), os: 3, attrs: 0o100644 << 16, level: 1 });
}

async function read(value: unknown, root: string): Promise<Uint8Array> {
  if (value instanceof asset.StringAsset) return Buffer.from(await value.text, "utf8");
  if (value instanceof asset.FileAsset) return readFileSync(resolve(root, await value.path));
  throw new Error(`an asset of the kind ${kindOf(value)} can't be read on the local cloud: use a file or a text`);
}

async function unpack(value: unknown, root: string): Promise<Contents> {
  const contents: Contents = new Map();
  if (value instanceof asset.AssetArchive) {
    for (const [path, inner] of Object.entries(await value.assets)) {
      if (!asset.Archive.isInstance(inner)) contents.set(path, await read(inner, root));
      else for (const [below, bytes] of await unpack(inner, root)) contents.set(`${path}/${below}`, bytes);
    }
  } else if (value instanceof asset.FileArchive) {
    const path = resolve(root, await value.path);
    if (statSync(path).isDirectory()) {
      for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const file = join(entry.parentPath, entry.name);
        contents.set(relative(path, file).split(sep).join("/"), readFileSync(file));
      }
    } else if (/\.(zip|jar|whl)$/.test(path)) {
      for (const [name, bytes] of Object.entries(unzipSync(readFileSync(path)))) {
        if (!name.endsWith("/")) contents.set(name, bytes);
      }
    } else {
      throw new Error(`the archive ${path} is neither a folder nor a zip, and can't be read on the local cloud`);
    }
  } else {
    throw new Error(`an archive of the kind ${kindOf(value)} can't be read on the local cloud: use files or a folder`);
  }
  return contents;
}

function kindOf(value: unknown): string {
  return (value as object | undefined)?.constructor?.name ?? String(value);
}
