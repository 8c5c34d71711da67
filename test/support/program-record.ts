import assert from "node:assert/strict";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Properties } from "../../local/provider/kind";
import { type Config, type Registration, readConfig, runProgram } from "../../local/provider/program";

export const ROOT = path.resolve(__dirname, "..", "..");

/** What a program registered, without any cloud. */
export interface Recorded {
  resources: Registration[];
  /** `begin NAME` and `end NAME` of each creation, in the order in which they happened. */
  course: string[];
  outputs: Record<string, unknown>;
  /** The inputs of the one resource of a type, given by its end such as `glue/job:Job`, and of a name. */
  inputsOf(type: string, name: string): Properties;
  /** The names of the resources of a type. */
  namesOf(type: string): string[];
}

/** Where a program believes to be deployed. */
export interface Whereabouts {
  accountId: string;
  partition: string;
  region: string;
}

export const HERE: Whereabouts = { accountId: "111122223333", partition: "aws", region: "eu-central-1" };

/** A choice other than the default in every setting that adds something to the program, but for the bucket's name. */
export const EVERY_CHOICE = {
  "music-streams:startOnArrival": "true",
  "music-streams:publishEngine": "spark",
  "music-streams:multiLine": "false",
  "music-streams:userColumn": "user, User Name",
  "music-streams:timeColumn": "ts",
  "music-streams:referenceLocation": "s3://our-data/music/",
  "music-streams:kmsKeyArn": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
  "music-streams:archiveColdAfterDays": "30",
  "music-streams:archiveRetentionDays": "400",
  "music-streams:quarantineRetentionDays": "90",
  "music-streams:tags": '["team=music"]',
  "music-streams:alarmEmail": "ops@example.org",
  "music-streams:alarmFailuresInARow": "7",
  "music-streams:alarmBatchMinutes": "10",
  "music-streams:alarmWaitingMinutes": "20",
  "music-streams:alarmQuarantinedPercent": "33",
  "music-streams:alarmSilentHours": "12",
};

const records = new Map<string, Promise<Recorded>>();

/**
 * What the real program registers for a stack, with `changes` on top of the stack's own values. Tests share the record,
 * because a run of the program takes seconds: they must not change it.
 */
export function recordProgram(stack: string, changes: Config = {}, where = HERE): Promise<Recorded> {
  const key = JSON.stringify([stack, Object.entries(changes).sort(), Object.entries(where).sort()]);
  const known = records.get(key);
  if (known) return known;
  const record = runAndRecord(stack, changes, where);
  records.set(key, record);
  return record;
}

/** Runs the program, also when there is a record of it. `settings`: the stack whose file of settings it reads. */
export async function runAndRecord(
  stack: string,
  changes: Config = {},
  where = HERE,
  settings = stack,
): Promise<Recorded> {
  const resources: Registration[] = [];
  const course: string[] = [];
  const config = { ...readConfig(ROOT, settings), ...changes };
  const outputs = await runProgram(ROOT, stack, config, {
    async create(resource) {
      resources.push(resource);
      const { type, name, inputs } = resource;
      course.push(`begin ${type} ${name}`);
      await setTimeout(1);
      course.push(`end ${type} ${name}`);
      const service = type.split(":")[1]?.split("/")[0];
      const arn = `arn:${where.partition}:${service}:${where.region}:${where.accountId}:${name}`;
      const made = { name, bucket: name, arn, url: `https://${name}` };
      return { id: `${name}-id`, outs: { ...made, ...inputs } };
    },
    async invoke() {
      return { ...where };
    },
  });
  const ofType = (type: string) => resources.filter((one) => one.type === `aws:${type}`);
  return {
    resources,
    course,
    outputs,
    inputsOf(type, name) {
      const found = ofType(type).filter((one) => one.name === name);
      assert.equal(
        found.length,
        1,
        `${type} ${name}: found ${found.length}, there are ${ofType(type).map((r) => r.name)}`,
      );
      return found[0]!.inputs;
    },
    namesOf: (type) => ofType(type).map((one) => one.name),
  };
}
