import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { ConfigError, readSettings } from "../../infra/settings";
import { type Config, readConfig } from "../../local/provider/program";
import { ROOT } from "../support/program-record";

async function settingsOf(stack: string, changes: Record<string, string | undefined> = {}) {
  const config: Record<string, string | undefined> = readConfig(ROOT, stack);
  for (const [key, value] of Object.entries(changes)) config[`music-streams:${key}`] = value;
  pulumi.runtime.setAllConfig(
    Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)) as Config,
  );
  await pulumi.runtime.setMocks(
    { newResource: () => ({ id: "", state: {} }), call: () => ({}) },
    "music-streams",
    stack,
  );
  return readSettings();
}

describe("settings", () => {
  it("hold the project's defaults below the stack's values", async () => {
    const settings = await settingsOf("dev");
    assert.deepEqual(settings, {
      schedule: "rate(5 minutes)",
      startOnArrival: false,
      limits: {
        maxBatchFiles: 5000,
        maxBatchBytes: 10 * 1024 ** 3,
        maxAttempts: 3,
        retryPauseSeconds: 60,
        maxRetryPauseSeconds: 3600,
      },
      spark: { workerType: "G.1X", numberOfWorkers: 2 },
      transformTimeoutMinutes: 60,
      publishTimeoutMinutes: 60,
      publishEngine: "duckdb",
      multiLine: true,
      logRetentionDays: 14,
      protect: false,
      bucketName: "",
      kmsKeyArn: "",
      lifecycle: { archiveColdAfterDays: 0, archiveRetentionDays: 0, quarantineRetentionDays: 0 },
      alarms: {
        email: "",
        failuresInARow: 3,
        batchMinutes: 240,
        waitingMinutes: 360,
        quarantinedPercent: 5,
        silentHours: 3,
      },
      tags: { project: "music-streams", stack: "dev" },
      metricsNamespace: "music-streams/dev",
    });
  });

  it("of the local stack look each minute and retry after seconds", async () => {
    const { schedule, limits } = await settingsOf("local");
    assert.equal(schedule, "rate(1 minute)");
    assert.deepEqual([limits.retryPauseSeconds, limits.maxRetryPauseSeconds], [5, 30]);
  });

  it("of the production stack protect the data", async () => {
    assert.equal((await settingsOf("prod")).protect, true);
  });

  const wrong: [key: string, value: string | undefined, expected: RegExp][] = [
    ["schedule", "rate(5 minute)", /schedule is "rate\(5 minute\)", but must be a schedule such as rate\(5 minutes\)/],
    ["schedule", "rate(0 minutes)", /schedule is/],
    ["schedule", "cron(* * *)", /schedule is/],
    [
      "maxBatchFiles",
      "0",
      /maxBatchFiles is "0", but must be a whole number from 1 to 20000\. Set it: pulumi config set/,
    ],
    ["startOnArrival", "on", /startOnArrival is "on", but must be true or false/],
    ["maxBatchFiles", "ten", /maxBatchFiles is "ten"/],
    ["maxBatchFiles", undefined, /maxBatchFiles is not set, but must be/],
    ["maxBatchBytes", "1e9", /maxBatchBytes is "1e9"/],
    ["maxAttempts", "2.5", /maxAttempts is "2\.5"/],
    ["retryPauseSeconds", "-1", /retryPauseSeconds is "-1"/],
    ["maxRetryPauseSeconds", "59", /must not be below retryPauseSeconds \(60\)/],
    ["workerType", "g.1x", /workerType is "g\.1x", but must be a Glue worker type such as G\.1X/],
    ["numberOfWorkers", "1", /numberOfWorkers is "1", but must be a whole number from 2 to 299/],
    ["transformTimeoutMinutes", "", /transformTimeoutMinutes is ""/],
    ["publishTimeoutMinutes", "99999", /publishTimeoutMinutes is "99999"/],
    ["publishEngine", "hive", /publishEngine is "hive", but must be duckdb or spark/],
    ["multiLine", "yes", /multiLine is "yes", but must be true or false/],
    ["logRetentionDays", "8", /logRetentionDays is "8", but must be one of 1, 3, 5/],
    ["protect", "1", /protect is "1"/],
    ["bucketName", "My.Bucket", /bucketName is "My\.Bucket", but must be 3 to 63 of a-z, 0-9 and -, or empty/],
    ["kmsKeyArn", "alias/mine", /kmsKeyArn is "alias\/mine", but must be the ARN of a KMS key, or empty/],
    ["archiveColdAfterDays", "-1", /archiveColdAfterDays is "-1"/],
    ["archiveRetentionDays", "x", /archiveRetentionDays is "x"/],
    ["quarantineRetentionDays", "1.5", /quarantineRetentionDays is "1\.5"/],
    ["tags", "team=music", /tags is "team=music", but must be a list of texts such as \["team=music"\]/],
    ["tags", '["stack=other"]', /tags is .* without project and stack/],
    ["tags", '["aws:x=1"]', /tags is/],
    ["tags", '["team"]', /tags is/],
    ["alarmEmail", "nobody", /alarmEmail is "nobody", but must be an e-mail address, or empty/],
    ["alarmFailuresInARow", "0", /alarmFailuresInARow is "0"/],
    ["alarmBatchMinutes", "x", /alarmBatchMinutes is "x"/],
    ["alarmWaitingMinutes", "0", /alarmWaitingMinutes is "0"/],
    ["alarmQuarantinedPercent", "101", /alarmQuarantinedPercent is "101", but must be a whole number from 1 to 100/],
    ["alarmSilentHours", "169", /alarmSilentHours is "169"/],
    [
      "maxBatchFile",
      "10",
      /maxBatchFile is no setting of this project; .* Remove it: pulumi config rm maxBatchFile --stack dev/,
    ],
  ];
  for (const [key, value, expected] of wrong) {
    it(`refuse ${key} = ${value}, and say what to do`, async () => {
      await assert.rejects(settingsOf("dev", { [key]: value }), (error: Error) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, expected);
        return true;
      });
    });
  }

  it("refuse to delete archived files before they have become cold", async () => {
    const changes = { archiveColdAfterDays: "90", archiveRetentionDays: "90" };
    await assert.rejects(settingsOf("dev", changes), /archiveRetentionDays is "90", but must be above .* \(90\), or 0/);
    assert.equal(
      (await settingsOf("dev", { ...changes, archiveRetentionDays: "0" })).lifecycle.archiveRetentionDays,
      0,
    );
  });

  it("add the stack's own tags to those of every stack", async () => {
    const { tags } = await settingsOf("dev", { tags: '["team=music","cost center=a=b/1"]' });
    assert.deepEqual(tags, { team: "music", "cost center": "a=b/1", project: "music-streams", stack: "dev" });
  });

  it("name every wrong key at once", async () => {
    await assert.rejects(
      settingsOf("dev", { maxAttempts: "x", protect: "y" }),
      /maxAttempts is "x".*\n.*protect is "y"/,
    );
  });

  it("accept what AWS accepts", async () => {
    for (const schedule of ["rate(1 hour)", "rate(2 days)", "cron(0/5 6-22 * * ? *)"]) {
      assert.equal((await settingsOf("dev", { schedule })).schedule, schedule);
    }
    assert.equal((await settingsOf("dev", { workerType: "R.1X" })).spark.workerType, "R.1X");
  });
});
