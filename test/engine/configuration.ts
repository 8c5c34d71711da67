/** What a change of one configuration key does to a deployed stack. */
interface Row {
  /** A value that the stack `dev` does not have. */
  value: string;
  /** The changes, by the resources' labels. `everything tagged`: an update of each resource that has tags. */
  changes: string[] | "everything tagged";
}

const updates = (type: string, ...names: string[]) => names.map((name) => `update ${type} music-streams-${name}`);
const functions = updates("Function", "archive", "sense");
const transform = updates("Job", "transform");
const publish = updates("Job", "publish");
const tables = updates("Table", "ledger-table", "metrics-table");
const lifecycle = updates("BucketLifecycleConfiguration", "lake-lifecycle");
const policies = updates(
  "RolePolicy",
  ...["archive", "publish", "sense", "transform"].map((one) => `${one}-role-policy`),
);
const alarms = (...names: string[]) => updates("MetricAlarm", ...names.map((name) => `alarms-${name}`));

/** Every key of Pulumi.yaml. */
export const CONFIGURATION: Record<string, Row> = {
  schedule: { value: "rate(7 minutes)", changes: updates("Schedule", "sense-schedule") },
  startOnArrival: {
    value: "true",
    changes: [
      "create Arrivals music-streams-arrivals",
      "create BucketNotification music-streams-arrivals-notification",
      "create EventRule music-streams-arrivals-file",
      "create EventRule music-streams-arrivals-run",
      "create EventSourceMapping music-streams-sense-arrivals",
      "create EventTarget music-streams-arrivals-file-target",
      "create EventTarget music-streams-arrivals-run-target",
      "create Queue music-streams-arrivals",
      "create QueuePolicy music-streams-arrivals-policy",
      ...updates("RolePolicy", "sense-role-policy"),
    ],
  },
  referenceLocation: {
    value: "s3://our-data/music/",
    changes: [...transform, ...updates("RolePolicy", "transform-role-policy")],
  },
  maxBatchFiles: { value: "7", changes: functions },
  maxBatchBytes: { value: "7", changes: functions },
  maxAttempts: { value: "7", changes: functions },
  retryPauseSeconds: { value: "7", changes: functions },
  maxRetryPauseSeconds: { value: "7000", changes: functions },
  workerType: { value: "G.2X", changes: transform },
  numberOfWorkers: { value: "7", changes: transform },
  transformTimeoutMinutes: { value: "7", changes: transform },
  publishTimeoutMinutes: { value: "7", changes: publish },
  publishEngine: {
    value: "spark",
    changes: [
      "create LogGroup music-streams-publish-logs-error",
      "create LogGroup music-streams-publish-logs-output",
      "update RolePolicy music-streams-publish-role-policy",
      // Workers and capacity of one command are refused for the other, so the job can't change in place.
      "replace Job music-streams-publish",
      ...updates("Trigger", "publish"),
      ...updates("EventRule", "archive-rule"),
      ...functions,
    ],
  },
  multiLine: { value: "false", changes: transform },
  userColumn: { value: "user", changes: transform },
  trackColumn: { value: "track", changes: transform },
  timeColumn: { value: "ts,played_at", changes: transform },
  genreColumn: { value: "genre", changes: transform },
  logRetentionDays: {
    value: "7",
    changes: updates("LogGroup", "archive-logs", "sense-logs", "transform-logs-error", "transform-logs-output"),
  },
  protect: { value: "true", changes: [...updates("Bucket", "lake-bucket"), ...tables] },
  bucketName: {
    value: "a-name-of-its-own",
    changes: [
      "replace Bucket music-streams-lake-bucket",
      "replace BucketLifecycleConfiguration music-streams-lake-lifecycle",
      "replace BucketOwnershipControls music-streams-lake-ownership",
      "replace BucketPolicy music-streams-lake-policy",
      "replace BucketPublicAccessBlock music-streams-lake-privacy",
      "replace BucketServerSideEncryptionConfiguration music-streams-lake-encryption",
      "replace BucketVersioning music-streams-lake-versioning",
      ...["publish", "transform", "wheel", "zip"].map((part) => `replace BucketObjectv2 music-streams-scripts-${part}`),
      ...updates("CatalogTable", "catalog-listens"),
      ...updates("Dashboard", "dashboard"),
      ...[...functions, ...transform, ...publish, ...policies],
    ],
  },
  kmsKeyArn: {
    value: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    changes: [...updates("BucketServerSideEncryptionConfiguration", "lake-encryption"), ...tables, ...policies],
  },
  archiveColdAfterDays: { value: "7", changes: lifecycle },
  archiveRetentionDays: { value: "7", changes: lifecycle },
  quarantineRetentionDays: { value: "7", changes: lifecycle },
  tags: { value: '["team=music"]', changes: "everything tagged" },
  alarmEmail: { value: "ops@example.org", changes: ["create TopicSubscription music-streams-alarms-email"] },
  alarmFailuresInARow: { value: "7", changes: alarms("publish-failing", "transform-failing", "workflow-failing") },
  alarmBatchMinutes: { value: "7", changes: alarms("batch-stuck") },
  alarmWaitingMinutes: { value: "70", changes: alarms("files-waiting") },
  alarmQuarantinedPercent: { value: "7", changes: alarms("rows-quarantined") },
  alarmSilentHours: { value: "7", changes: alarms("silence") },
};

/**
 * The keys in few groups, so that few previews show the changes of every key: keys that change the same resource are in
 * different groups. `tagged`: the labels of the resources that have tags.
 */
export function groupsOf(tagged: string[]): { keys: string[]; changes: string[] }[] {
  const groups: { keys: string[]; changes: string[] }[] = [];
  const resource = (change: string) => change.slice(change.indexOf(" ") + 1);
  for (const [key, row] of Object.entries(CONFIGURATION)) {
    const changes = row.changes === "everything tagged" ? tagged.map((label) => `update ${label}`) : row.changes;
    const taken = new Set(changes.map(resource));
    const free = groups.find((group) => !group.changes.some((change) => taken.has(resource(change))));
    free?.keys.push(key);
    free?.changes.push(...changes);
    if (!free) groups.push({ keys: [key], changes: [...changes] });
  }
  return groups;
}
