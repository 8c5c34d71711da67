// One file: half of it is the table of fixtures, one entry a rule.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import type { PolicyResource, ResourceValidationPolicy, StackValidationPolicy } from "@pulumi/policy";
import type { Properties } from "../../local/provider/kind";
import { controls } from "../../policy/controls";
import { rules } from "../../policy/rules";
import { folders } from "../support/folders";
import { FULL } from "../support/full";
import { EVERY_CHOICE, type Recorded, ROOT, recordProgram } from "../support/program-record";

interface Resource {
  type: string;
  name: string;
  props: Properties;
}

/** The problems that a rule reports for a stack of these resources. */
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

const BUCKET = "arn:aws:s3:::b";
const TOPIC = "arn:aws:sns:eu-central-1:111122223333:t";
const QUEUE = "arn:aws:sqs:eu-central-1:111122223333:q";
const tlsOnly = (action: string, Resource: string | string[]) => ({
  Effect: "Deny",
  Principal: "*",
  Action: action,
  Resource,
  Condition: { Bool: { "aws:SecureTransport": "false" } },
});
const bucketTls = tlsOnly("s3:*", [BUCKET, `${BUCKET}/*`]);
const scripts = {
  Effect: "Deny",
  Principal: "*",
  Action: ["s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObject", "s3:DeleteObjectVersion"],
  Resource: `${BUCKET}/${folders.scripts}*`,
  Condition: { StringNotEquals: { "aws:PrincipalAccount": "111122223333" } },
};
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

