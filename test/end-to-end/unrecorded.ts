import { place } from "../../runtime/places";
import { folders } from "../support/folders";
import type { Unrecorded } from "../support/permissions";

/** The names of the folder of quarantined rows and of those above it. */
const ROWS = folders.quarantinedRows.split("/").slice(0, -1);
const SPARK_LOGS = "logs:/aws-glue/jobs/music-streams-local/music-streams-transform";

/**
 * Permissions of the jobs and the schedule that no call needs in an end-to-end run, and why they are there all the
 * same.
 */
export const UNRECORDED: Unrecorded[] = [
  {
    role: "transform",
    actions: ["s3:AbortMultipartUpload"],
    resources: [folders.batches, folders.curated, folders.quarantinedRows, folders.staged].map(
      (one) => `bucket/${one}*`,
    ),
    because: "S3A and boto3 abort an upload in parts that fails; none fails here.",
  },
  {
    role: "transform",
    actions: ["s3:GetObject"],
    resources: ROWS.map((_, at) => ["bucket", ...ROWS.slice(0, at + 1)].join("/")),
    sometimes: true,
    because: "S3A looks for a file of a folder's name only where nothing is in the folder yet.",
  },
  {
    role: "transform",
    actions: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    resources: [`${SPARK_LOGS}/output:*`, `${SPARK_LOGS}/error:*`],
    because:
      "AWS asks about a group's streams by names that go on behind the group's; the emulator asks about the group.",
  },
  {
    role: "transform",
    actions: ["cloudwatch:PutMetricData"],
    resources: ["*"],
    because: "Glue writes a Spark job's metrics; the local Glue has none.",
  },
  {
    role: "publish",
    actions: ["s3:DeleteObject"],
    resources: [`bucket/${place("publishCheckpoint", { batchId: "*" })}`],
    because: "Publish writes a checkpoint only between parts, and a small batch has one part.",
  },
  {
    role: "sense-schedule",
    actions: ["lambda:InvokeFunction"],
    resources: ["sense"],
    because: "EventBridge Scheduler calls the function; the emulator's asks nobody.",
  },
  {
    role: "sense-schedule",
    actions: ["sqs:SendMessage"],
    resources: ["deadLetters"],
    because: "EventBridge Scheduler keeps a call that it could not deliver; it delivers all here.",
  },
];
