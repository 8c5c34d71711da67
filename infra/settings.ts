import * as pulumi from "@pulumi/pulumi";

/** What a stack can choose. Pulumi.yaml says what each key means and holds its default. */
export interface Settings {
  /** As EventBridge Scheduler writes it: `rate(...)` or `cron(...)`. */
  schedule: string;
  /** Sense also looks when files land. */
  startOnArrival: boolean;
  /** What bounds a batch and its retries; handed to the Lambdas as it is. */
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
  logRetentionDays: number;
  protect: boolean;
  /** Empty: Pulumi makes one up. */
  bucketName: string;
  /** What encrypts bucket and tables; empty: the services' own keys. */
  kmsKeyArn: string;
  /** Days until files go; 0: never. */
  lifecycle: { archiveColdAfterDays: number; archiveRetentionDays: number; quarantineRetentionDays: number };
  /** From which values on an alarm is raised, and who is told; an empty address: nobody by mail. */
  alarms: {
    email: string;
    failuresInARow: number;
    batchMinutes: number;
    waitingMinutes: number;
    quarantinedPercent: number;
    silentHours: number;
  };
  tags: Record<string, string>;
  /** Under which CloudWatch keeps the stack's metrics. */
  metricsNamespace: string;
}

/** A stack's configuration is wrong. Pulumi prints the message alone, without a stack trace. */
export class ConfigError extends pulumi.RunError {}

// Amazon CloudWatch Logs API reference, PutRetentionPolicy.
const RETENTION_DAYS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

/**
 * The stack's settings, checked. Names every wrong key at once: what was expected, what came, and how to put it right.
 *
 * @throws ConfigError
 */
