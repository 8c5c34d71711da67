// One file: nearly all of it are tables of right and wrong values.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { ConfigError, readSettings } from "../../infra/settings";
import { type Config, readConfig } from "../../local/provider/program";
import { folders } from "../support/folders";
import { ROOT } from "../support/program-record";

async function settingsOf(
  stack: string,
  changes: Record<string, string | undefined> = {},
  ...region: (string | undefined)[]
) {
  const config: Record<string, string | undefined> = readConfig(ROOT, stack);
  if (region.length > 0) config["aws:region"] = region[0];
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
      columnNames: {},
      logRetentionDays: 14,
      protect: false,
      bucketName: "",
      referenceLocation: null,
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

  type Wrong = [key: string, value: string | undefined, expected: RegExp];
  const wrong: Wrong[] = [
    ["schedule", "rate(5 minute)", /schedule is "rate\(5 minute\)", but must be a schedule such as rate\(5 minutes\)/],
    ...[
      ...[
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(1.5 hours)",
        "rate(5 weeks)",
        "at(2030-01-01T00:00:00)",
        "5 minutes",
      ],
      ...["cron(* * *)", "cron(0/5 * * * *)", "cron(0 12 * * * *)", "cron(0 12 ? * ? *)", "cron(60 * * * ? *)"],
      ...[
        "cron(0 24 * * ? *)",
        "cron(0 12 32 * ? *)",
        "cron(0 12 * 13 ? *)",
        "cron(0 12 ? * 0 *)",
        "cron(0 12 ? * 8 *)",
      ],
      ...["cron(0 12 * * ? 2200)", "cron(0 12 ? * MO *)", "cron(0 12 ? JANUARY MON *)", "cron(0/0 12 * * ? *)"],
      ...[
        "cron(0/60 12 * * ? *)",
        "cron(5, 12 * * ? *)",
        "cron(1-x 12 * * ? *)",
        "cron(0 12 ? * 2#6 *)",
        "cron(L 12 * * ? *)",
      ],
      ...["cron(0 12 ? * 2#1,3#1 *)", "cron(*-5 12 * * ? *)"],
    ].map((bad): Wrong => ["schedule", bad, /schedule is ".*", but must be a schedule such as/]),
    [
      "schedule",
      "rate(3 hours)",
      /alarmSilentHours is "3", but must be longer than the pause in schedule \(rate\(3 hours\)\)/,
    ],
    ["schedule", "rate(6 hours)", /alarmWaitingMinutes is "360", but must be longer than the pause/],
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
    ["maxRetryPauseSeconds", "59", /but must be no less than retryPauseSeconds \(60\)\. Change one of the two/],
    ["workerType", "g.1x", /workerType is "g\.1x", but must be one of G\.1X, G\.2X, /],
    ["numberOfWorkers", "1", /numberOfWorkers is "1", but must be a whole number from 2 to 299/],
    ["transformTimeoutMinutes", "", /transformTimeoutMinutes is ""/],
    ["publishTimeoutMinutes", "99999", /publishTimeoutMinutes is "99999"/],
    ["publishEngine", "hive", /publishEngine is "hive", but must be duckdb or spark/],
    ["multiLine", "yes", /multiLine is "yes", but must be true or false/],
    ["userColumn", "user,,name", /userColumn is "user,,name", but must be header names with commas between them/],
    ["trackColumn", 'the "track"', /trackColumn is "the "track"", but must be header names/],
    ["timeColumn", "ts, User_Id", /timeColumn has "user_id", which is a column of its own or stands for another one/],
    ["genreColumn", "genre,genre", /genreColumn has "genre", which is a column of its own or stands for another one/],
    ["logRetentionDays", "8", /logRetentionDays is "8", but must be one of 1, 3, 5/],
    ["protect", "1", /protect is "1"/],
    ["workerType", "G.025X", /workerType is/],
    ["workerType", "G.3X", /workerType is/],
    ["workerType", "Standard", /workerType is/],
    [
      "bucketName",
      "My.Bucket",
      /bucketName is "My\.Bucket", but must be 3 to 63 of a-z, 0-9 and -, no name that S3 reserves/,
    ],
    ...[
      ...[
        "ab",
        "a".repeat(64),
        "-abc",
        "abc-",
        "a_b",
        "a.b.c",
        "ÄÖÜ",
        "xn--music",
        "sthree-music",
        "sthree-configurator",
      ],
      ...["amzn-s3-demo-music", "music-s3alias", "music--ol-s3", "music--x-s3", "music--table-s3", "music-an"],
    ].map((bad): Wrong => ["bucketName", bad, /bucketName is/]),
    [
      "referenceLocation",
      "music",
      /referenceLocation is "music", but must be s3:\/\/BUCKET\/PREFIX\/ with a slash at its end/,
    ],
    ...[
      ...["s3://music", "s3://music/data", "https://music/data/", "s3://Music/data/", "s3:///data/", "s3://music/a*/"],
      ...["s3://music//", "s3://music/a//b/", "s3://music/$a/", "s3://music/a?/"],
    ].map((bad): Wrong => ["referenceLocation", bad, /referenceLocation is/]),
    [
      "kmsKeyArn",
      "alias/mine",
      /kmsKeyArn is "alias\/mine", but must be the ARN of a KMS key in eu-central-1, or empty/,
    ],
    ...[
      "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
      "arn:aws:kms:eu-central-1:111122223333:alias/music",
      "arn:aws:kms:eu-central-1:1111:key/1234abcd-12ab-34cd-56ef-1234567890ab",
      "1234abcd-12ab-34cd-56ef-1234567890ab",
    ].map((bad): Wrong => ["kmsKeyArn", bad, /kmsKeyArn is/]),
    ["archiveColdAfterDays", "-1", /archiveColdAfterDays is "-1"/],
    ["archiveRetentionDays", "x", /archiveRetentionDays is "x"/],
    ["quarantineRetentionDays", "1.5", /quarantineRetentionDays is "1\.5"/],
    [
      "tags",
      "team=music",
      /must be up to 48 of key=value such as \["team=music"\].* config set --path 'tags\[0\]' KEY=VALUE/,
    ],
    ["tags", '["stack=other"]', /tags is .* each key once, not project or stack/],
    ["tags", '["Project=other"]', /tags is/],
    ["tags", '["Team=a","team=b"]', /tags is/],
    ["tags", JSON.stringify([`${"k".repeat(129)}=v`]), /tags is/],
    ["tags", JSON.stringify([`k=${"v".repeat(257)}`]), /tags is/],
    ["tags", '["team=a*b"]', /tags is/],
    ["tags", '{"team":"music"}', /tags is/],
    ["tags", JSON.stringify(Array.from({ length: 49 }, (_, at) => `k${at}=v`)), /tags is/],
    ["tags", '["aws:x=1"]', /tags is/],
    ["tags", '["team"]', /tags is/],
    ["alarmEmail", "nobody", /alarmEmail is "nobody", but must be an e-mail address, or empty/],
    ...["a@b", "a b@c.de", "a@b.c,d@e.fr", "@c.de", "a@.de", "Ops <ops@example.org>"].map(
      (bad): Wrong => ["alarmEmail", bad, /alarmEmail is/],
    ),
    ["alarmFailuresInARow", "0", /alarmFailuresInARow is "0"/],
    ["alarmBatchMinutes", "x", /alarmBatchMinutes is "x"/],
    ["alarmWaitingMinutes", "0", /alarmWaitingMinutes is "0"/],
    ["alarmQuarantinedPercent", "101", /alarmQuarantinedPercent is "101", but must be a whole number from 1 to 100/],
    ["alarmSilentHours", "169", /alarmSilentHours is "169"/],
    [
      "maxBatchFile",
      "10",
      /maxBatchFile is not a setting of this project; .* Remove it: pulumi config rm maxBatchFile --stack dev/,
    ],
  ];
  for (const [key, value, expected] of wrong) {
    it(`refuse ${key} = ${value?.slice(0, 60)}, and say what to do`, async () => {
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

  /** Values other than the defaults that each key takes. */
  const right: Record<string, string[]> = {
    schedule: [
      ...[
        "rate(1 minute)",
        "rate(1 hour)",
        "rate(90 minutes)",
        "cron(0/5 6-22 * * ? *)",
        "cron(15,45 8-18/2 ? * MON-FRI *)",
      ],
      ...[
        "cron(0 0 L * ? *)",
        "cron(0 9 3W * ? *)",
        "cron(0 9 ? * 6L *)",
        "cron(0 9 ? JAN,jul 2#1 2026-2030)",
        "cron(*/10 * * * ? *)",
      ],
    ],
    startOnArrival: ["true"],
    maxBatchFiles: ["1", "20000"],
    maxBatchBytes: ["1", "1099511627776"],
    maxAttempts: ["1", "20"],
    retryPauseSeconds: ["1", "3600"],
    maxRetryPauseSeconds: ["60", "86400"],
    workerType: ["G.2X", "G.16X", "R.1X", "R.8X"],
    numberOfWorkers: ["2", "299"],
    transformTimeoutMinutes: ["1", "10080"],
    publishTimeoutMinutes: ["1", "10080"],
    publishEngine: ["spark"],
    multiLine: ["false"],
    userColumn: ["user", "User Name, a.b"],
    trackColumn: ["spotify_track_uri"],
    timeColumn: ["ts,played_at"],
    genreColumn: ["genre"],
    logRetentionDays: ["1", "3653"],
    protect: ["true"],
    bucketName: ["abc", "our-music-2", "a".repeat(63), "xn-s3alias-music"],
    referenceLocation: ["s3://our-data/", "s3://our.data/music/v1.2/", "s3://our-data/a b(c)/"],
    kmsKeyArn: [
      "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
      "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
    ],
    archiveColdAfterDays: ["1", "36500"],
    archiveRetentionDays: ["1", "36500"],
    quarantineRetentionDays: ["1", "36500"],
    tags: ['["team=music"]', '["a="]', JSON.stringify(Array.from({ length: 48 }, (_, at) => `k${at}=v`))],
    alarmEmail: ["ops@example.org", "first.last+music@mail.example.co"],
    alarmFailuresInARow: ["1", "1000"],
    alarmBatchMinutes: ["1", "10080"],
    alarmWaitingMinutes: ["6", "10080"],
    alarmQuarantinedPercent: ["1", "100"],
    alarmSilentHours: ["1", "168"],
  };
  for (const [key, values] of Object.entries(right)) {
    it(`take what AWS takes as ${key}`, async () => {
      const before = JSON.stringify(await settingsOf("dev"));
      const found = new Set<string>();
      for (const value of values) found.add(JSON.stringify(await settingsOf("dev", { [key]: value })));
      assert.equal(found.size, values.length);
      // At least one differs from the stack's own value: otherwise the key might not be read.
      assert.ok([...found].some((one) => one !== before));
    });
  }

  it("are all declared in Pulumi.yaml, with type, default and description, and are all tried here", () => {
    const { config } = parse(readFileSync(path.join(ROOT, "Pulumi.yaml"), "utf8")) as {
      config: Record<string, { type: string; default: unknown; description: string; items?: { type: string } }>;
    };
    // pulumi new adds it to a copy of the project.
    delete config["pulumi:tags"];
    const keys = Object.keys(config).sort();
    assert.deepEqual(Object.keys(right).sort(), keys);
    const stray = "maxBatchFile";
    assert.deepEqual([...new Set(wrong.map(([key]) => key))].filter((key) => key !== stray).sort(), keys);
    for (const [key, { type, default: value, description, items }] of Object.entries(config)) {
      const is = Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;
      assert.equal(type, is, key);
      if (type === "array") assert.deepEqual(items, { type: "string" });
      assert.match(description, /^[A-Z].{20,}\.$/, key);
    }
  });

  it("are set in the stacks' files by values of the declared types alone", () => {
    const { config } = parse(readFileSync(path.join(ROOT, "Pulumi.yaml"), "utf8")) as {
      config: Record<string, { type: string }>;
    };
    for (const stack of ["dev", "prod", "local"]) {
      const own = parse(readFileSync(path.join(ROOT, `Pulumi.${stack}.yaml`), "utf8")) as {
        config: Record<string, unknown>;
      };
      assert.deepEqual(Object.keys(own), ["config"], stack);
      for (const [key, value] of Object.entries(own.config)) {
        if (key === "aws:region") continue;
        const is = Number.isInteger(value) ? "integer" : typeof value;
        assert.equal(config[key]?.type, is, `${stack}: ${key}`);
      }
    }
  });

  it("refuse reference data among the files that the pipeline moves", async () => {
    const bucketName = "our-music";
    const at = (referenceLocation: string) => settingsOf("dev", { bucketName, referenceLocation });
    await assert.rejects(
      at(`s3://our-music/${folders.incoming}`),
      new RegExp(`referenceLocation is "s3://our-music/${folders.incoming}", but must be below`),
    );
    const below = `${folders.reference}v2/`;
    assert.equal((await at(`s3://our-music/${below}`)).referenceLocation?.prefix, below);
    assert.equal((await at(`s3://our-data/${folders.incoming}`)).referenceLocation?.bucket, "our-data");
  });

  it("know no region of a key where the stack names none", async () => {
    const kmsKeyArn = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    assert.equal((await settingsOf("dev", { kmsKeyArn }, undefined)).kmsKeyArn, kmsKeyArn);
  });
});
