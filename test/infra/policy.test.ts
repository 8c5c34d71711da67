import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import type { PolicyResource, ResourceValidationPolicy, StackValidationPolicy } from "@pulumi/policy";
import type { Properties } from "../../local/provider/kind";
import { rules } from "../../policy/rules";
import { type Recorded, ROOT, recordProgram } from "../support/program-record";

interface Resource {
  type: string;
  name: string;
  props: Properties;
}

/** What a rule finds wrong with a stack of these resources. */
async function violations(rule: (typeof rules)[number], resources: Resource[]): Promise<string[]> {
  const found: string[] = [];
  const report = (problem: string) => found.push(problem);
  const { validateStack } = rule as StackValidationPolicy;
  if (validateStack) {
    const all = resources.map((one) => ({ ...one, urn: `urn:${one.name}` }) as unknown as PolicyResource);
    await validateStack({ resources: all } as Parameters<typeof validateStack>[0], report);
    return found;
  }
  const { validateResource } = rule as ResourceValidationPolicy;
  assert.equal(typeof validateResource, "function", rule.name);
  for (const resource of resources)
    await (validateResource as (args: never, report: unknown) => void)(resource as never, report);
  return found;
}

const tlsOnly = (action: string) => ({
  Effect: "Deny",
  Principal: "*",
  Action: action,
  Resource: "r",
  Condition: { Bool: { "aws:SecureTransport": "false" } },
});
const policy = (...statements: object[]) => JSON.stringify({ Version: "2012-10-17", Statement: statements });
const trust = (more: object) =>
  policy({ Effect: "Allow", Principal: { Service: "glue.amazonaws.com" }, Action: "sts:AssumeRole", ...more });
const grant = (Action: string[], Resource: string, more: object = {}) =>
  policy({ Effect: "Allow", Action, Resource, ...more });
const bound = { Condition: { StringEquals: { "aws:SourceAccount": "111122223333" } } };
const block = { blockPublicAcls: true, blockPublicPolicy: true, ignorePublicAcls: true, restrictPublicBuckets: true };
const encryptedBy = (sseAlgorithm: string, more: object = {}) => ({
  rules: [{ applyServerSideEncryptionByDefault: { sseAlgorithm }, ...more }],
});
const oldVersions = { status: "Enabled", noncurrentVersionExpiration: { noncurrentDays: 1 } };
const brokenOff = { status: "Enabled", abortIncompleteMultipartUpload: { daysAfterInitiation: 1 } };
const job = { timeout: 60, maxRetries: 0, executionProperty: { maxConcurrentRuns: 1 } };
const kept = {
  maximumRetryAttempts: 0,
  maximumEventAgeInSeconds: 60,
  destinationConfig: { onFailure: { destination: "q" } },
};
const target = { deadLetterConfig: { arn: "q" }, retryPolicy: { maximumEventAgeInSeconds: 60 } };
const alarm = { alarmActions: ["t"], alarmDescription: "Oh. docs/operations.md#oh" };

