import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { PutCommand } from "@aws-sdk/lib-dynamodb";
import { execa } from "execa";
import { root as project } from "../support/commands";
import { testCredentials } from "../support/credentials";
import { blocksOf, onlyBlock } from "../support/page-code";
import { createRole } from "../support/roles";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const PAGE = "docs/use-the-metrics.md";
const python = path.join(project, ".local", "python-test", "bin", "python");
/** More than a float holds exactly. */
const MS = 2n ** 53n + 1n;

/** Items as publish writes them (docs/architecture.md, "Metrics table"). */
const items = [
  { pk: "DAY#2024-06-25", sk: "SUMMARY", listed_in: "DAYS", listens: 5, unique_listeners: 2, listening_ms: MS },
  { pk: "DAY#2024-06-26", sk: "SUMMARY", listed_in: "DAYS", listens: 1, unique_listeners: 1, listening_ms: 1 },
  { pk: "GENRE#pop", sk: "DAY#2024-05-31", listens: 9, unique_listeners: 9, listening_ms: 1 },
  { pk: "GENRE#pop", sk: "DAY#2024-06-25", listens: 3, unique_listeners: 2, listening_ms: MS },
  { pk: "GENRE#pop", sk: "DAY#2024-06-26", listens: 1, unique_listeners: 1, listening_ms: 1 },
  { pk: "GENRE#rock", sk: "DAY#2024-06-25", listens: 2, unique_listeners: 1, listening_ms: 1 },
  { pk: "GENRE#None", sk: "DAY#2024-06-26", listens: 7, unique_listeners: 1, listening_ms: 1 },
  {
    ...{ pk: "GENRE#pop", sk: "TOP_TRACKS#2024-06-25" },
    tracks: [{ rank: 1, track_id: "t1", track_name: "A name", listens: 3, unique_listeners: 2, listening_ms: MS }],
  },
];

