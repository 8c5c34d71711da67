import assert from "node:assert/strict";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  GetFunctionCommand,
  ListEventSourceMappingsCommand,
  UpdateEventSourceMappingCommand,
} from "@aws-sdk/client-lambda";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { GetQueueAttributesCommand, GetQueueUrlCommand } from "@aws-sdk/client-sqs";
import { deploy } from "../../local/deploy";
import { EventDelivery } from "../../local/glue/run/events";
import { type Clients, closeClients, createClients } from "../../local/provider/clients";
import { place } from "../../runtime/places";
import { until } from "../support/commands";
import { testCredentials } from "../support/credentials";
import { folders } from "../support/folders";
import { ROOT } from "../support/program-record";
import { REGION, reportOneRow, startCloud, startScriptedGlue } from "../support/provider-cloud";

const FIRST = `${folders.incoming}first.csv`;

describe("the start on arrival", () => {
  let cloud: Awaited<ReturnType<typeof startCloud>>;
  let glue: Awaited<ReturnType<typeof startScriptedGlue>>;
  let clients: Clients;
  let outputs: Record<string, string>;
  let logGroup: string;

  before(async () => {
    cloud = await startCloud();
    glue = await startScriptedGlue(cloud.endpoint);
    const where = { endpoint: cloud.endpoint, glueEndpoint: glue.endpoint, credentials: testCredentials };
    clients = createClients({ ...where, region: REGION });
    const changes = {
      "music-streams:startOnArrival": "true",
      // Never during this test.
      "music-streams:schedule": "cron(0 0 1 1 ? 2199)",
    };
    const deployed = await deploy({ root: ROOT, stack: "local", ...where, changes });
    outputs = deployed.outputs as never;
    const FunctionName = outputs.senseFunctionName;
    const { Configuration } = await clients.lambda.send(new GetFunctionCommand({ FunctionName }));
    logGroup = Configuration!.LoggingConfig!.LogGroup!;
  });
  after(async () => {
    if (clients) closeClients(clients);
    await glue?.close();
    await cloud?.close();
  });

  const put = (Key: string) => clients.s3.send(new PutObjectCommand({ Bucket: outputs.bucketName, Key, Body: "a\n" }));

  const run = (count: number) =>
    until(`run ${count}`, async () => (glue.runs.length >= count ? glue.runs[0] : undefined));

  /** How many calls of sense have ended. */
  async function ticks(): Promise<number> {
    const { events = [] } = await clients.logs.send(new FilterLogEventsCommand({ logGroupName: logGroup }));
    return events.filter(({ message }) => message?.startsWith("REPORT ")).length;
  }

  async function messages(): Promise<{ waiting: number; taken: number }> {
    const { EventSourceArn } = (await clients.lambda.send(new ListEventSourceMappingsCommand({})))
      .EventSourceMappings![0]!;
    const { QueueUrl } = await clients.sqs.send(
      new GetQueueUrlCommand({ QueueName: EventSourceArn!.split(":").at(-1) }),
    );
    const { Attributes } = await clients.sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
    const { ApproximateNumberOfMessages: waiting, ApproximateNumberOfMessagesNotVisible: taken } = Attributes ?? {};
    return { waiting: Number(waiting), taken: Number(taken) };
  }

  async function take(Enabled: boolean): Promise<void> {
    const { EventSourceMappings } = await clients.lambda.send(new ListEventSourceMappingsCommand({}));
    await clients.lambda.send(new UpdateEventSourceMappingCommand({ UUID: EventSourceMappings![0]!.UUID, Enabled }));
  }

  const batchOf = (one: Record<string, unknown>) => (one.WorkflowRunProperties as Record<string, string>).batch_id!;

  it("has sense claim a file that lands, without the schedule", async () => {
    await put(FIRST);
    assert.ok(batchOf(await run(1)));
  });

  it("leaves sense alone when anything else is written", async () => {
    await until("the first tick ends", async () => ((await ticks()) === 1 ? true : undefined));
    for (const key of [
      folders.incoming,
      `${folders.incoming}notes.txt`,
      `${folders.incoming}a.csv.bak`,
      `${folders.reference}users/u.csv`,
      "a.csv",
    ])
      await put(key);
    // Events keep their order here, so the file's comes last.
    await take(false);
    await put(`${folders.incoming}0.csv`);
    assert.equal(await until("its message", async () => (await messages()).waiting || undefined), 1);
    assert.equal(await ticks(), 1);
  });

  it("has sense look once for many files, by one call for as many messages as Lambda hands over", async () => {
    const names = Array.from({ length: 19 }, (_, at) => `d${at}/a b+c%20ü-${at}.${at % 2 ? "csv.gz" : "CSV"}`);
    await Promise.all(names.map((name) => put(`${folders.incoming}${name}`)));
    await until("20 messages", async () => ((await messages()).waiting === 20 ? true : undefined));
    // The emulator does not gather; it hands over waiting messages ten at a time.
    await take(true);
    await until("no message is left", async () => {
      const { waiting, taken } = await messages();
      return waiting + taken === 0 ? true : undefined;
    });
    await until("two more ticks", async () => ((await ticks()) >= 3 ? true : undefined));
    assert.equal(await ticks(), 3);
    assert.equal(glue.runs.length, 1, "a batch is in flight");
  });

  it("has sense take what landed meanwhile when the run has ended", async () => {
    await reportOneRow(clients, outputs.bucketName!, batchOf(glue.runs[0]!), FIRST);
    glue.finish([outputs.transformJobName!, "SUCCEEDED"], [outputs.publishJobName!, "SUCCEEDED"]);
    const options = { emulatorEndpoint: cloud.endpoint, region: REGION, credentials: testCredentials };
    const delivery = new EventDelivery(options as never, () => {});
    delivery.deliver({ JobName: outputs.publishJobName!, JobRunState: "SUCCEEDED", Id: "jr_1" });
    await delivery.close();
    const next = batchOf(await run(2));
    const Key = place("manifest", { batchId: next });
    const { Body } = await clients.s3.send(new GetObjectCommand({ Bucket: outputs.bucketName, Key }));
    assert.equal(JSON.parse(await Body!.transformToString()).files.length, 20);
  });
});
