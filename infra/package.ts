import { readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import * as pulumi from "@pulumi/pulumi";

/**
 * A resource transformation that leaves in a function's package only what Node loads there: the serialised code, and of
 * each npm package its package.json and CommonJS sources. What Pulumi packs besides (types, ES modules, documents) is
 * most of it, and never read.
 *
 * Each kept file becomes an asset of its own, so the engine compares and zips contents alone: the package is the same on
 * another machine and another day.
 */
export const onlyWhatNodeLoads: pulumi.ResourceTransformation = ({ type, props, opts }) => {
  if (type !== "aws:lambda/function:Function") return undefined;
  const code = (props.code as pulumi.Output<Packed>).apply(slim);
  return { props: { ...props, code }, opts };
};

/** What Pulumi packed. An output copies it, so an archive of files is no longer a FileArchive, but looks like one. */
type Packed = { assets?: Record<string, pulumi.asset.Asset | pulumi.asset.Archive> };

function slim({ assets }: Packed): pulumi.asset.AssetArchive {
  if (assets === undefined)
    throw new Error("The function's package is not made of assets; @pulumi/aws packs in a new way");
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

/** The files of an installed npm package that `require` can reach, sorted, with `/` between folders. */
function filesThatNodeLoads(folder: string): string[] {
  return (
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
      .filter((file) => /\.(js|cjs|json|node)$/.test(file))
      // The habits of the AWS SDK: dist-es for bundlers, dist-types for compilers, and variants for other platforms.
      .filter((file) => !/(^|\/)dist-(es|types)\//.test(file) && !/\.(browser|native)\.js$/.test(file))
      .sort()
  );
}
