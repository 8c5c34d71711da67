import { invalidInput, notFound } from "../errors";

type Tags = Record<string, string>;

const LOCAL = /^arn:aws[a-z-]*:glue:[^:]*:[^:]*:(job|trigger|workflow)\/(.+)$/s;

/** Whether the local Glue holds a resource: a job, a trigger or a workflow. The emulator holds all others. */
export const isLocalResource = (arn: unknown): boolean => typeof arn === "string" && LOCAL.test(arn);

/** `job/NAME` of a job's ARN. */
function resourceOf(arn: string): string {
  const [, kind, name] = LOCAL.exec(arn) ?? [];
  return `${kind}/${name}`;
}

/** Tags of jobs, triggers and workflows. A resource has an entry from its creation to its deletion. */
export class TagStore {
  private readonly entries = new Map<string, Tags>();

  /** `changed` gets each change: the resource (`job/NAME`), tags that were set, and keys that were removed. */
  constructor(private readonly changed: (resource: string, set: Tags, removed: readonly string[]) => void = () => {}) {}

  create(kind: "job" | "trigger" | "workflow", name: string, tags: Tags = {}): void {
    if (Object.keys(tags).some((key) => key.toLowerCase().startsWith("aws:")))
      throw invalidInput("Tag keys starting with 'aws:' are reserved for system use");
    this.entries.set(`${kind}/${name}`, { ...tags });
    this.changed(`${kind}/${name}`, tags, []);
  }

  delete(kind: "job" | "trigger" | "workflow", name: string): void {
    this.changed(`${kind}/${name}`, {}, Object.keys(this.entries.get(`${kind}/${name}`) ?? {}));
    this.entries.delete(`${kind}/${name}`);
  }

  get(arn: string): Tags {
    return { ...this.at(arn) };
  }

  add(arn: string, tags: Tags): void {
    const entry = this.at(arn);
    if (Object.keys({ ...entry, ...tags }).length > 50) throw invalidInput("A resource can have at most 50 tags");
    Object.assign(entry, tags);
    this.changed(resourceOf(arn), tags, []);
  }

  remove(arn: string, keys: readonly string[]): void {
    const entry = this.at(arn);
    for (const key of keys) delete entry[key];
    this.changed(resourceOf(arn), {}, keys);
  }

  /** Whether a resource has all of the given tags. */
  has(kind: "job" | "trigger" | "workflow", name: string, wanted: Tags = {}): boolean {
    const entry = this.entries.get(`${kind}/${name}`) ?? {};
    return Object.entries(wanted).every(([key, value]) => entry[key] === value);
  }

  private at(arn: string): Tags {
    const entry = this.entries.get(resourceOf(arn));
    if (!entry) throw notFound(`Resource not found: ${arn}`);
    return entry;
  }
}