/** For each rule about one resource: its type, properties that pass, and changes of them each of which must not. */
const FIXTURES: Record<string, [type: string, passes: Properties[], fails: Properties[]]> = {
  "bucket-private": [
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    [block],
    Object.keys(block).map((way) => ({ ...block, [way]: false })),
  ],
  "bucket-encrypted": [
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    [encryptedBy("AES256"), encryptedBy("aws:kms", { bucketKeyEnabled: true })],
    [{ rules: [] }, encryptedBy("none"), encryptedBy("aws:kms")],
  ],
  "bucket-versioned": [
    "s3/bucketVersioning:BucketVersioning",
    [{ versioningConfiguration: { status: "Enabled" } }],
    [{ versioningConfiguration: { status: "Suspended" } }],
  ],
  "bucket-tidy": [
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    [{ rules: [oldVersions, brokenOff] }],
    [{ rules: [oldVersions] }, { rules: [brokenOff] }, { rules: [oldVersions, { ...brokenOff, status: "Disabled" }] }],
  ],
  "bucket-tls-only": [
    "s3/bucketPolicy:BucketPolicy",
    [{ policy: policy(tlsOnly("s3:*")) }],
    [
      { policy: policy(tlsOnly("s3:GetObject")) },
      { policy: policy({ ...tlsOnly("s3:*"), Principal: { AWS: "1" } }) },
      ...[
        { Principal: "*" },
        { Principal: { AWS: "*" } },
        { Principal: { AWS: ["1", "*"] } },
        { NotPrincipal: "1" },
      ].map((who) => ({
        policy: policy(tlsOnly("s3:*"), { Effect: "Allow", ...who, Action: "s3:GetObject", Resource: "r" }),
      })),
    ],
  ],
  "table-restorable": [
    "dynamodb/table:Table",
    [{ pointInTimeRecovery: { enabled: true } }],
    [{}, { pointInTimeRecovery: { enabled: false } }],
  ],
  "table-paid-by-request": [
    "dynamodb/table:Table",
    [{ billingMode: "PAY_PER_REQUEST" }],
    [{}, { billingMode: "PROVISIONED" }],
  ],
  "role-of-one-service": [
    "iam/role:Role",
    [{ assumeRolePolicy: trust(bound) }],
    [
      { assumeRolePolicy: trust({}) },
      { assumeRolePolicy: trust({ ...bound, Principal: { AWS: "*" } }) },
      { assumeRolePolicy: trust({ ...bound, Principal: { Service: ["a.amazonaws.com", "b.amazonaws.com"] } }) },
    ],
  ],
  "role-least-privilege": [
    "iam/rolePolicy:RolePolicy",
    [
      { policy: grant(["s3:GetObject"], "arn:aws:s3:::b/incoming/*") },
      { policy: grant(["cloudwatch:PutMetricData"], "*", bound) },
    ],
    [
      { policy: grant(["s3:*"], "arn:aws:s3:::b/incoming/*") },
      { policy: grant(["s3:GetObject"], "*") },
      { policy: grant(["s3:GetObject"], "arn:aws:s3:::*") },
      { policy: grant(["cloudwatch:PutMetricData"], "*") },
      { policy: policy({ Effect: "Allow", NotAction: ["iam:PassRole"], Resource: "arn:aws:s3:::b/incoming/*" }) },
      { policy: policy({ Effect: "Allow", Action: ["s3:GetObject"], NotResource: "arn:aws:s3:::b/scripts/*" }) },
      { policy: grant(["cloudwatch:PutMetricData", "s3:GetObject"], "*", bound) },
    ],
  ],
  "role-no-managed-policy": [
    "iam/rolePolicyAttachment:RolePolicyAttachment",
    [],
    [{ policyArn: "AWSGlueServiceRole" }],
  ],
  "function-runtime": ["lambda/function:Function", [{ runtime: "nodejs24.x" }], [{}, { runtime: "nodejs18.x" }]],
  "function-logs": [
    "lambda/function:Function",
    [{ loggingConfig: { logFormat: "JSON", logGroup: "g" } }],
    [{}, { loggingConfig: { logFormat: "Text", logGroup: "g" } }, { loggingConfig: { logFormat: "JSON" } }],
  ],
  "function-called-by-known": [
    "lambda/permission:Permission",
    [{ sourceArn: "r" }, { sourceAccount: "1" }],
    [{ principal: "events.amazonaws.com" }],
  ],
  "function-failures-kept": [
    "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
    [kept],
    [
      { ...kept, destinationConfig: undefined },
      { ...kept, maximumRetryAttempts: undefined },
      { ...kept, maximumEventAgeInSeconds: 21_600 },
    ],
  ],
  "job-bounded": [
    "glue/job:Job",
    [job],
    [
      { ...job, timeout: undefined },
      { ...job, maxRetries: 1 },
      { ...job, executionProperty: { maxConcurrentRuns: 2 } },
    ],
  ],
  "job-version": [
    "glue/job:Job",
    [
      { command: { name: "glueetl" }, glueVersion: "6.0" },
      { command: { name: "pythonshell", pythonVersion: "3.9" }, glueVersion: "3.0" },
    ],
    [
      { command: { name: "glueetl" }, glueVersion: "4.0" },
      { command: { name: "glueetl" } },
      { command: { name: "pythonshell", pythonVersion: "3.6" } },
    ],
  ],
  "trigger-not-fired": [
    "glue/trigger:Trigger",
    [
      { type: "ON_DEMAND", enabled: false },
      { type: "CONDITIONAL", enabled: true },
    ],
    [{ type: "ON_DEMAND" }, { type: "ON_DEMAND", enabled: true }],
  ],
  "workflow-one-run": ["glue/workflow:Workflow", [{ maxConcurrentRuns: 1 }], [{}, { maxConcurrentRuns: 2 }]],
  "logs-expire": ["cloudwatch/logGroup:LogGroup", [{ retentionInDays: 14 }], [{}, { retentionInDays: 0 }]],
  "schedule-bounded": [
    "scheduler/schedule:Schedule",
    [{ target }],
    [{ target: { ...target, deadLetterConfig: undefined } }, { target: { ...target, retryPolicy: undefined } }],
  ],
  "event-kept": ["cloudwatch/eventTarget:EventTarget", [{ deadLetterConfig: { arn: "q" } }], [{}]],
  "queue-encrypted": [
    "sqs/queue:Queue",
    [{ sqsManagedSseEnabled: true }, { kmsMasterKeyId: "k" }],
    [{}, { sqsManagedSseEnabled: false }],
  ],
  "queue-tls-only": [
    "sqs/queuePolicy:QueuePolicy",
    [{ policy: policy(tlsOnly("sqs:*"), { Effect: "Allow", Action: "sqs:SendMessage", ...bound }) }],
    [
      { policy: policy({ Effect: "Allow", Action: "sqs:SendMessage", ...bound }) },
      { policy: policy(tlsOnly("sqs:*"), { Effect: "Allow", Action: "sqs:SendMessage" }) },
    ],
  ],
  "alarm-told": [
    "cloudwatch/metricAlarm:MetricAlarm",
    [alarm],
    [
      { ...alarm, alarmActions: [] },
      { ...alarm, alarmDescription: "Oh." },
    ],
  ],
  tagged: [
    "s3/bucket:Bucket",
    [{ tags: { project: "p", stack: "s" } }],
    [{}, { tags: { project: "p" } }, { tags: { stack: "s" } }],
  ],
};

