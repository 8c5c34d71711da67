import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parse, stringify } from "yaml";
import { ConfigError, readSettings } from "../../infra/settings";
import { type Config, readConfig } from "../../local/provider/program";
import { ROOT } from "../support/program-record";

interface Template {
  config: Record<string, { description?: string; default?: unknown }>;
  [key: string]: unknown;
}

const project = parse(readFileSync(path.join(ROOT, "Pulumi.yaml"), "utf8"));
const template: Template = project.template ?? { config: {} };
const own = Object.keys(template.config).filter((key) => !key.includes(":"));
// pulumi new takes the section out of the copy that it makes.
const suite = project.template ? describe : describe.skip;

async function settingsOf(config: Config, name = "music-streams", stack = "dev") {
  pulumi.runtime.setAllConfig(config);
  await pulumi.runtime.setMocks({ newResource: () => ({ id: "", state: {} }), call: () => ({}) }, name, stack);
  return readSettings();
}

suite("the template for pulumi new", () => {
  it("has only keys that Pulumi knows", () => {
    // Pulumi's schema of project files ("ProjectTemplate"), which refuses others; it calls `important` deprecated.
    const known = ["displayName", "description", "quickstart", "config", "metadata"];
    assert.deepEqual(
      Object.keys(template).filter((key) => !known.includes(key)),
      [],
    );
    for (const [key, value] of Object.entries(template.config)) {
      assert.deepEqual(Object.keys(value).sort(), ["default", "description"], key);
      // Pulumi offers the default as a text.
      assert.equal(typeof value.default, "string", key);
    }
  });

  it("asks for settings that infra reads, and offers the project's defaults", async () => {
    assert.ok(own.length > 0);
    for (const key of own) {
      const wrong = { ...readConfig(ROOT, "dev"), [`music-streams:${key}`]: "\u0000" };
      await assert.rejects(
        settingsOf(wrong),
        (error) => error instanceof ConfigError && error.message.includes(`${key} is "`),
        key,
      );
      assert.equal(template.config[key]?.default, project.config[key]?.default, key);
    }
    assert.deepEqual(
      Object.keys(template.config).filter((key) => key.includes(":")),
      ["aws:region"],
    );
  });

  for (const stack of ["dev", "prod", "local"])
    it(`leaves the settings of ${stack} in force under another project name`, async () => {
      const folder = mkdtempSync(path.join(tmpdir(), "music-streams-template-"));
      try {
        // What pulumi new writes: the new name, and no template.
        writeFileSync(path.join(folder, "Pulumi.yaml"), stringify({ ...project, name: "plays", template: undefined }));
        cpSync(path.join(ROOT, `Pulumi.${stack}.yaml`), path.join(folder, `Pulumi.${stack}.yaml`));
        const { metricsNamespace, tags, ...renamed } = await settingsOf(readConfig(folder, stack), "plays", stack);
        const usual = await settingsOf(readConfig(ROOT, stack), "music-streams", stack);
        assert.deepEqual({ ...usual, ...renamed }, usual);
        assert.notEqual(metricsNamespace, usual.metricsNamespace);
        assert.deepEqual(Object.keys(tags), Object.keys(usual.tags));
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

  it("has no text that pulumi new would replace in its files", () => {
    // pulumi new writes the project's name and description in place of these (pulumi/templates, README).
    const marks = ["PROJECT", "DESCRIPTION"].map((name) => `\${${name}}`);
    const files = ["Pulumi.yaml", "Pulumi.README.md", "README.md", "package.json", "index.ts"];
    for (const file of files)
      for (const mark of marks) assert.ok(!readFileSync(path.join(ROOT, file), "utf8").includes(mark), file);
  });
});
