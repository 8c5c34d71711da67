// One file, because all its tests look at the same records of the program.
import assert from "node:assert/strict";
import layout from "../../layout.json";
import { version } from "../../package.json";
import { place } from "../../runtime/places";
import { folders } from "../support/folders";
import { EVERY_CHOICE, type Recorded, recordProgram } from "../support/program-record";

interface Statement {
  Effect: string;
  Action: string[];
  Resource: string[];
  Condition?: unknown;
}

function statementsOf(program: Recorded, role: string): Statement[] {
  return JSON.parse(String(program.inputsOf("iam/rolePolicy:RolePolicy", `${role}-policy`).policy)).Statement;
}

const CHINA = { accountId: "444455556666", partition: "aws-cn", region: "cn-north-1" };
const OUR_MUSIC = { "music-streams:bucketName": "our-music" };

describe("the program", () => {
  let program: Recorded;
  before(async () => {
    program = await recordProgram("dev");
  });

  it("creates an ON_DEMAND trigger that a deploy does not fire", () => {
    const start = program.inputsOf("glue/trigger:Trigger", "music-streams-start");
    assert.equal(start.type, "ON_DEMAND");
    assert.equal(start.enabled, false);
    assert.deepEqual(start.actions, [{ jobName: "music-streams-transform" }]);
  });

  it("starts publish when transform has succeeded", () => {
    const publish = program.inputsOf("glue/trigger:Trigger", "music-streams-publish");
    assert.equal(publish.type, "CONDITIONAL");
    assert.equal(publish.enabled, true);
    assert.deepEqual(publish.predicate, {
      logical: "AND",
      conditions: [{ jobName: "music-streams-transform", logicalOperator: "EQUALS", state: "SUCCEEDED" }],
    });
    assert.deepEqual(publish.actions, [{ jobName: "music-streams-publish" }]);
  });

  it("lets triggers join the workflow one after the other", () => {
    const type = "aws:glue/trigger:Trigger";
    assert.deepEqual(
      program.course.filter((step) => step.includes(type)),
      ["begin", "end"]
        .map((at) => `${at} ${type} music-streams-start`)
        .concat(["begin", "end"].map((at) => `${at} ${type} music-streams-publish`)),
    );
  });

  it("allows one run at a time, of the workflow and of each job, and leaves retries to the ledger", () => {
    assert.equal(program.inputsOf("glue/workflow:Workflow", "music-streams").maxConcurrentRuns, 1);
    for (const name of ["music-streams-transform", "music-streams-publish"]) {
      const job = program.inputsOf("glue/job:Job", name);
      assert.deepEqual(job.executionProperty, { maxConcurrentRuns: 1 });
      assert.equal(job.maxRetries, 0);
      assert.equal(job.timeout, 60);
    }
  });

  it("runs transform on two Spark workers of Glue 6.0, with every argument that the script needs", () => {
    const job = program.inputsOf("glue/job:Job", "music-streams-transform");
    assert.equal(job.glueVersion, "6.0");
    assert.deepEqual([job.workerType, job.numberOfWorkers, job.executionClass], ["G.1X", 2, "STANDARD"]);
    assert.equal((job.command as Record<string, string>).name, "glueetl");
    const given = job.defaultArguments as Record<string, string>;
    assert.equal(given["--bucket"], "music-streams-lake-bucket");
    assert.equal(given["--reference-location"], `s3://music-streams-lake-bucket/${folders.reference}`);
    assert.equal(given["--multi-line"], "true");
    assert.match(
      given["--extra-py-files"]!,
      new RegExp(`^s3://music-streams-lake-bucket/${folders.scripts}[0-9a-f]{64}/music_streams\\.zip$`),
    );
    assert.equal(given["--job-bookmark-option"], "job-bookmark-disable");
  });

  it("runs publish in a Python shell of one machine, with a wheel and pinned packages", () => {
    const job = program.inputsOf("glue/job:Job", "music-streams-publish");
    assert.deepEqual([job.glueVersion, job.maxCapacity, job.workerType], ["3.0", 1, undefined]);
    const command = job.command as Record<string, string>;
    assert.deepEqual([command.name, command.pythonVersion], ["pythonshell", "3.9"]);
    const given = job.defaultArguments as Record<string, string>;
    assert.equal(given["--metrics-table"], "music-streams-metrics-table");
    assert.equal(given["--engine"], "duckdb");
    assert.ok(given["--extra-py-files"]!.endsWith(`/music_streams-${version}-py3-none-any.whl`));
    const packages = given["--additional-python-modules"]!.split(",");
    for (const wanted of ["duckdb==1.4.5", "boto3==1.42.97"]) assert.ok(packages.includes(wanted), wanted);
    for (const one of packages) assert.match(one, /^[a-z0-9-]+==\d+(\.\w+)+$/);
  });

  it("runs publish on Spark where the stack says so", async () => {
    const spark = await recordProgram("dev", EVERY_CHOICE);
    const job = spark.inputsOf("glue/job:Job", "music-streams-publish");
    const given = job.defaultArguments as Record<string, string>;
    assert.deepEqual([job.glueVersion, job.workerType, job.maxCapacity], ["6.0", "G.1X", undefined]);
    assert.equal(given["--engine"], "spark");
    assert.match(given["--extra-py-files"]!, /\/music_streams\.zip$/);
    const transform = spark.inputsOf("glue/job:Job", "music-streams-transform").defaultArguments;
    const { "--multi-line": multiLine, "--column-names": names } = transform as Record<string, string>;
    assert.equal(multiLine, "false");
    assert.deepEqual(JSON.parse(names!), { user_id: ["user", "user name"], listen_time: ["ts"] });
  });

  it("keeps scripts under their contents' hash, and old ones for runs that began before a deploy", async () => {
    const keys = program.resources
      .filter(({ type }) => type === "aws:s3/bucketObjectv2:BucketObjectv2")
      .map(({ inputs }) => String(inputs.key));
    assert.equal(keys.length, 4);
    const [folder] = new RegExp(`^${folders.scripts}[0-9a-f]{64}/`).exec(keys[0]!) ?? [];
    assert.deepEqual(keys.map((key) => key.replace(folder!, "")).sort(), [
      `music_streams-${version}-py3-none-any.whl`,
      "music_streams.zip",
      "publish.py",
      "transform.py",
    ]);
    const again = await recordProgram("prod");
    assert.equal(
      again.inputsOf("s3/bucketObjectv2:BucketObjectv2", "music-streams-scripts-transform").key,
      `${folder}transform.py`,
    );
  });

  it("tells both Lambdas where everything is, and runs them on Node 24 with a role of their own", () => {
    for (const name of ["music-streams-sense", "music-streams-archive"]) {
      const fn = program.inputsOf("lambda/function:Function", name);
      assert.equal(fn.runtime, "nodejs24.x");
      assert.match(String(fn.role), new RegExp(`${name}-role$`));
      const { LIMITS, ...variables } = (fn.environment as { variables: Record<string, string> }).variables;
      assert.deepEqual(variables, {
        BUCKET: "music-streams-lake-bucket",
        LEDGER_TABLE: "music-streams-ledger-table",
        WORKFLOW: "music-streams",
        TRANSFORM_JOB: "music-streams-transform",
        PUBLISH_JOB: "music-streams-publish",
        METRICS_NAMESPACE: "music-streams/dev",
      });
      assert.deepEqual(JSON.parse(LIMITS!), {
        maxBatchFiles: 5000,
        maxBatchBytes: 10737418240,
        maxAttempts: 3,
        retryPauseSeconds: 60,
        maxRetryPauseSeconds: 3600,
      });
      assert.equal((fn.loggingConfig as { logGroup: string }).logGroup, `${name}-logs`);
    }
  });

  it("has sense look on the stack's schedule", () => {
    const schedule = program.inputsOf("scheduler/schedule:Schedule", "music-streams-sense-schedule");
    assert.equal(schedule.scheduleExpression, "rate(5 minutes)");
    assert.match((schedule.target as { arn: string }).arn, /music-streams-sense$/);
  });

  it("has sense look when files land, or a run has ended, only where the stack says so", async () => {
    const parts = (from: Recorded) => from.resources.map(({ name }) => name).filter((name) => /arrivals/.test(name));
    assert.deepEqual(parts(program), []);
    assert.deepEqual(program.namesOf("s3/bucketNotification:BucketNotification"), []);

    const starting = await recordProgram("dev", { "music-streams:startOnArrival": "true" });
    assert.equal(starting.resources.length - program.resources.length, parts(starting).length);
    const notification = starting.inputsOf(
      "s3/bucketNotification:BucketNotification",
      "music-streams-arrivals-notification",
    );
    assert.deepEqual(notification, { bucket: "music-streams-lake-bucket", eventbridge: true });
    const pattern = (name: string) =>
      JSON.parse(String(starting.inputsOf("cloudwatch/eventRule:EventRule", name).eventPattern));
    assert.deepEqual(pattern("music-streams-arrivals-file"), {
      source: ["aws.s3"],
      "detail-type": ["Object Created", "Object Restore Completed"],
      detail: {
        bucket: { name: ["music-streams-lake-bucket"] },
        object: {
          key: [".csv", ".CSV", ".csv.gz", ".CSV.GZ"].map((suffix) => ({ wildcard: `${folders.incoming}*${suffix}` })),
        },
      },
    });
    assert.deepEqual(pattern("music-streams-arrivals-run").detail, {
      jobName: ["music-streams-publish"],
      state: ["SUCCEEDED"],
    });
    const queue = starting.inputsOf("sqs/queue:Queue", "music-streams-arrivals");
    const sense = starting.inputsOf("lambda/function:Function", "music-streams-sense");
    const mapping = starting.inputsOf("lambda/eventSourceMapping:EventSourceMapping", "music-streams-sense-arrivals");
    // AWS Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping".
    const hidden = 6 * Number(sense.timeout) + Number(mapping.maximumBatchingWindowInSeconds);
    assert.equal(queue.visibilityTimeoutSeconds, hidden);
    const redrive = JSON.parse(String(queue.redrivePolicy));
    assert.match(redrive.deadLetterTargetArn, /:music-streams-dead-letters$/);
    assert.ok(redrive.maxReceiveCount >= 5);
    assert.ok(Number(queue.messageRetentionSeconds) > redrive.maxReceiveCount * hidden);
    assert.deepEqual([mapping.batchSize, mapping.scalingConfig], [10_000, { maximumConcurrency: 2 }]);

    const [allowed] = JSON.parse(
      String(starting.inputsOf("sqs/queuePolicy:QueuePolicy", "music-streams-arrivals-policy").policy),
    ).Statement;
    assert.deepEqual(
      allowed.Condition.ArnEquals["aws:SourceArn"].map((arn: string) => arn.split(":").at(-1)),
      ["music-streams-arrivals-file", "music-streams-arrivals-run"],
    );
    const ofQueues = (from: Recorded, role: string) =>
      statementsOf(from, role).filter(({ Resource }) => Resource.some((arn) => /:sqs:.*-arrivals$/.test(arn)));
    assert.deepEqual(
      ofQueues(starting, "music-streams-sense-role").map(({ Action }) => Action),
      [["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]],
    );
    assert.deepEqual(ofQueues(starting, "music-streams-archive-role"), []);
  });

  it("has archive look when publish succeeds and when either job ends badly", () => {
    const rule = program.inputsOf("cloudwatch/eventRule:EventRule", "music-streams-archive-rule");
    assert.deepEqual(JSON.parse(String(rule.eventPattern)), {
      source: ["aws.glue"],
      "detail-type": ["Glue Job State Change"],
      detail: {
        $or: [
          { jobName: ["music-streams-publish"], state: ["SUCCEEDED"] },
          {
            jobName: ["music-streams-transform", "music-streams-publish"],
            state: ["FAILED", "TIMEOUT", "STOPPED"],
          },
        ],
      },
    });
    const permission = program.inputsOf("lambda/permission:Permission", "music-streams-archive-permission");
    assert.equal(permission.principal, "events.amazonaws.com");
    assert.match(String(permission.sourceArn), /music-streams-archive-rule$/);
  });

  it("keeps what fails to the last try, or never arrives, as a dead letter", () => {
    const queue = program.inputsOf("sqs/queue:Queue", "music-streams-dead-letters");
    assert.deepEqual([queue.messageRetentionSeconds, queue.sqsManagedSseEnabled], [1_209_600, true]);
    const arn = "arn:aws:sqs:eu-central-1:111122223333:music-streams-dead-letters";
    const retries = (name: string) => {
      const { functionName, ...rest } = program.inputsOf(
        "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        `${name}-retries`,
      );
      assert.equal(functionName, name);
      return rest;
    };
    const destinationConfig = { onFailure: { destination: arn } };
    assert.deepEqual(retries("music-streams-sense"), {
      maximumRetryAttempts: 0,
      maximumEventAgeInSeconds: 300,
      destinationConfig,
    });
    assert.deepEqual(retries("music-streams-archive"), {
      maximumRetryAttempts: 2,
      maximumEventAgeInSeconds: 3600,
      destinationConfig,
    });
    const { target } = program.inputsOf("scheduler/schedule:Schedule", "music-streams-sense-schedule");
    const { retryPolicy, deadLetterConfig } = target as Record<string, unknown>;
    assert.deepEqual(retryPolicy, { maximumRetryAttempts: 1, maximumEventAgeInSeconds: 300 });
    assert.deepEqual(deadLetterConfig, { arn });
    const rule = program.inputsOf("cloudwatch/eventTarget:EventTarget", "music-streams-archive-target");
    assert.deepEqual(rule.deadLetterConfig, { arn });
    for (const role of ["sense", "archive", "sense-schedule"]) {
      const sending = statementsOf(program, `music-streams-${role}-role`).filter(({ Action }) =>
        Action.includes("sqs:SendMessage"),
      );
      assert.deepEqual(
        sending.map(({ Resource }) => Resource),
        [[arn]],
        role,
      );
    }
  });

  it("lets EventBridge write dead letters for this account's rules alone, and nobody by plain HTTP", () => {
    const { policy } = program.inputsOf("sqs/queuePolicy:QueuePolicy", "music-streams-dead-letters-policy");
    const [allow, deny] = JSON.parse(String(policy)).Statement;
    assert.deepEqual([allow.Effect, allow.Principal], ["Allow", { Service: "events.amazonaws.com" }]);
    const rules = "arn:aws:events:eu-central-1:111122223333:rule/*";
    assert.deepEqual([allow.Action, allow.Condition], ["sqs:SendMessage", { ArnLike: { "aws:SourceArn": rules } }]);
    assert.deepEqual([deny.Effect, deny.Condition], ["Deny", { Bool: { "aws:SecureTransport": "false" } }]);
  });

  it("gives each function, job and schedule one role, which one service alone can assume", () => {
    const services: Record<string, string> = {};
    for (const name of program.namesOf("iam/role:Role")) {
      const trust = JSON.parse(String(program.inputsOf("iam/role:Role", name).assumeRolePolicy));
      services[name] = trust.Statement[0].Principal.Service;
    }
    assert.deepEqual(services, {
      "music-streams-transform-role": "glue.amazonaws.com",
      "music-streams-publish-role": "glue.amazonaws.com",
      "music-streams-sense-role": "lambda.amazonaws.com",
      "music-streams-archive-role": "lambda.amazonaws.com",
      "music-streams-sense-schedule-role": "scheduler.amazonaws.com",
    });
    assert.deepEqual(program.namesOf("iam/rolePolicyAttachment:RolePolicyAttachment"), []);
  });

  it("names actions and resources in every policy; only a metric, which has no resource, is bound otherwise", () => {
    for (const role of program.namesOf("iam/role:Role")) {
      for (const statement of statementsOf(program, role)) {
        assert.equal(statement.Effect, "Allow");
        for (const action of statement.Action) assert.match(action, /^[a-z0-9]+:[A-Z]\w+$/, `${role}: ${action}`);
        if (statement.Action.join() === "cloudwatch:PutMetricData") {
          assert.deepEqual(statement.Condition, { StringEquals: { "cloudwatch:namespace": ["Glue"] } });
          continue;
        }
        for (const resource of statement.Resource)
          assert.match(resource, /^arn:aws:[a-z0-9]+:.*\w/, `${role}: ${resource}`);
      }
    }
  });

  it("lets each role write only in folders of its part, and none write scripts", () => {
    const written: Record<string, string[]> = {};
    for (const role of program.namesOf("iam/role:Role")) {
      const writes = new Set<string>();
      for (const { Action, Resource } of statementsOf(program, role)) {
        if (!Action.some((action) => /^s3:(Put|Delete)Object$/.test(action))) continue;
        for (const resource of Resource) writes.add(resource.split(":music-streams-lake-bucket/")[1]!);
      }
      if (writes.size > 0) written[role] = [...writes].sort();
    }
    const { archived, batches, curated, failed, incoming, quarantinedFiles, quarantinedRows, staged } = folders;
    const all = (...names: string[]) => names.map((name) => `${name}*`).sort();
    const settling = all(archived, batches, curated, failed, incoming, quarantinedFiles, quarantinedRows, staged);
    assert.deepEqual(written, {
      "music-streams-transform-role": all(batches, curated, quarantinedRows, staged),
      "music-streams-publish-role": [...all(batches), place("publishCheckpoint", { batchId: "*" })],
      "music-streams-sense-role": settling,
      "music-streams-archive-role": settling,
    });
  });

  it("lets nothing delete what is archived or in quarantine, and transform read no file that is waiting for a person", () => {
    const foldersFor = (role: string, wanted: string) =>
      statementsOf(program, role)
        .filter(({ Action }) => Action.includes(wanted))
        .flatMap(({ Resource }) => Resource.map((resource) => resource.split(":music-streams-lake-bucket/")[1]!));
    const { batches, curated, failed, incoming, quarantinedRows, staged } = folders;
    const deletes = {
      "music-streams-archive-role": [incoming, failed, curated, quarantinedRows, staged],
      "music-streams-sense-role": [incoming, failed, curated, quarantinedRows, staged, batches],
    };
    for (const [role, expected] of Object.entries(deletes))
      assert.deepEqual(foldersFor(role, "s3:DeleteObject").sort(), expected.map((one) => `${one}*`).sort(), role);
    assert.deepEqual(foldersFor("music-streams-transform-role", "s3:GetObjectTagging"), [
      `${folders.incoming}*`,
      `${folders.archived}*`,
      `${folders.reference}*`,
    ]);
  });

  it("reads reference data where the stack says, and then nothing else there, nor reference/ here", async () => {
    const location = "s3://our-data/music/";
    const elsewhere = await recordProgram("dev", EVERY_CHOICE);
    assert.equal(elsewhere.outputs.referenceLocation, location);
    const { defaultArguments } = elsewhere.inputsOf("glue/job:Job", "music-streams-transform");
    assert.equal((defaultArguments as Record<string, string>)["--reference-location"], location);
    const below = [layout.users, layout.songs].map((folder) => `music/${folder}*`);
    const ours = (role: string) =>
      statementsOf(elsewhere, role).filter(({ Resource }) =>
        Resource.some((arn) => arn.includes("our-data") || arn.includes(`/${folders.reference}`)),
      );
    assert.deepEqual(ours("music-streams-transform-role"), [
      {
        Effect: "Allow",
        Action: ["s3:GetObject", "s3:GetObjectTagging"],
        Resource: below.map((key) => `arn:aws:s3:::our-data/${key}`),
      },
      {
        Effect: "Allow",
        Action: ["s3:ListBucket"],
        Resource: ["arn:aws:s3:::our-data"],
        Condition: { StringLike: { "s3:prefix": below } },
      },
    ]);
    for (const role of elsewhere.namesOf("iam/role:Role"))
      if (role !== "music-streams-transform-role") assert.deepEqual(ours(role), [], role);
  });

  it("lets each role that reads objects list the whole bucket, so that a missing object is a 404", () => {
    for (const role of program.namesOf("iam/role:Role")) {
      const statements = statementsOf(program, role);
      if (!statements.some(({ Action }) => Action.includes("s3:GetObject"))) continue;
      const listing = statements.filter(({ Action }) => Action.includes("s3:ListBucket"));
      assert.equal(listing.length, 1, role);
      assert.equal(listing[0]!.Condition, undefined, role);
    }
  });

  it("lets only sense start and stop the workflow", () => {
    const starters = program
      .namesOf("iam/role:Role")
      .filter((role) => statementsOf(program, role).some(({ Action }) => Action.includes("glue:StartWorkflowRun")));
    assert.deepEqual(starters, ["music-streams-sense-role"]);
  });

  it("keeps the bucket private, encrypted, versioned and closed to plain HTTP", () => {
    const privacy = program.inputsOf(
      "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
      "music-streams-lake-privacy",
    );
    const { bucket, ...blocks } = privacy;
    assert.equal(bucket, "music-streams-lake-bucket");
    assert.deepEqual(blocks, {
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    });
    const versioning = program.inputsOf("s3/bucketVersioning:BucketVersioning", "music-streams-lake-versioning");
    assert.deepEqual(versioning.versioningConfiguration, { status: "Enabled" });
    const policy = JSON.parse(
      String(program.inputsOf("s3/bucketPolicy:BucketPolicy", "music-streams-lake-policy").policy),
    );
    assert.equal(policy.Statement[0].Effect, "Deny");
    assert.deepEqual(policy.Statement[0].Condition, { Bool: { "aws:SecureTransport": "false" } });
  });

  it("lets no other account write what the jobs run", () => {
    const { policy } = program.inputsOf("s3/bucketPolicy:BucketPolicy", "music-streams-lake-policy");
    const scripts = JSON.parse(String(policy)).Statement[1];
    assert.deepEqual([scripts.Effect, scripts.Principal], ["Deny", "*"]);
    assert.deepEqual(scripts.Condition, { StringNotEquals: { "aws:PrincipalAccount": "111122223333" } });
    assert.match(scripts.Resource, new RegExp(`:music-streams-lake-bucket/${folders.scripts}\\*$`));
    for (const action of ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"]) {
      assert.ok(scripts.Action.includes(action), action);
    }
  });

  it("lets services assume its roles for this account alone", () => {
    for (const name of program.namesOf("iam/role:Role")) {
      const trust = JSON.parse(String(program.inputsOf("iam/role:Role", name).assumeRolePolicy));
      assert.equal(trust.Statement.length, 1, name);
      const bound = { StringEqualsIfExists: { "aws:SourceAccount": "111122223333" } };
      assert.deepEqual(trust.Statement[0].Condition, bound, name);
    }
  });

  it("has an index of days and genres on the metrics table alone, and keeps the keys of both tables", () => {
    const [ledger, metrics] = ["ledger", "metrics"].map((name) =>
      program.inputsOf("dynamodb/table:Table", `music-streams-${name}-table`),
    );
    const keys = (table: typeof ledger) => [table!.hashKey, table!.rangeKey];
    assert.deepEqual(
      [keys(ledger), keys(metrics)],
      [
        ["pk", "sk"],
        ["pk", "sk"],
      ],
    );
    assert.equal(ledger!.globalSecondaryIndexes, undefined);
    assert.deepEqual(metrics!.globalSecondaryIndexes, [
      {
        name: "listed",
        keySchemas: [
          { attributeName: "listed_in", keyType: "HASH" },
          { attributeName: "pk", keyType: "RANGE" },
        ],
        projectionType: "ALL",
      },
    ]);
  });

  it("encrypts bucket and tables by the services' keys, or by the stack's own, which its roles may then use", async () => {
    const key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const own = await recordProgram("dev", EVERY_CHOICE);
    const rules = (from: Recorded) =>
      from.inputsOf(
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "music-streams-lake-encryption",
      ).rules;
    assert.deepEqual(rules(program), [{ applyServerSideEncryptionByDefault: { sseAlgorithm: "AES256" } }]);
    assert.deepEqual(rules(own), [
      {
        applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: key },
        bucketKeyEnabled: true,
      },
    ]);
    for (const name of ["music-streams-ledger-table", "music-streams-metrics-table"]) {
      assert.deepEqual(program.inputsOf("dynamodb/table:Table", name).serverSideEncryption, { enabled: false });
      const { serverSideEncryption } = own.inputsOf("dynamodb/table:Table", name);
      assert.deepEqual(serverSideEncryption, { enabled: true, kmsKeyArn: key });
    }
    const users = (from: Recorded) =>
      from.namesOf("iam/role:Role").filter((role) =>
        statementsOf(from, role).some(({ Action, Resource }) => {
          if (!Action.some((action) => action.startsWith("kms:"))) return false;
          assert.deepEqual([Action, Resource], [["kms:Decrypt", "kms:GenerateDataKey"], [key]]);
          return true;
        }),
      );
    assert.deepEqual(users(program), []);
    assert.deepEqual(users(own).sort(), [
      "music-streams-archive-role",
      "music-streams-publish-role",
      "music-streams-sense-role",
      "music-streams-transform-role",
    ]);
  });

  it("cleans up after itself, and lets settled files age as the stack says", async () => {
    const rules = (from: Recorded) =>
      from.inputsOf("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "music-streams-lake-lifecycle")
        .rules as Record<string, unknown>[];
    const [versions, temporary, ...none] = rules(program);
    assert.deepEqual(versions, {
      id: "old-versions",
      status: "Enabled",
      filter: { prefix: "" },
      abortIncompleteMultipartUpload: { daysAfterInitiation: 7 },
      noncurrentVersionExpiration: { noncurrentDays: 30 },
      expiration: { expiredObjectDeleteMarker: true },
    });
    assert.deepEqual(temporary, {
      id: "temporary",
      status: "Enabled",
      filter: { prefix: folders.staged },
      expiration: { days: 7 },
    });
    assert.deepEqual(none, []);
    const ageing = await recordProgram("dev", EVERY_CHOICE);
    const status = "Enabled";
    assert.deepEqual(rules(ageing).slice(2), [
      {
        id: "archive",
        status,
        filter: { prefix: folders.archived },
        transitions: [{ days: 30, storageClass: "GLACIER_IR" }],
        expiration: { days: 400 },
      },
      { id: "quarantined-files", status, filter: { prefix: folders.quarantinedFiles }, expiration: { days: 90 } },
      {
        id: "quarantined-rows",
        status,
        filter: { prefix: `${folders.quarantinedRows}batch_id=` },
        expiration: { days: 90 },
      },
    ]);
  });

  it("names the bucket as the stack says, or leaves the name to Pulumi", async () => {
    assert.equal(program.inputsOf("s3/bucket:Bucket", "music-streams-lake-bucket").bucket, undefined);
    const named = await recordProgram("dev", OUR_MUSIC, CHINA);
    assert.equal(named.outputs.bucketName, "our-music");
  });

  it("tags all that can be tagged, with the stack's own tags too", async () => {
    const tagged = await recordProgram("dev", EVERY_CHOICE);
    const tags = { team: "music", project: "music-streams", stack: "dev" };
    // Parts of other resources, and types without tags.
    const without =
      /:(Bucket(Lifecycle|Notification|Ownership|Policy|Public|Server|Versioning|Objectv2)\w*|RolePolicy|Permission|EventTarget|Schedule|FunctionEventInvokeConfig|TopicPolicy|TopicSubscription|QueuePolicy|Dashboard|CatalogTable)$/;
    for (const { type, name, inputs } of tagged.resources) {
      if (!without.test(type)) assert.deepEqual(inputs.tags, tags, `${type} ${name}`);
    }
  });

  it("deletes data with the stack only where the stack is not protected", async () => {
    const prod = await recordProgram("prod");
    assert.equal(program.inputsOf("s3/bucket:Bucket", "music-streams-lake-bucket").forceDestroy, true);
    assert.equal(prod.inputsOf("s3/bucket:Bucket", "music-streams-lake-bucket").forceDestroy, false);
    for (const name of ["music-streams-ledger-table", "music-streams-metrics-table"]) {
      const table = prod.inputsOf("dynamodb/table:Table", name);
      assert.equal(table.deletionProtectionEnabled, true);
      assert.deepEqual(table.pointInTimeRecovery, { enabled: true });
      assert.equal(table.billingMode, "PAY_PER_REQUEST");
      assert.deepEqual([table.hashKey, table.rangeKey], ["pk", "sk"]);
    }
  });

  it("keeps logs as long as the stack says", () => {
    const groups = program.namesOf("cloudwatch/logGroup:LogGroup");
    assert.equal(groups.length, 4);
    for (const name of groups) {
      assert.equal(program.inputsOf("cloudwatch/logGroup:LogGroup", name).retentionInDays, 14, name);
    }
  });

  it("tells the stack's user what it made", () => {
    const { readme, consoleLinks, ...outputs } = program.outputs;
    assert.deepEqual(outputs, {
      bucketName: "music-streams-lake-bucket",
      ledgerTableName: "music-streams-ledger-table",
      metricsTableName: "music-streams-metrics-table",
      catalogDatabaseName: "music_streams_dev",
      workflowName: "music-streams",
      transformJobName: "music-streams-transform",
      publishJobName: "music-streams-publish",
      senseFunctionName: "music-streams-sense",
      archiveFunctionName: "music-streams-archive",
      referenceLocation: `s3://music-streams-lake-bucket/${folders.reference}`,
      deadLettersUrl: "https://music-streams-dead-letters",
      alarmTopicArn: "arn:aws:sns:eu-central-1:111122223333:music-streams-alarms-topic",
    });
    const console = "https://eu-central-1.console.aws.amazon.com";
    const region = "region=eu-central-1";
    assert.deepEqual(consoleLinks, {
      dashboard: `${console}/cloudwatch/home?${region}#dashboards/dashboard/music-streams-dev`,
      workflow: `${console}/glue/home?${region}#/v2/etl-configuration/workflows/view/music-streams`,
      ledger: `${console}/dynamodbv2/home?${region}#item-explorer?table=music-streams-ledger-table`,
      listens: `${console}/glue/home?${region}#/v2/data-catalog/tables/view/listens?database=music_streams_dev`,
      metrics: `${console}/dynamodbv2/home?${region}#item-explorer?table=music-streams-metrics-table`,
      bucket: `${console}/s3/buckets/music-streams-lake-bucket`,
    });
    // Pulumi Cloud shows it, with the outputs filled in.
    const named = [...String(readme).matchAll(/\$\{outputs\.([\w.]+)\}/g)].map(([, output]) => output!);
    assert.ok(named.length >= 5);
    for (const output of named) {
      const value = output
        .split(".")
        .reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], program.outputs);
      assert.equal(typeof value, "string", output);
    }
  });

  it("names no account, region or partition of its own accord", async () => {
    const there = await recordProgram("dev", OUR_MUSIC, CHINA);
    assert.equal(there.resources.length, program.resources.length);
    const text = JSON.stringify([there.resources.map(({ inputs }) => inputs), there.outputs], (_, value) =>
      // The content of a function's package does not belong to the stack.
      value?.__pulumiAsset || value?.__pulumiArchive ? undefined : value,
    );
    assert.match(text, /arn:aws-cn:[a-z]+:cn-north-1:444455556666:/);
    for (const [what, strange] of Object.entries({
      account: /(?<![\da-f])(?!444455556666)\d{12}(?![\da-f])/,
      region:
        /\b(?!cn-north-1)(us|eu|ap|sa|ca|me|af|il|mx|cn)(-gov|-iso\w?)?-(north|south|east|west|central)[a-z]*-\d\b/,
      partition: /arn:(?!aws-cn:)/,
    }))
      assert.equal(strange.exec(text)?.[0], undefined, what);
  });

  it("says what is wrong with a stack's settings before it creates anything", async () => {
    await assert.rejects(recordProgram("dev", { "music-streams:maxAttempts": "many" }), /maxAttempts is "many"/);
  });
});