describe("the policy pack", function () {
  this.timeout(240_000);
  const programs: [string, Recorded][] = [];
  before(async () => {
    for (const stack of ["dev", "prod", "local"]) programs.push([stack, await recordProgram(stack)]);
    const kmsKeyArn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const changes = {
      "music-streams:kmsKeyArn": kmsKeyArn,
      "music-streams:publishEngine": "spark",
      "music-streams:startOnArrival": "true",
      "music-streams:referenceLocation": "s3://our-data/music/",
    };
    programs.push(["dev with all that a stack may choose", await recordProgram("dev", changes)]);
  });

  /** The resources with the properties that a cloud would add. */
  function resourcesOf(program: Recorded): Resource[] {
    return program.resources.map(({ type, name, inputs }) => ({
      type,
      name,
      props: { name, bucket: name, ...inputs },
    }));
  }

  it("finds nothing wrong with the program, on any stack", async () => {
    for (const [stack, program] of programs) {
      for (const rule of rules) {
        assert.deepEqual(await violations(rule, resourcesOf(program)), [], `${rule.name} on ${stack}`);
      }
    }
  });

  const about = rules.filter((rule) => !("validateStack" in rule));
  it("has fixtures for every rule about one resource", () => {
    assert.deepEqual(Object.keys(FIXTURES).sort(), about.map(({ name }) => name).sort());
    assert.equal(new Set(rules.map(({ name }) => name)).size, rules.length);
    for (const { name, enforcementLevel } of rules) assert.equal(enforcementLevel, "mandatory", name);
  });

  for (const rule of about) {
    const [type, passes, fails] = FIXTURES[rule.name]!;
    it(`${rule.name}: ${rule.description}`, async () => {
      const resource = (props: Properties) => [{ type: `aws:${type}`, name: "x", props }];
      for (const props of passes) assert.deepEqual(await violations(rule, resource(props)), [], JSON.stringify(props));
      assert.ok(fails.length > 0);
      for (const props of fails)
        assert.notDeepEqual(await violations(rule, resource(props)), [], JSON.stringify(props));
      // A rule that looks at nothing of the program would hold whatever the program did.
      const isUsed = resourcesOf(programs[0]![1]).some((one) => one.type === `aws:${type}`);
      assert.equal(isUsed, rule.name !== "role-no-managed-policy");
    });
  }

  const stackRule = (name: string) => rules.find((rule) => rule.name === name)!;
  it("bucket-guarded: misses each guard that a bucket lacks", async () => {
    const all = resourcesOf(programs[0]![1]);
    for (const guard of ["PublicAccessBlock", "Encryption", "Versioning", "Lifecycle", "Policy"]) {
      const fewer = all.filter(({ type }) => !(type.startsWith("aws:s3/bucket") && type.includes(guard)));
      assert.equal(fewer.length, all.length - 1, guard);
      const found = await violations(stackRule("bucket-guarded"), fewer);
      assert.equal(found.length, 1);
      assert.match(found[0]!, new RegExp(`^the bucket music-streams-lake-bucket has no Bucket.*${guard}`));
    }
  });

  it("function-watched: misses an alarm about a function's errors, and where its failed calls go", async () => {
    const all = resourcesOf(programs[0]![1]);
    for (const [part, problem] of [
      ["music-streams-alarms-archive-errors", "no alarm watches the errors of the function music-streams-archive"],
      ["music-streams-sense-retries", "nothing says what becomes of failed calls of the function music-streams-sense"],
    ]) {
      const fewer = all.filter(({ name }) => name !== part);
      assert.deepEqual(await violations(stackRule("function-watched"), fewer), [problem]);
    }
  });

  it("starts as Pulumi starts it, and answers on a port", async () => {
    const runner = path.join(ROOT, "node_modules", "@pulumi", "pulumi", "cmd", "run-policy-pack");
    const node = path.join(ROOT, "node_modules", ".bin", "node");
    const { TS_NODE_PROJECT: _, ...env } = process.env;
    const server = spawn(node, [runner, "127.0.0.1:1", "."], { cwd: path.join(ROOT, "policy"), env });
    try {
      let problem = "";
      server.stderr.on("data", (text) => {
        problem += text;
      });
      const [line] = await Promise.race([
        once(createInterface(server.stdout), "line"),
        once(server, "exit").then(() => [`ended: ${problem}`]),
      ]);
      assert.match(String(line), /^\d+$/);
    } finally {
      server.kill();
    }
  });
});
