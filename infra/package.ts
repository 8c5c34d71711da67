import { readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import * as pulumi from "@pulumi/pulumi";

/**
 * A resource transformation that keeps in a Lambda's package only files that Node loads: the serialised code, and the
 * package.json and CommonJS sources of each npm package. Pulumi also packs types, ES modules and documents, which are
 * most of the package and are never read.
 *
 * Each kept file becomes its own asset, so the engine compares and zips only contents: the package is the same on every
 * machine and every day.
 */
export const onlyWhatNodeLoads: pulumi.ResourceTransformation = ({ type, props, opts }) => {
  if (type !== "aws:lambda/function:Function") return undefined;
  const code = (props.code as pulumi.Output<Packed>).apply(slim);
  return { props: { ...props, code }, opts };
};

/** The package that Pulumi made. Outputs copy it, so an archive of files looks like a FileArchive but is none. */
type Packed = { assets?: Record<string, pulumi.asset.Asset | pulumi.asset.Archive> };

function slim({ assets }: Packed): pulumi.asset.AssetArchive {
  if (assets === undefined)
    throw new Error(
      "The function's package has no assets: this version of @pulumi/aws packs in a new way. Adapt infra/package.ts.",
    );
  const kept: pulumi.asset.AssetMap = {};
  for (const [path, content] of Object.entries(assets)) {
    const folder = pulumi.asset.Archive.isInstance(content) ? (content as { path?: string }).path : undefined;
    if (folder === undefined) {
      kept[path] = content;
      continue;
    }
    for (const file of filesThatNodeLoads(folder)) {
      kept[`${path}/${file}`] = new pulumi.asset.FileAsset(`${folder}/${file}`);
    }
  }
  return new pulumi.asset.AssetArchive(kept);
}

/** The files of an installed npm package that `require` can load, sorted, with `/` between folders. */
function filesThatNodeLoads(folder: string): string[] {
  return (
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
      .filter((file) => /\.(js|cjs|json|node)$/.test(file))
      // The AWS SDK has dist-es for bundlers, dist-types for compilers, and variants for other platforms.
      .filter((file) => !/(^|\/)dist-(es|types)\//.test(file) && !/\.(browser|native)\.js$/.test(file))
      .sort()
  );
}
