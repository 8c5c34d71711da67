import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { folderOf } from "../runtime/places";
import { asWheel, type Files, hashOf, readLibrary, WHEEL_NAME } from "./library";

interface ScriptsArgs {
  bucket: aws.s3.Bucket;
  /** The project's folder, with `glue-scripts/` and `layout.json` in it. */
  root: string;
}

/**
 * The scripts that Glue runs, in the bucket under a hash of their content. So a deploy never changes a file that a
 * running job may still read, and the same sources give the same keys on every machine.
 */
export class Scripts extends pulumi.ComponentResource {
  /** Locations, as `s3://` URLs. */
  readonly transform: pulumi.Output<string>;
  readonly publish: pulumi.Output<string>;
  /** The library for Spark jobs. */
  readonly libraryZip: pulumi.Output<string>;
  /** The library for Python shell jobs, which take only wheels. */
  readonly libraryWheel: pulumi.Output<string>;
  /** Every package that the Python shell job installs, as `name==version`, dependencies included. */
  readonly packages: string[];

  constructor(name: string, args: ScriptsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:code:Scripts", name, {}, opts);
    const read = (file: string) => readFileSync(join(args.root, "glue-scripts", file), "utf8");
    const scripts: Files = { "transform.py": read("transform.py"), "publish.py": read("publish.py") };
    const library = readLibrary(args.root);
    const wheel = asWheel(library);
    const folder = `${folderOf("scripts")}${hashOf({ ...scripts, ...wheel })}`;

    const upload = (part: string, file: string, source: pulumi.asset.Asset | pulumi.asset.Archive) => {
      const object = new aws.s3.BucketObjectv2(
        `${name}-${part}`,
        { bucket: args.bucket.bucket, key: `${folder}/${file}`, source },
        // A run that began before a deploy still reads the old files.
        { parent: this, retainOnDelete: true },
      );
      return pulumi.interpolate`s3://${object.bucket}/${object.key}`;
    };
    const text = (file: string) => new pulumi.asset.StringAsset(scripts[file] ?? "");
    this.transform = upload("transform", "transform.py", text("transform.py"));
    this.publish = upload("publish", "publish.py", text("publish.py"));
    this.libraryZip = upload("zip", "music_streams.zip", archive(library));
    this.libraryWheel = upload("wheel", WHEEL_NAME, archive(wheel));
    this.packages = read("publish.lock").trim().split("\n");
    this.registerOutputs({ folder });
  }
}

function archive(files: Files): pulumi.asset.AssetArchive {
  const assets = Object.entries(files).map(([path, text]) => [path, new pulumi.asset.StringAsset(text)] as const);
  return new pulumi.asset.AssetArchive(Object.fromEntries(assets));
}
