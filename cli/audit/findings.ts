import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import path from "node:path";
import { linesOf } from "./lines";

/** What is audited, in the order in which it is told. docs/audit.md says what each check proves. */
export const checks = {
  files: "every file lies in exactly the one place that its batch says, as it was claimed",
  ledger: "states, turns, halves and manifests agree with each other",
  reports: "what the jobs reported adds up, and is what lies in the bucket",
  curated: "every curated row belongs to an archived batch, lies on its day, and is there once",
  metrics: "every item of the metrics table equals its recomputation from curated",
  deep: "curated equals its recomputation from the archived CSVs (with --deep only)",
} as const;

export type CheckName = keyof typeof checks;

/** One thing that is not as it must be. */
export interface Breach {
  check: CheckName;
  what: string;
  /** An object's key, an item's key, a batch. */
  where: string;
  expected: string;
  found: string;
  remedy: string;
  /** Whom it is about: while one of these is worked on, it proves nothing. */
  batches?: string[];
  days?: string[];
}

export interface Information {
  check: CheckName;
  text: string;
  count: number;
}

/** What an audit found. Breaches are kept on disk, for there may be millions. */
export class Findings {
  /** By check, what was looked at: `{"files": 12, "objects": 13}`. */
  readonly looked: Record<CheckName, Map<string, number>>;
  private readonly notes = new Map<string, Information>();
  private readonly files: Record<CheckName, string>;
  private readonly handles: Record<CheckName, number>;

  /** `folder` is the audit's own; it must exist. */
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

  /** What is no breach and still worth knowing; the same text counts up. */
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
