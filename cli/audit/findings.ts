import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import path from "node:path";
import { linesOf } from "./lines";

/** The checks, in the order of the output. docs/audit.md says what each proves. */
export const checks = {
  files: "every file lies in exactly the one place that its batch says, as it was claimed",
  ledger: "states, turns, halves and manifests agree",
  reports: "the jobs' reports add up, and equal what lies in the bucket",
  curated: "every curated row belongs to an archived batch, lies on its day, and exists once",
  metrics: "every item of the metrics table equals its recomputation from curated",
  deep: "curated equals its recomputation from the archived CSVs (with --deep only)",
} as const;

export type CheckName = keyof typeof checks;

/** One thing that breaks an invariant. */
export interface Breach {
  check: CheckName;
  what: string;
  /** An object's key, an item's key, a batch. */
  where: string;
  expected: string;
  found: string;
  remedy: string;
  /** What it is about: while the pipeline works on one of these, it proves nothing. */
  batches?: string[];
  days?: string[];
}

export interface Information {
  check: CheckName;
  text: string;
  count: number;
}

/** What an audit found. Breaches are kept on disk, because there may be millions. */
export class Findings {
  /** By check, what it checked: `{"files": 12, "objects": 13}`. */
  readonly looked: Record<CheckName, Map<string, number>>;
  private readonly notes = new Map<string, Information>();
  private readonly files: Record<CheckName, string>;
  private readonly handles: Record<CheckName, number>;

  /** `folder` belongs to the audit and must exist. */
  constructor(folder: string) {
    const each = <T>(make: (name: CheckName) => T) =>
      Object.fromEntries(checkNames.map((name) => [name, make(name)])) as Record<CheckName, T>;
    this.looked = each(() => new Map());
    this.files = each((name) => path.join(folder, `breaches-${name}.ndjson`));
    this.handles = each((name) => openSync(this.files[name], "w"));
  }

  look(check: CheckName, what: string, count = 1): void {
    this.looked[check].set(what, (this.looked[check].get(what) ?? 0) + count);
  }

  breach(breach: Breach): void {
    writeSync(this.handles[breach.check], `${JSON.stringify(breach)}\n`);
  }

  /** Notes something that is no breach. The same text again raises its count. */
  inform(check: CheckName, text: string, count = 1): void {
    const key = `${check} ${text}`;
    const note = this.notes.get(key) ?? { check, text, count: 0 };
    note.count += count;
    this.notes.set(key, note);
  }

  get information(): Information[] {
    return [...this.notes.values()];
  }

  /** The breaches of a check, in the order in which they were found. */
  async *breaches(check: CheckName): AsyncGenerator<Breach> {
    for await (const line of linesOf(createReadStream(this.files[check]))) yield JSON.parse(line) as Breach;
  }

  close(): void {
    for (const handle of Object.values(this.handles)) closeSync(handle);
  }
}

export const checkNames = Object.keys(checks) as CheckName[];
