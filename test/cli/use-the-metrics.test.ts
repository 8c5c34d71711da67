import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { PutCommand } from "@aws-sdk/lib-dynamodb";
import { execa } from "execa";
import { root as project } from "../support/commands";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const page = readFileSync(path.join(project, "docs", "use-the-metrics.md"), "utf8");
const python = path.join(project, ".local", "python-test", "bin", "python");
/** More than a float holds exactly. */
const MS = 2n ** 53n + 1n;

/** The one snippet of a language on the page. */
function snippet(language: string): string {
  const found = [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, of]) => of === language);
  assert.equal(found.length, 1, language);
  return found[0]![2]!;
}

/** Items as publish writes them (docs/architecture.md, "Metrics table"). */
const items = [
  { pk: "DAY#2024-06-25", sk: "SUMMARY", listed_in: "DAYS", listens: 5, unique_listeners: 2, listening_ms: MS },
  { pk: "DAY#2024-06-26", sk: "SUMMARY", listed_in: "DAYS", listens: 1, unique_listeners: 1, listening_ms: 1 },
  { pk: "GENRE#pop", sk: "DAY#2024-05-31", listens: 9, unique_listeners: 9, listening_ms: 1 },
  { pk: "GENRE#pop", sk: "DAY#2024-06-25", listens: 3, unique_listeners: 2, listening_ms: MS },
  { pk: "GENRE#pop", sk: "DAY#2024-06-26", listens: 1, unique_listeners: 1, listening_ms: 1 },
  { pk: "GENRE#rock", sk: "DAY#2024-06-25", listens: 2, unique_listeners: 1, listening_ms: 1 },
  {
    ...{ pk: "GENRE#pop", sk: "TOP_TRACKS#2024-06-25" },
    tracks: [{ rank: 1, track_id: "t1", track_name: "A name", listens: 3, unique_listeners: 2, listening_ms: MS }],
  },
];

describe("the snippets of docs/use-the-metrics.md", () => {
  let pipeline: Pipeline;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    pipeline = await startPipeline();
    const { documents, outputs } = pipeline.target;
    for (const Item of items) await documents.send(new PutCommand({ TableName: outputs.metricsTableName, Item }));
    // As the page says: the variables that `env` prints.
    const { out } = await pipeline.run(verb("env"));
    const { stdout } = await execa("sh", ["-c", `${out}\nenv`], { extendEnv: false, env: { PATH: process.env.PATH } });
    env = Object.fromEntries(stdout.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)));
  });
  after(() => pipeline.close());

  async function run(command: string, args: string[], cwd = project): Promise<string[]> {
    const { stdout } = await execa(command, args, { cwd, extendEnv: false, env });
    return stdout.split("\n");
  }

  it("in Python print a day and the days of a genre", async () => {
    const [summary, ...days] = await run(python, ["-c", snippet("python")]);
    assert.match(summary!, new RegExp(`"listening_ms": ${MS}, "listens": 5, "pk": "DAY#2024-06-25"`));
    assert.deepEqual(days, ["2024-06-25 3 2", "2024-06-26 1 1"]);
  });

  it("in JavaScript print the top tracks of a genre, and the days", async () => {
    const printed = await run(process.execPath, ["-e", snippet("js")]);
    assert.deepEqual(printed, ["1 A name 3", "DAY#2024-06-25 5", "DAY#2024-06-26 1"]);
  });

  it("in SQL read what the command before it exports", async () => {
    const [, line] = /^ {4}npx music-streams (metrics export .*) --out june\.csv$/m.exec(page)!;
    const { code, out } = await pipeline.run(verb("metrics"), ...line!.split(" ").slice(1));
    assert.equal(code, 0);
    await writeFile(path.join(pipeline.root, "june.csv"), out);
    const query = `import duckdb, sys; print(*duckdb.sql(sys.argv[1]).fetchall(), sep="\\n")`;
    const rows = await run(python, ["-c", query, snippet("sql")], pipeline.root);
    assert.deepEqual(rows, ["('pop', 4, datetime.date(2024, 6, 26))", "('rock', 2, datetime.date(2024, 6, 25))"]);
  });
});
