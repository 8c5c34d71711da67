import * as pulumi from "@pulumi/pulumi";
import layout from "../layout.json";
import { type Location, parseLocation } from "../runtime/location";
import { isSchedule, pauseMinutes } from "./schedule";

/** A stack's settings. Pulumi.yaml explains each key and holds its default. */
export interface Settings {
  /** An expression of EventBridge Scheduler: `rate(...)` or `cron(...)`. */
  schedule: string;
  /** Whether sense also ticks when files arrive. */
  startOnArrival: boolean;
  /** Limits of a batch and its attempts; the Lambdas get them unchanged. */
  limits: {
    maxBatchFiles: number;
    maxBatchBytes: number;
    maxAttempts: number;
    retryPauseSeconds: number;
    maxRetryPauseSeconds: number;
  };
  spark: { workerType: string; numberOfWorkers: number };
  transformTimeoutMinutes: number;
  publishTimeoutMinutes: number;
  publishEngine: "duckdb" | "spark";
  multiLine: boolean;
  /** Column: the header names that stand for it, besides its own. Columns without any are left out. */
  columnNames: Record<string, string[]>;
  logRetentionDays: number;
  protect: boolean;
  /** Empty: Pulumi chooses a name. */
  bucketName: string;
  /** The folder of the reference data; null: in the stack's bucket. */
  referenceLocation: Location | null;
  /** The KMS key for bucket and tables; empty: the services' own keys. */
  kmsKeyArn: string;
  /** Days until files change their class or are deleted. 0 = never. */
  lifecycle: { archiveColdAfterDays: number; archiveRetentionDays: number; quarantineRetentionDays: number };
  /** The thresholds of alarms, and the address that gets them; empty: no mail. */
  alarms: {
    email: string;
    failuresInARow: number;
    batchMinutes: number;
    waitingMinutes: number;
    quarantinedPercent: number;
    silentHours: number;
  };
  tags: Record<string, string>;
  /** CloudWatch's namespace of the stack's metrics. */
  metricsNamespace: string;
}

/** A stack's configuration is wrong. Pulumi prints only the message, without a stack trace. */
export class ConfigError extends pulumi.RunError {}

// Amazon CloudWatch Logs API reference, PutRetentionPolicy.
const RETENTION_DAYS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

// AWS Glue Developer Guide, "AWS Glue worker types"; G.025X is for streaming jobs only.
const WORKER_TYPES = ["G.1X", "G.2X", "G.4X", "G.8X", "G.12X", "G.16X", "R.1X", "R.2X", "R.4X", "R.8X"];

/** The settings that name a column, and the column that they name. */
const NAMED_COLUMNS = {
  userColumn: "user_id",
  trackColumn: "track_id",
  timeColumn: "listen_time",
  genreColumn: "track_genre",
} as const;
// Other columns that the jobs read (docs/data.md): none of them can stand for another one.
const OTHER_COLUMNS = ["artists", "album_name", "track_name", "popularity", "duration_ms", "user_age", "user_country"];
// The jobs get them as one argument.
const MOST_NAMES = 20;

// A resource has at most 50 tags (AWS General Reference, "Tagging AWS resources"), and two of them are ours.
const MOST_TAGS = 48;

/**
 * Reads and checks the stack's settings. Reports every wrong key at once: the expected value, the actual one, and the
 * fix.
 *
 * @throws ConfigError
 */
