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

const HERE: Whereabouts = { accountId: "111122223333", partition: "aws", region: "eu-central-1" };

/** Runs the real program for a stack, with values on top of the stack's own, and takes down each resource that it registers. */
export async function recordProgram(stack: string, changes: Config = {}, where = HERE): Promise<Recorded> {
  const resources: Registration[] = [];
  const course: string[] = [];
  const config = { ...readConfig(ROOT, stack), ...changes };
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
