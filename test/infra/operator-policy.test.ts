import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { differences, permissionsOf } from "../support/permissions";
import { ROOT } from "../support/program-record";

const BUCKET = "arn:aws:s3:::BUCKET_NAME";
const OBJECT = `${BUCKET}/any/key`;
const INCOMING = `${BUCKET}/incoming/any.csv`;
const FORGOTTEN = `${BUCKET}/forgotten/any`;
const LEDGER = "arn:aws:dynamodb:REGION:ACCOUNT:table/LEDGER_TABLE_NAME";
const METRICS = "arn:aws:dynamodb:REGION:ACCOUNT:table/METRICS_TABLE_NAME";
const SENSE = "arn:aws:lambda:REGION:ACCOUNT:function:SENSE_FUNCTION_NAME";
const ARCHIVE = "arn:aws:lambda:REGION:ACCOUNT:function:ARCHIVE_FUNCTION_NAME";

type Needs = [action: string, resource: string][];
const READ: Needs = [["s3:GetObject", OBJECT]];
const GET: Needs = [["dynamodb:GetItem", LEDGER]];
// DynamoDB authorizes each item of a transaction as the single operation.
const WRITE: Needs = [["dynamodb:PutItem", LEDGER]];
const REMOVE: Needs = [["dynamodb:DeleteItem", LEDGER]];

/** What the commands call of the AWS SDK, and what each call needs. */
const SDK: Record<string, Needs> = {
  GetItemCommand: [["dynamodb:GetItem", METRICS]],
  GetFunctionConfigurationCommand: [
    ["lambda:GetFunctionConfiguration", SENSE],
    ["lambda:GetFunctionConfiguration", ARCHIVE],
  ],
  GetJobCommand: [["glue:GetJob", "arn:aws:glue:REGION:ACCOUNT:job/TRANSFORM_JOB_NAME"]],
  GetObjectCommand: READ,
  GetWorkflowRunCommand: [["glue:GetWorkflowRun", "arn:aws:glue:REGION:ACCOUNT:workflow/WORKFLOW_NAME"]],
  HeadObjectCommand: READ,
  CloudWatchLogsClient: [],
  GlueClient: [],
  paginateFilterLogEvents: ["PROJECT-any", "/aws-glue/jobs/PROJECT-any", "/aws-glue/python-jobs/output"].map(
    (group) => ["logs:FilterLogEvents", `arn:aws:logs:REGION:ACCOUNT:log-group:${group}:any`],
  ),
  InvokeCommand: [["lambda:InvokeFunction", SENSE]],
  ListObjectsV2Command: [["s3:ListBucket", BUCKET]],
  paginateQuery: [
    ["dynamodb:Query", LEDGER],
    ["dynamodb:Query", METRICS],
    ["dynamodb:Query", `${METRICS}/index/listed`],
  ],
  paginateScan: [["dynamodb:Scan", METRICS]],
  Upload: [
    ["s3:PutObject", INCOMING],
    ["s3:AbortMultipartUpload", INCOMING],
  ],
  DynamoDBClient: [],
  DynamoDBDocumentClient: [],
  LambdaClient: [],
  S3Client: [],
  S3ServiceException: [],
};

/** What the commands call of runtime/. Functions without a call need nothing. */
const RUNTIME: Record<string, Needs> = {
  listAll: [["s3:ListBucket", BUCKET]],
  listPages: [["s3:ListBucket", BUCKET]],
  batchesAtWork: [["dynamodb:Query", LEDGER]],
  putOnList: [["s3:PutObject", FORGOTTEN]],
  // Its search is the command's own.
  leaveOut: [["dynamodb:Query", LEDGER], ...GET, ...READ, ...WRITE],
  pause: WRITE,
  resume: REMOVE,
  readBatch: GET,
  readDocument: READ,
  readPipeline: [["dynamodb:Query", LEDGER]],
  // It also reads the held files.
  lookThrough: [
    ["s3:ListBucket", BUCKET],
    ["dynamodb:Query", LEDGER],
  ],
  planReplay: READ,
  requestReplay: [...GET, ...READ, ...WRITE],
  requestRetry: [...GET, ...READ, ...WRITE, ...REMOVE],
  abandonable: GET,
  requestAbandon: [...GET, ...WRITE],
  lostBatch: [...GET, ...READ],
  ...Object.fromEntries(
    ["RefusedError", "breach", "folderOf", "inParallel", "incoming", "isDue", "isError", "place", "plainKey"].map(
      (pure) => [pure, []],
    ),
  ),
  OLD_VERSION_DAYS: [],
  publishTotals: [],
  quarantined: [],
  referenceFaults: [],
  totals: [],
};

/** The sources of the commands that work on a stack; `npm start` works on the local cloud alone. */
function sources(): [file: string, text: string][] {
  const cli = path.join(ROOT, "cli");
  return readdirSync(cli, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !/^start(\.ts$|\/)/.test(name))
    .map((name) => [name, readFileSync(path.join(cli, name), "utf8")]);
}

/** The values, without types, that a source imports from modules whose path matches. */
function imported(text: string, from: RegExp): string[] {
  return [...text.matchAll(/^import \{([^}]*)\} from "([^"]+)";/gm)]
    .filter(([, , module]) => from.test(module!))
    .flatMap(([, names]) => names!.split(",").map((name) => name.trim()))
    .filter((name) => name !== "" && !name.startsWith("type "));
}

describe("the policy of operators in the manual", () => {
  it("allows what the commands call, and nothing else", () => {
    const manual = readFileSync(path.join(ROOT, "docs", "operations.md"), "utf8");
    const [, json = ""] = /^```json\n([\s\S]*?)^```$/m.exec(manual) ?? [];
    const calls = sources().flatMap(([file, text]) =>
      [
        ...imported(text, /^@aws-sdk\//).map((name) => [name, SDK[name]] as const),
        ...imported(text, /\/runtime\//).map((name) => [name, RUNTIME[name]] as const),
      ].flatMap(([name, needs]) => {
        assert.ok(needs, `cli/${file} imports ${name}: add it to a table of this test, with what it needs`);
        return needs.map(([action, resource]) => ({ role: "operator", action, resource }));
      }),
    );
    assert.ok(calls.length > 20);
    assert.deepEqual(differences(permissionsOf("operator", JSON.parse(json)), calls, []), []);
  });
});
