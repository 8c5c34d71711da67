import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { asset } from "@pulumi/pulumi";
import { asWheel, hashOf, readLibrary, WHEEL_NAME } from "../../infra/library";
import layout from "../../layout.json";
import { bytesOf } from "../../local/provider/archive";
import { version } from "../../package.json";
import policyPack from "../../policy/package.json";
import { ROOT } from "../support/program-record";
import { PYTHON } from "../support/provider-cloud";

const library = readLibrary(ROOT);
const wheel = asWheel(library);

describe("the jobs' library", () => {
  it("holds its sources, its SQL and the bucket's layout", () => {
    assert.equal(library["music_streams/layout.json"], readFileSync(path.join(ROOT, "layout.json"), "utf8"));
    assert.ok("music_streams/__init__.py" in library);
    assert.ok(Object.keys(library).some((name) => /^music_streams\/sql\/\w+\.sql$/.test(name)));
    assert.ok(Object.keys(library).every((name) => /^music_streams\/.*\.(py|sql|json)$/.test(name)));
  });

  it("is, as a wheel, recorded file by file with its hash", () => {
    const record = wheel[`music_streams-${version}.dist-info/RECORD`]!.trim().split("\n");
    assert.equal(record.length, Object.keys(wheel).length);
    for (const line of record.slice(0, -1)) {
      const [name = "", hash, size] = line.split(",");
      const text = Buffer.from(wheel[name]!);
      assert.equal(hash, `sha256=${createHash("sha256").update(text).digest("base64url")}`, name);
      assert.equal(Number(size), text.length, name);
    }
  });

  it("is a wheel that Python imports and reads the layout from", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "music-streams-wheel-"));
    try {
      const assets = Object.entries(wheel).map(([name, text]) => [name, new asset.StringAsset(text)] as const);
      const file = path.join(folder, WHEEL_NAME);
      writeFileSync(file, await bytesOf(new asset.AssetArchive(Object.fromEntries(assets)), ROOT));
      const script = [
        "import sys; sys.path.insert(0, sys.argv[1])",
        "import json, importlib.metadata, importlib.resources, music_streams",
        "layout = json.loads(importlib.resources.files('music_streams').joinpath('layout.json').read_text())",
        "print(importlib.metadata.version('music-streams'), layout['incoming'])",
      ];
      const printed = execFileSync(PYTHON, ["-I", "-c", script.join("\n"), file], { encoding: "utf8" });
      assert.equal(printed.trim(), `${version} ${layout.incoming}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("has the version of the project, and so has the policy pack, in which Pulumi wants one", () => {
    assert.ok(WHEEL_NAME.includes(`-${version}-`));
    assert.equal(policyPack.version, version);
  });

  it("has a hash that follows its contents and names, not their order", () => {
    assert.equal(hashOf({ a: "1", b: "2" }), hashOf({ b: "2", a: "1" }));
    assert.notEqual(hashOf({ a: "1", b: "2" }), hashOf({ a: "12", b: "" }));
    assert.notEqual(hashOf({ a: "1" }), hashOf({ b: "1" }));
  });
});