describe("the snippets of docs/use-the-metrics.md", () => {
  let pipeline: Pipeline;
  let env: NodeJS.ProcessEnv;
  /** As `env`, with the keys of a role that has the page's policy and no other. */
  let reader: NodeJS.ProcessEnv;

  before(async () => {
    pipeline = await startPipeline();
    const { documents, outputs } = pipeline.target;
    for (const Item of items) await documents.send(new PutCommand({ TableName: outputs.metricsTableName, Item }));
    // As the page says: the variables that `env` prints.
    const { out } = await pipeline.run(verb("env"));
    const { stdout } = await execa("sh", ["-c", `${out}\nenv`], { extendEnv: false, env: { PATH: process.env.PATH } });
    env = Object.fromEntries(stdout.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)));
    reader = await sessionOfReader();
  });
  after(() => pipeline.close());

  async function sessionOfReader(): Promise<NodeJS.ProcessEnv> {
    const { AWS_ENDPOINT_URL: endpoint = "", AWS_REGION: region = "" } = env;
    const { metricsTableName } = pipeline.target.outputs;
    const text = onlyBlock(PAGE, "json")
      .replaceAll("REGION", region)
      .replaceAll("ACCOUNT", "000000000000")
      .replaceAll("METRICS_TABLE_NAME", metricsTableName);
    const [{ Action, Resource }] = JSON.parse(text).Statement;
    const may = { service: "lambda.amazonaws.com", actions: Action, resources: Resource };
    const RoleArn = await createRole(endpoint, "reader", may);
    const sts = new STSClient({ endpoint, region, credentials: testCredentials });
    const { Credentials: keys } = await sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: "test" }));
    return {
      ...env,
      AWS_ACCESS_KEY_ID: keys!.AccessKeyId,
      AWS_SECRET_ACCESS_KEY: keys!.SecretAccessKey,
      AWS_SESSION_TOKEN: keys!.SessionToken,
    };
  }

  async function run(command: string, args: string[], cwd = project): Promise<string[]> {
    const { stdout } = await execa(command, args, { cwd, extendEnv: false, env: reader });
    return stdout.split("\n");
  }

  it("in Python print a day and the days of a genre", async () => {
    const [summary, ...days] = await run(python, ["-c", onlyBlock(PAGE, "python")]);
    assert.match(summary!, new RegExp(`"listening_ms": ${MS}, "listens": 5, "pk": "DAY#2024-06-25"`));
    assert.deepEqual(days, ["2024-06-25 3 2", "2024-06-26 1 1"]);
  });

  it("of the AWS CLI print a day and the days of a genre", async () => {
    const { text } = blocksOf(PAGE).find(({ section }) => section === "AWS CLI")!;
    const { stdout } = await execa("sh", ["-ec", text], {
      ...{ cwd: project, extendEnv: false },
      env: { ...reader, PATH: `${path.dirname(python)}:/usr/bin:/bin` },
    });
    assert.deepEqual(JSON.parse(stdout.slice(0, stdout.lastIndexOf("}") + 1)).listening_ms, { N: String(MS) });
    assert.deepEqual(stdout.trimEnd().split("\n").slice(-2), ["DAY#2024-06-25\t3", "DAY#2024-06-26\t1"]);
  });

  it("in JavaScript print the top tracks of a genre, and the days", async () => {
    const printed = await run(process.execPath, ["-e", onlyBlock(PAGE, "js")]);
    assert.deepEqual(printed, ["1 A name 3", "DAY#2024-06-25 5", "DAY#2024-06-26 1"]);
  });

  it("do with the reader's policy all that they do, and no scan", async () => {
    const scan = "import boto3, os; boto3.client('dynamodb').scan(TableName=os.environ['METRICS_TABLE_NAME'])";
    await execa(python, ["-c", scan], { extendEnv: false, env });
    await assert.rejects(run(python, ["-c", scan]), /AccessDenied/);
  });

  it("in SQL and pandas read what the command before them exports", async () => {
    const { text } = blocksOf(PAGE).find((block) => block.text.includes(" metrics export "))!;
    const [, line] = /^npx music-streams (metrics export .*) --out june\.csv\n$/.exec(text)!;
    const { code, out } = await pipeline.run(verb("metrics"), ...line!.split(" ").slice(1));
    assert.equal(code, 0);
    await writeFile(path.join(pipeline.root, "june.csv"), out);
    const query = `import duckdb, sys; print(*duckdb.sql(sys.argv[1]).fetchall(), sep="\\n")`;
    const rows = await run(python, ["-c", query, onlyBlock(PAGE, "sql")], pipeline.root);
    assert.deepEqual(rows, [
      "('None', 7, datetime.date(2024, 6, 26))",
      "('pop', 4, datetime.date(2024, 6, 26))",
      "('rock', 2, datetime.date(2024, 6, 25))",
    ]);
    const table = await run(python, ["-c", onlyBlock(PAGE, "py")], pipeline.root);
    assert.deepEqual(table.slice(0, 3), ["date,None,pop,rock", "2024-06-25,0,3,2", "2024-06-26,7,1,0"]);
  });

  it("in the FAQ's SQL count the listens by days of another zone", async () => {
    // Athena's two functions, by the one that DuckDB has for both.
    const setup = `
      CREATE MACRO with_timezone(moment, zone) AS timezone(zone, moment);
      CREATE MACRO at_timezone(moment, zone) AS timezone(zone, moment);
      CREATE TABLE listens AS SELECT listen_time, listen_time::DATE AS listen_date FROM (VALUES
        (TIMESTAMP '2024-06-24 21:59:59'), ('2024-06-24 22:00:00'), ('2024-06-25 21:59:59'), ('2024-06-25 22:00:00'),
        ('2024-06-27 00:00:00')) moments(listen_time)`;
    const query = `import duckdb, sys; duckdb.sql(sys.argv[1]); print(*duckdb.sql(sys.argv[2]).fetchall(), sep="\\n")`;
    const rows = await run(python, ["-c", query, setup, onlyBlock("docs/faq.md", "sql")]);
    assert.deepEqual(
      rows.sort(),
      [24, 25, 26].map((day) => `(datetime.date(2024, 6, ${day}), ${day === 25 ? 2 : 1})`),
    );
  });
});
