import assert from "node:assert/strict";
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import { until } from "../support/commands";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const main = verb("logs");
const id = "20240625T100000Z-AAAAAAAA";
const claimedMs = Date.now() - 60_000;

describe("npm run logs", () => {
  let pipeline: Pipeline;
  let client: CloudWatchLogsClient;
  let isMade: Set<string>;

  before(async () => {
    pipeline = await startPipeline();
    client = new CloudWatchLogsClient(pipeline.target.access);
    isMade = new Set();
    const { senseFunctionName } = pipeline.target.outputs;
    await log(`/aws/lambda/${senseFunctionName}`, "[$LATEST]a", [
      [1, JSON.stringify({ level: "INFO", event: "claimed", batch_id: id, files: 7 })],
      [2, JSON.stringify({ level: "INFO", event: "claimed", batch_id: "20240625T100000Z-OTHER" })],
      [3, JSON.stringify({ level: "INFO", event: "runStarted", batch_id: id, attempt: 1 })],
    ]);
    const job = (event: string, attempt: string, level = "INFO") =>
      JSON.stringify({ level, job: "transform", event, batch_id: id, attempt, error: "no\u001b[2J\nluck" });
    await log("/aws-glue/jobs/output", "jr_1", [
      [4, job("started", "1")],
      [8, job("failed", "1", "ERROR")],
    ]);
    await log("/aws-glue/jobs/error", "jr_1", [[6, "26/11/26 WARN Spark: \u202ewarned"]]);
    await log("/aws-glue/jobs/output", "jr_2", [[10, job("started", "2")]]);
    await log("/aws-glue/jobs/output", "jr_3", [[5, "of another batch"]]);
    await pipeline.putLedger(batch("RUNNING"));
  });
  after(() => pipeline.close());

  const batch = (state: string) => ({
    ...{ pk: "BATCH", sk: id, batchId: id, state, attempt: 2 },
    claimedAt: new Date(claimedMs).toISOString(),
  });
  async function log(logGroupName: string, logStreamName: string, lines: [second: number, text: string][]) {
    const make = async (name: string, command: () => Promise<unknown>) => {
      if (!isMade.has(name)) await command().catch(ignoreExisting);
      isMade.add(name);
    };
    await make(logGroupName, () => client.send(new CreateLogGroupCommand({ logGroupName })));
    await make(`${logGroupName} ${logStreamName}`, () =>
      client.send(new CreateLogStreamCommand({ logGroupName, logStreamName })),
    );
    const logEvents = lines.map(([second, message]) => ({ timestamp: claimedMs + second * 1000, message }));
    await client.send(new PutLogEventsCommand({ logGroupName, logStreamName, logEvents }));
  }
  const ignoreExisting = (error: Error) => {
    if (error.name !== "ResourceAlreadyExistsException") throw error;
  };
  const shown = async (...args: string[]) => {
    const { code, out, notes } = await pipeline.run(main, id, ...args);
    assert.equal(code, 0, notes.join());
    return out
      .split("\n")
      .slice(0, -1)
      .map((line) => line.slice(25));
  };

  it("shows Lambdas and jobs in the order of time, and nothing of another batch", async () => {
    assert.deepEqual(await shown(), [
      "sense       claimed files=7",
      "sense 1     runStarted",
      "transform 1 started error=no\\u001b[2J\\nluck",
      "transform 1 26/11/26 WARN Spark: \\u202ewarned",
      "transform 1 ✖ failed error=no\\u001b[2J\\nluck",
      "transform 2 started error=no\\u001b[2J\\nluck",
    ]);
  });

  it("picks a job and an attempt", async () => {
    assert.deepEqual((await shown("--job", "sense")).length, 2);
    assert.deepEqual(await shown("--job", "publish"), []);
    const first = await shown("--job", "transform", "--attempt", "1");
    assert.equal(first.length, 3);
    assert.deepEqual(await shown("--attempt", "2"), ["transform 2 started error=no\\u001b[2J\\nluck"]);
    assert.equal((await pipeline.run(main, id, "--job", "weather")).code, 2);
  });

  it("gives each line as it was written with --json", async () => {
    const { out } = await pipeline.run(main, id, "--json", "--job", "transform", "--attempt", "1");
    const lines = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(lines[1], {
      ...{ time: new Date(claimedMs + 6000).toISOString(), source: "transform", attempt: 1, level: null },
      text: "26/11/26 WARN Spark: \u202ewarned",
    });
    assert.equal(lines[2].level, "ERROR");
  });

  it("follows a batch until it is settled, and shows no line twice", async () => {
    let out = "";
    const notes: string[] = [];
    const terminal = {
      out: (text: string) => {
        out += text;
      },
      note: (line: string) => void notes.push(line),
    };
    const place = { interactive: false, env: {}, root: pipeline.root, cwd: pipeline.root };
    const ended = main([id, "--follow"], { ...terminal, ...place });
    await until("the first lines are there", () => /transform 2 started/.test(out));
    await log("/aws-glue/jobs/output", "jr_2", [[20, "the last line"]]);
    await until("the new line is there", () => /the last line/.test(out));
    await pipeline.putLedger({ ...batch("ARCHIVED"), settledAt: new Date().toISOString() });
    assert.equal(await ended, 0);
    const lines = out.trim().split("\n");
    assert.equal(new Set(lines).size, lines.length);
    assert.equal(lines.length, 7);
  });

  it("says so when there is no line, and when there is no such batch", async () => {
    const bare = "20240101T000000Z-BBBBBBBB";
    await pipeline.putLedger({ ...batch("RUNNING"), sk: bare, batchId: bare });
    const { code, out, notes } = await pipeline.run(main, bare);
    assert.deepEqual([code, out], [0, ""], notes.join());
    assert.match(notes.join(), /^No lines/);
    assert.equal((await pipeline.run(main, "20990101T000000Z-XXXXXXXX")).code, 1);
  });
});