export function readSettings(): Settings {
  const project = pulumi.getProject();
  const stack = pulumi.getStack();
  const config = new pulumi.Config();
  const problems: string[] = [];
  const known = new Set<string>();
  const region = new pulumi.Config("aws").get("region");

  function read<T>(key: string, expected: string, parse: (raw: string) => T | undefined): T {
    known.add(`${project}:${key}`);
    const raw = config.get(key);
    const value = raw === undefined ? undefined : parse(raw.trim());
    if (value === undefined) {
      const came = raw === undefined ? "is not set" : `is "${raw}"`;
      // Pulumi sets lists only by path.
      const how = key === "tags" ? "--path 'tags[0]' KEY=VALUE" : `${key} VALUE`;
      problems.push(`${key} ${came}, but must be ${expected}. Set it: pulumi config set ${how} --stack ${stack}`);
    }
    return value as T;
  }
  const whole = (key: string, least: number, most: number) =>
    read(key, `a whole number from ${least} to ${most}`, (raw) => {
      const value = /^\d+$/.test(raw) ? Number(raw) : Number.NaN;
      return value >= least && value <= most ? value : undefined;
    });
  const yesNo = (key: string) =>
    read(key, "true or false", (raw) => (raw === "true" ? true : raw === "false" ? false : undefined));

  const settings: Settings = {
    schedule: read("schedule", "a schedule such as rate(5 minutes) or cron(0/5 * * * ? *)", (raw) =>
      isSchedule(raw) ? raw : undefined,
    ),
    startOnArrival: yesNo("startOnArrival"),
    limits: {
      maxBatchFiles: whole("maxBatchFiles", 1, 20_000),
      maxBatchBytes: whole("maxBatchBytes", 1, Number.MAX_SAFE_INTEGER),
      maxAttempts: whole("maxAttempts", 1, 20),
      retryPauseSeconds: whole("retryPauseSeconds", 1, 86_400),
      maxRetryPauseSeconds: whole("maxRetryPauseSeconds", 1, 86_400),
    },
    spark: {
      workerType: read("workerType", `one of ${WORKER_TYPES.join(", ")}`, (raw) =>
        WORKER_TYPES.find((type) => type === raw),
      ),
      numberOfWorkers: whole("numberOfWorkers", 2, 299),
    },
    transformTimeoutMinutes: whole("transformTimeoutMinutes", 1, 10_080),
    publishTimeoutMinutes: whole("publishTimeoutMinutes", 1, 10_080),
    publishEngine: read("publishEngine", "duckdb or spark", (raw) =>
      raw === "duckdb" || raw === "spark" ? raw : undefined,
    ),
    multiLine: yesNo("multiLine"),
    columnNames: Object.fromEntries(
      Object.entries(NAMED_COLUMNS)
        .map(
          ([key, column]) =>
            [column, read(key, "header names with commas between them, or empty", headerNames)] as const,
        )
        .filter(([, names]) => (names ?? []).length > 0),
    ),
    logRetentionDays: read("logRetentionDays", `one of ${RETENTION_DAYS.join(", ")}`, (raw) =>
      RETENTION_DAYS.find((days) => String(days) === raw),
    ),
    protect: yesNo("protect"),
    bucketName: read("bucketName", "3 to 63 of a-z, 0-9 and -, no name that S3 reserves, or empty", (raw) =>
      raw === "" || isBucketName(raw) ? raw : undefined,
    ),
    referenceLocation: read("referenceLocation", "s3://BUCKET/PREFIX/ with a slash at its end, or empty", (raw) =>
      raw === "" ? null : parseLocation(raw),
    ),
    kmsKeyArn: read("kmsKeyArn", `the ARN of a KMS key${region ? ` in ${region}` : ""}, or empty`, (raw) => {
      const [, home] = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key\/[\w-]+$/.exec(raw) ?? [];
      // A bucket accepts only keys of its own region.
      return raw === "" || (home !== undefined && (!region || home === region)) ? raw : undefined;
    }),
    lifecycle: {
      archiveColdAfterDays: whole("archiveColdAfterDays", 0, 36_500),
      archiveRetentionDays: whole("archiveRetentionDays", 0, 36_500),
      quarantineRetentionDays: whole("quarantineRetentionDays", 0, 36_500),
    },
    alarms: {
      email: read("alarmEmail", "an e-mail address, or empty", (raw) =>
        raw === "" || /^[^\s@,;:<>()"\\]{1,64}@([a-z0-9-]+\.)+[a-z]{2,}$/i.test(raw) ? raw : undefined,
      ),
      failuresInARow: whole("alarmFailuresInARow", 1, 1000),
      batchMinutes: whole("alarmBatchMinutes", 1, 10_080),
      waitingMinutes: whole("alarmWaitingMinutes", 1, 10_080),
      quarantinedPercent: whole("alarmQuarantinedPercent", 1, 100),
      // An alarm with periods of hours looks back over at most a week (Amazon CloudWatch API reference,
      // PutMetricAlarm).
      silentHours: whole("alarmSilentHours", 1, 168),
    },
    tags: {
      ...read(
        "tags",
        `up to ${MOST_TAGS} of key=value such as ["team=music"], each key once, not project or stack`,
        tagsOf,
      ),
      project,
      stack,
    },
    metricsNamespace: `${project}/${stack}`,
  };
  problems.push(...conflicts(settings));
  // Otherwise a misspelt key would silently leave the default in force.
  for (const key of Object.keys(pulumi.runtime.allConfig())) {
    if (key.startsWith(`${project}:`) && !known.has(key)) {
      const name = key.slice(project.length + 1);
      problems.push(
        `${name} is not a setting of this project; Pulumi.yaml lists all settings. Remove it: pulumi config rm ${name} --stack ${stack}`,
      );
    }
  }
  if (problems.length > 0) {
    throw new ConfigError(`The configuration of stack ${stack} is wrong:\n${problems.map((p) => `- ${p}`).join("\n")}`);
  }
  return settings;
}

/** Problems between settings that are each valid alone. */
function conflicts({
  schedule,
  limits,
  lifecycle,
  alarms,
  bucketName,
  referenceLocation,
  columnNames,
}: Settings): string[] {
  const problems: string[] = [];
  const must = (holds: boolean, key: string, came: unknown, rule: string) => {
    if (!holds) problems.push(`${key} is "${came}", but must be ${rule}. Change one of the two.`);
  };
  const { retryPauseSeconds, maxRetryPauseSeconds } = limits;
  must(
    !(maxRetryPauseSeconds < retryPauseSeconds),
    "maxRetryPauseSeconds",
    maxRetryPauseSeconds,
    `no less than retryPauseSeconds (${retryPauseSeconds})`,
  );
  const { archiveColdAfterDays, archiveRetentionDays } = lifecycle;
  must(
    !(archiveRetentionDays > 0 && archiveRetentionDays <= archiveColdAfterDays),
    "archiveRetentionDays",
    archiveRetentionDays,
    `above archiveColdAfterDays (${archiveColdAfterDays}), or 0`,
  );
  const taken = new Set<string>([...Object.values(NAMED_COLUMNS), ...OTHER_COLUMNS]);
  for (const [key, column] of Object.entries(NAMED_COLUMNS))
    for (const name of columnNames[column] ?? []) {
      if (taken.has(name))
        problems.push(`${key} has "${name}", which is a column of its own or stands for another one. Leave it out.`);
      taken.add(name);
    }
  // Otherwise each pause between ticks would raise the alarm.
  const pause = pauseMinutes(schedule ?? "") ?? 0;
  const ofPause = `longer than the pause in schedule (${schedule})`;
  must(!(60 * alarms.silentHours <= pause), "alarmSilentHours", alarms.silentHours, ofPause);
  must(!(alarms.waitingMinutes <= pause), "alarmWaitingMinutes", alarms.waitingMinutes, ofPause);
  if (bucketName && referenceLocation?.bucket === bucketName) {
    must(
      // The pipeline moves and deletes files in its own folders.
      referenceLocation.prefix.startsWith(layout.reference),
      "referenceLocation",
      `s3://${bucketName}/${referenceLocation.prefix}`,
      `below ${layout.reference} where it is in the bucket that bucketName names`,
    );
  }
  return problems;
}

/** Parses tags as `key=value`, because Pulumi.yaml supports lists but no maps. */
function tagsOf(raw: string): Record<string, string> | undefined {
  let list: unknown;
  try {
    list = JSON.parse(raw);
  } catch {
    return undefined;
  }
  if (!Array.isArray(list) || list.length > MOST_TAGS) return undefined;
  const tags: Record<string, string> = {};
  const taken = new Set(["project", "stack"]);
  for (const item of list) {
    const [, key, value] = /^([\w .:/+@-]{1,128})=([\w .:/=+@-]{0,256})$/.exec(String(item)) ?? [];
    if (key === undefined || value === undefined || key.toLowerCase().startsWith("aws:")) return undefined;
    // For IAM, two keys that differ only in case are the same, and an error.
    if (taken.has(key.toLowerCase())) return undefined;
    taken.add(key.toLowerCase());
    tags[key] = value;
  }
  return tags;
}

/**
 * By Amazon S3 User Guide, "General purpose bucket naming rules"; without dots, which S3's certificates don't cover.
 */
function isBucketName(raw: string): boolean {
  if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(raw)) return false;
  return !/^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|--x-s3|--table-s3|-an)$/.test(raw);
}

/** Names of a header, as transform compares them: trimmed and in lower case. */
function headerNames(raw: string): string[] | undefined {
  if (raw === "") return [];
  const names = raw.split(",").map((name) => name.trim().toLowerCase());
  return names.length <= MOST_NAMES && names.every((name) => /^[^"\\\p{Cc}]{1,100}$/u.test(name)) ? names : undefined;
}