export function readSettings(): Settings {
  const project = pulumi.getProject();
  const stack = pulumi.getStack();
  const config = new pulumi.Config();
  const problems: string[] = [];
  const known = new Set<string>();

  function read<T>(key: string, expected: string, parse: (raw: string) => T | undefined): T {
    known.add(`${project}:${key}`);
    const raw = config.get(key);
    const value = raw === undefined ? undefined : parse(raw.trim());
    if (value === undefined) {
      const came = raw === undefined ? "is not set" : `is "${raw}"`;
      problems.push(`${key} ${came}, but must be ${expected}. Set it: pulumi config set ${key} VALUE --stack ${stack}`);
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
    schedule: read("schedule", "a schedule such as rate(5 minutes) or cron(0/5 * * * ? *)", schedule),
    startOnArrival: yesNo("startOnArrival"),
    limits: {
      maxBatchFiles: whole("maxBatchFiles", 1, 20_000),
      maxBatchBytes: whole("maxBatchBytes", 1, Number.MAX_SAFE_INTEGER),
      maxAttempts: whole("maxAttempts", 1, 20),
      retryPauseSeconds: whole("retryPauseSeconds", 1, 86_400),
      maxRetryPauseSeconds: whole("maxRetryPauseSeconds", 1, 86_400),
    },
    spark: {
      // A pattern and not a list: AWS adds worker types faster than lists follow.
      workerType: read("workerType", "a Glue worker type such as G.1X", (raw) =>
        /^(G|R)\.\d{1,2}X$/.test(raw) ? raw : undefined,
      ),
      numberOfWorkers: whole("numberOfWorkers", 2, 299),
    },
    transformTimeoutMinutes: whole("transformTimeoutMinutes", 1, 10_080),
    publishTimeoutMinutes: whole("publishTimeoutMinutes", 1, 10_080),
    publishEngine: read("publishEngine", "duckdb or spark", (raw) =>
      raw === "duckdb" || raw === "spark" ? raw : undefined,
    ),
    multiLine: yesNo("multiLine"),
    logRetentionDays: read("logRetentionDays", `one of ${RETENTION_DAYS.join(", ")}`, (raw) =>
      RETENTION_DAYS.find((days) => String(days) === raw),
    ),
    protect: yesNo("protect"),
    bucketName: read("bucketName", "3 to 63 of a-z, 0-9 and -, or empty", (raw) =>
      // Without dots: S3's certificates don't cover them.
      raw === "" || /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(raw) ? raw : undefined,
    ),
    kmsKeyArn: read("kmsKeyArn", "the ARN of a KMS key, or empty", (raw) =>
      raw === "" || /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[\w-]+$/.test(raw) ? raw : undefined,
    ),
    lifecycle: {
      archiveColdAfterDays: whole("archiveColdAfterDays", 0, 36_500),
      archiveRetentionDays: whole("archiveRetentionDays", 0, 36_500),
      quarantineRetentionDays: whole("quarantineRetentionDays", 0, 36_500),
    },
    alarms: {
      email: read("alarmEmail", "an e-mail address, or empty", (raw) =>
        raw === "" || /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(raw) ? raw : undefined,
      ),
      failuresInARow: whole("alarmFailuresInARow", 1, 1000),
      batchMinutes: whole("alarmBatchMinutes", 1, 10_080),
      waitingMinutes: whole("alarmWaitingMinutes", 1, 10_080),
      quarantinedPercent: whole("alarmQuarantinedPercent", 1, 100),
      // An alarm of hours looks back over a week at most (Amazon CloudWatch API reference, PutMetricAlarm).
      silentHours: whole("alarmSilentHours", 1, 168),
    },
    tags: {
      ...read("tags", 'a list of texts such as ["team=music"], without project and stack', tagsOf),
      project,
      stack,
    },
    metricsNamespace: `${project}/${stack}`,
  };
  const { retryPauseSeconds, maxRetryPauseSeconds } = settings.limits;
  if (maxRetryPauseSeconds < retryPauseSeconds) {
    problems.push(
      `maxRetryPauseSeconds is "${maxRetryPauseSeconds}", but must not be below retryPauseSeconds (${retryPauseSeconds}). Set one of them anew.`,
    );
  }
  const { archiveColdAfterDays, archiveRetentionDays } = settings.lifecycle;
  if (archiveRetentionDays > 0 && archiveRetentionDays <= archiveColdAfterDays) {
    problems.push(
      `archiveRetentionDays is "${archiveRetentionDays}", but must be above archiveColdAfterDays (${archiveColdAfterDays}), or 0. Set one of them anew.`,
    );
  }
  // A misspelt key would otherwise leave its default in force without a word.
  for (const key of Object.keys(pulumi.runtime.allConfig())) {
    if (key.startsWith(`${project}:`) && !known.has(key)) {
      const name = key.slice(project.length + 1);
      problems.push(
        `${name} is no setting of this project; Pulumi.yaml lists them. Remove it: pulumi config rm ${name} --stack ${stack}`,
      );
    }
  }
  if (problems.length > 0) {
    throw new ConfigError(`The configuration of stack ${stack} is wrong:\n${problems.map((p) => `- ${p}`).join("\n")}`);
  }
  return settings;
}

/** Tags as `key=value`, since Pulumi.yaml knows lists, but no maps. */
function tagsOf(raw: string): Record<string, string> | undefined {
  let list: unknown;
  try {
    list = JSON.parse(raw);
  } catch {
    return undefined;
  }
  if (!Array.isArray(list)) return undefined;
  const tags: Record<string, string> = {};
  for (const item of list) {
    const [, key, value] = /^([\w .:/+@-]{1,128})=([\w .:/=+@-]{0,256})$/.exec(String(item)) ?? [];
    const isTaken = key === "project" || key === "stack" || key?.toLowerCase().startsWith("aws:");
    if (key === undefined || value === undefined || isTaken) return undefined;
    tags[key] = value;
  }
  return tags;
}

// EventBridge Scheduler User Guide, "Schedule types": the unit is singular for 1 and plural above.
function schedule(raw: string): string | undefined {
  const rate = /^rate\((\d+) (minute|hour|day)(s?)\)$/.exec(raw);
  if (rate) {
    const value = Number(rate[1]);
    return value > 0 && (value === 1) === (rate[3] === "") ? raw : undefined;
  }
  const cron = /^cron\(([^()]+)\)$/.exec(raw);
  return cron?.[1]?.trim().split(/\s+/).length === 6 ? raw : undefined;
}
