import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Properties } from "../../local/provider/kind";
import { folders } from "../support/folders";
import { ROOT, recordProgram } from "../support/program-record";

interface Column {
  name: string;
  type: string;
}

/**
 * The columns of curated files by the contract: those of its table that are in the files, with Athena's types.
 */
function contract(): string[] {
  const text = readFileSync(path.join(ROOT, "docs", "architecture.md"), "utf8");
  const section = /\n## Curated rows\n[\s\S]*?\n\| column \| type \| \|\n\|---\|---\|---\|\n([\s\S]*?)\n\n/.exec(
    text,
  )![1]!;
  return section.split("\n").flatMap((row) => {
    const [, names = "", type = ""] = row.split("|").map((cell) => cell.trim());
    const [word] = type.split(/[,\s]/);
    return names.split(", ").map((name) => `${name} ${word === "array" ? "array<string>" : word}`);
  });
}

describe("the catalog", () => {
  let table: Properties;
  before(async () => {
    const program = await recordProgram("dev");
    assert.equal(
      program.inputsOf("glue/catalogDatabase:CatalogDatabase", "music-streams-catalog-database").name,
      "music_streams_dev",
    );
    table = program.inputsOf("glue/catalogTable:CatalogTable", "music-streams-catalog-listens");
  });

  it("has the columns of curated rows, by name and type, and the day from the path", () => {
    const { columns } = table.storageDescriptor as { columns: Column[] };
    assert.deepEqual(
      columns.map(({ name, type }) => `${name} ${type}`),
      contract(),
    );
    assert.deepEqual(
      (table.partitionKeys as Column[]).map(({ name, type }) => `${name} ${type}`),
      ["listen_date date"],
    );
  });

  it("finds a day's files by the day alone, without partitions in the catalog", () => {
    const parameters = table.parameters as Record<string, string>;
    assert.equal(parameters["projection.enabled"], "true");
    assert.equal(parameters["projection.listen_date.type"], "date");
    assert.equal(parameters["projection.listen_date.format"], "yyyy-MM-dd");
    assert.equal(parameters["projection.listen_date.range"], "2000-01-01,NOW+1DAYS");
    const folder = `s3://music-streams-lake-bucket/${folders.listens}`;
    assert.equal((table.storageDescriptor as { location: string }).location, folder);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Athena's own way of naming a column.
    assert.equal(parameters["storage.location.template"], `${folder}${"listen_date=${listen_date}/"}`);
  });
});