/** For each rule for one resource: its type, properties that pass, and properties that must not pass. */
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
    [{ policy: policy(bucketTls) }, { policy: policy(tlsOnly("s3:*", BUCKET), tlsOnly("s3:*", `${BUCKET}/*`)) }],
    [
      { policy: policy(tlsOnly("s3:GetObject", bucketTls.Resource)) },
      // The bucket without its objects, the objects without the bucket, another bucket.
      { policy: policy(tlsOnly("s3:*", BUCKET)) },
      { policy: policy(tlsOnly("s3:*", `${BUCKET}/*`)) },
      { policy: policy(tlsOnly("s3:*", [`${BUCKET}2`, `${BUCKET}2/*`])) },
      { policy: policy({ ...bucketTls, Principal: { AWS: "1" } }) },
      { policy: policy({ ...bucketTls, Condition: { ...bucketTls.Condition, ...bound.Condition } }) },
      ...[
        { Principal: "*" },
        { Principal: { AWS: "*" } },
        { Principal: { AWS: ["1", "*"] } },
        { NotPrincipal: "1" },
      ].map((who) => ({
        policy: policy(bucketTls, { Effect: "Allow", ...who, Action: "s3:GetObject", Resource: "r" }),
      })),
    ],
  ],
  "bucket-scripts-own": [
    "s3/bucketPolicy:BucketPolicy",
    [{ policy: policy(scripts) }],
    [
      { policy: policy(bucketTls) },
      { policy: policy({ ...scripts, Action: ["s3:PutObject"] }) },
      { policy: policy({ ...scripts, Resource: `${BUCKET}/${folders.scripts}a` }) },
      { policy: policy({ ...scripts, Principal: { AWS: "1" } }) },
      { policy: policy({ ...scripts, Condition: { StringNotEquals: { "aws:PrincipalAccount": "*" } } }) },
      { policy: policy({ ...scripts, Condition: { ...scripts.Condition, ...bound.Condition } }) },
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
      { policy: policy({ Effect: "Allow", Action: ["s3:GetObject"], NotResource: `${BUCKET}/${folders.scripts}*` }) },
      { policy: grant(["cloudwatch:PutMetricData", "s3:GetObject"], "*", bound) },
    ],
  ],
  "role-leaves-scripts": [
    "iam/rolePolicy:RolePolicy",
    [
      { policy: grant(["s3:GetObject"], `${BUCKET}/${folders.scripts}*`) },
      { policy: grant(["s3:PutObject"], `${BUCKET}/incoming/*`) },
      { policy: grant(["s3:ListBucket", "s3:PutBucketTagging"], BUCKET) },
    ],
    [
      `${folders.scripts}*`,
      `${folders.scripts}a/transform.py`,
      `${folders.scripts.slice(0, 2)}*`,
      "*",
      `?${folders.scripts.slice(1)}*`,
    ].flatMap((key) =>
      ["s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging"].map((action) => ({
        policy: grant([action], `${BUCKET}/${key}`),
      })),
    ),
  ],
  "role-passes-to-one-service": [
    "iam/rolePolicy:RolePolicy",
    [
      {
        policy: grant(["iam:PassRole"], "arn:aws:iam::111122223333:role/r", {
          Condition: { StringEquals: { "iam:PassedToService": "glue.amazonaws.com" } },
        }),
      },
    ],
    [
      { policy: grant(["iam:PassRole"], "arn:aws:iam::111122223333:role/r") },
      { policy: grant(["iam:PassRole"], "arn:aws:iam::111122223333:role/r", bound) },
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
    [{ principal: "events.amazonaws.com" }, { principal: "*", sourceAccount: "1" }],
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
    [{ policy: policy(tlsOnly("sqs:*", QUEUE), { Effect: "Allow", Action: "sqs:SendMessage", ...bound }) }],
    [
      { policy: policy({ Effect: "Allow", Action: "sqs:SendMessage", ...bound }) },
      { policy: policy(tlsOnly("sqs:*", `${QUEUE}2`)) },
      { policy: policy(tlsOnly("sqs:*", QUEUE), { Effect: "Allow", Action: "sqs:SendMessage" }) },
    ],
  ],
  "topic-tls-only": [
    "sns/topicPolicy:TopicPolicy",
    [{ policy: policy(tlsOnly("sns:Publish", TOPIC), { Effect: "Allow", Action: "sns:Publish", ...bound }) }],
    [
      { policy: policy({ Effect: "Allow", Action: "sns:Publish", ...bound }) },
      { policy: policy(tlsOnly("sns:Publish", `${TOPIC}2`)) },
      { policy: policy(tlsOnly("sns:Publish", TOPIC), { Effect: "Allow", Action: "sns:Publish" }) },
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

const arnOf = (type: string, name: string) =>
  `arn:aws:${type.split(":")[1]?.split("/")[0]}:eu-central-1:111122223333:${name}`;

describe("the policy pack", () => {
  const programs: [string, Recorded][] = [];
  before(async () => {
    for (const stack of ["dev", "prod", "local"]) programs.push([stack, await recordProgram(stack)]);
    programs.push(["dev with every choice", await recordProgram("dev", EVERY_CHOICE)]);
  });

  /** The resources with the properties that a cloud would add. */
  function resourcesOf(program: Recorded): Resource[] {
    return program.resources.map(({ type, name, inputs }) => ({
      type,
      name,
      props: { name, bucket: name, url: `https://${name}`, arn: arnOf(type, name), ...inputs },
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
      const named = { bucket: "b", arn: TOPIC, queueUrl: "https://sqs.eu-central-1.amazonaws.com/111122223333/q" };
      const resource = (props: Properties) => [{ type: `aws:${type}`, name: "x", props: { ...named, ...props } }];
      for (const props of passes) assert.deepEqual(await violations(rule, resource(props)), [], JSON.stringify(props));
      assert.ok(fails.length > 0);
      for (const props of fails)
        assert.notDeepEqual(await violations(rule, resource(props)), [], JSON.stringify(props));
      // A rule for a type that the program does not use would always pass.
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

  /** The problems that a stack rule reports when one resource has other properties or is gone. */
  async function change(rule: string, name: string, props: Properties | undefined, program = programs[0]![1]) {
    const all = resourcesOf(program);
    const other = all.flatMap((one) =>
      one.name !== name ? [one] : props === undefined ? [] : [{ ...one, props: { ...one.props, ...props } }],
    );
    assert.notDeepEqual(other, all, `there is no ${name}`);
    return violations(stackRule(rule), other);
  }

  it("topic-guarded: misses the policy of a topic, and of a queue", async () => {
    for (const what of ["music-streams-alarms-topic", "music-streams-dead-letters"])
      assert.deepEqual(await change("topic-guarded", `${what}-policy`, undefined), [`${what} has no policy`]);
  });

  it("role-own: finds a function, a job and a schedule that act by the role of another", async () => {
    const { role } = programs[0]![1].inputsOf("lambda/function:Function", "music-streams-sense");
    assert.ok(role);
    for (const [name, props] of [
      ["music-streams-archive", { role }],
      ["music-streams-transform", { roleArn: role }],
      ["music-streams-sense-schedule", { target: { roleArn: role } }],
    ] as const) {
      const found = await change("role-own", name, props);
      assert.equal(found.length, 1, name);
      assert.match(found[0]!, /shares the role of/);
    }
  });

  it("data-protected: finds what of a protected stack's data would go with the stack", async () => {
    const prod = programs.find(([stack]) => stack === "prod")![1];
    for (const [name, props] of [
      ["music-streams-lake-bucket", { forceDestroy: true }],
      ["music-streams-ledger-table", { deletionProtectionEnabled: false }],
      ["music-streams-metrics-table", { deletionProtectionEnabled: undefined }],
    ] as const)
      assert.deepEqual(await change("data-protected", name, props, prod), [`${name} must be protected from deletion`]);
    const half = await change("data-protected", "music-streams-ledger-table", { deletionProtectionEnabled: true });
    assert.equal(half.length, 2, "the others, on a stack that is not protected");
    const bare = resourcesOf(prod).map((one) => ({
      ...one,
      props: { ...one.props, deletionProtectionEnabled: false, forceDestroy: true },
    }));
    assert.equal((await violations(stackRule("data-protected"), bare)).length, 3, "prod must be protected");
  });

  it("key-usable: finds a role that may not use the bucket's key", async () => {
    const [, program] = programs.at(-1)!;
    for (const role of ["sense", "archive", "transform", "publish"]) {
      const name = `music-streams-${role}-role-policy`;
      const { policy: document } = program.inputsOf("iam/rolePolicy:RolePolicy", name);
      for (const use of ["kms:Decrypt", "kms:GenerateDataKey"]) {
        const without = JSON.stringify(JSON.parse(String(document)), (_, value) =>
          Array.isArray(value) ? value.filter((one) => one !== use) : value,
        );
        const found = await change("key-usable", name, { policy: without }, program);
        assert.equal(found.length, 1, `${role} ${use}`);
        assert.ok(found[0]!.includes(`without ${use} on arn:aws:kms:`));
      }
    }
  });

  it("has a rule that names it for each control of the standard, or a reason why there is none", () => {
    const said = new Map(rules.map(({ name, description }) => [name, description]));
    for (const [control, held] of Object.entries(controls)) {
      if ("because" in held) continue;
      assert.ok(held.length > 0);
      for (const name of held) assert.ok(said.get(name)?.match(`\\b${control}\\b`), `${name} names ${control}`);
    }
    const named = rules.flatMap(({ description }) => description.match(/\b[A-Z]\w+\.\d+\b/g) ?? []);
    for (const control of named) assert.ok(control in controls, control);
  });

  it("function-watched: misses an alarm about a function's errors, and where its failed calls go", async () => {
    const all = resourcesOf(programs[0]![1]);
    for (const [part, problem] of [
      ["music-streams-alarms-archive-errors", "no alarm watches the errors of the function music-streams-archive"],
      ["music-streams-sense-retries", "the function music-streams-sense has no setting for failed calls"],
    ]) {
      const fewer = all.filter(({ name }) => name !== part);
      assert.deepEqual(await violations(stackRule("function-watched"), fewer), [problem]);
    }
  });

  it("starts as Pulumi starts it, and answers on a port", async () => {
    const runner = path.join(ROOT, "node_modules", "@pulumi", "pulumi", "cmd", "run-policy-pack");
    const node = path.join(ROOT, "node_modules", ".bin", "node");
    // Pulumi's own runner also checks the types, which takes 20 s; otherwise `npm run check` has done so.
    const start = FULL ? [runner] : ["--require", "ts-node/register/transpile-only", "index.ts"];
    const { TS_NODE_PROJECT: _, ...env } = process.env;
    const server = spawn(node, [...start, "127.0.0.1:1", "."], { cwd: path.join(ROOT, "policy"), env });
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
