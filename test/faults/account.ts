import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { REFERENCE_COPY } from "../../cli/audit/data-check";
import { exportMetrics } from "../../cli/metrics";
import type { Target } from "../../cli/target";
import layout from "../../layout.json";
import { listAll } from "../../runtime/lake";
import { place } from "../../runtime/places";
import type { World } from "../../runtime/world";
import { oracle } from "../support/commands";
import { folders } from "../support/folders";

/** Where a dropped file must end. `gone`: its producer deleted it. */
export type End = "archive" | "quarantine/files" | "failed" | "gone";

const ENDS = { archive: folders.archived, "quarantine/files": folders.quarantinedFiles, failed: folders.failed };

interface Dropped {
  body: string;
  end: End;
  /** Whether its rows are in the metrics. */
  counted: boolean;
}

/** Every file that was ever dropped into a cloud, and where each must have ended. */
export class Account {
  private readonly dropped = new Map<string, Dropped>();

  /** `folder` holds what the oracle reads. */
  constructor(private readonly folder: string) {}

  async reference(files: Record<string, string>): Promise<void> {
    await mkdir(path.join(this.folder, "streams"), { recursive: true });
    for (const [key, body] of Object.entries(files)) await this.write(key, body);
  }

  /** Notes that a file was dropped, or dropped again. `name` is its key below incoming/. */
  async drop(name: string, body: string, end: End, counted: boolean): Promise<void> {
    this.dropped.set(name, { body, end, counted });
    await this.count(name);
  }

  /** Notes that a file was deleted from incoming/. */
  async withdraw(name: string, counted: boolean): Promise<void> {
    this.dropped.set(name, { ...this.dropped.get(name)!, end: "gone", counted });
    await this.count(name);
  }

  /** After the emulator was killed, files that had left incoming/ are processed again under another name. */
  comeAgain(waiting: ReadonlySet<string>): void {
    for (const [name, dropped] of [...this.dropped]) {
      if (waiting.has(`${layout.incoming}${name}`)) continue;
      this.dropped.delete(name);
      this.dropped.set(`again/${name}`, dropped);
    }
  }

  /** How many files one scenario dropped. */
  filesOf(scenario: string): number {
    return [...this.dropped.keys()].filter((name) => name.startsWith(`${scenario}/`)).length;
  }

  /** Checks that every file is in exactly one place, with its bytes, and that nothing else is there. */
  async checkBucket(world: World): Promise<void> {
    const copy = place("staged", { batchId: REFERENCE_COPY });
    for (const prefix of [layout.incoming, `${layout.listens}_`, folders.staged]) {
      const left = (await listAll(world, prefix)).filter(({ key }) => !key.startsWith(copy));
      assert.deepEqual(left, [], `nothing is left below ${prefix}`);
    }
    const found = new Map<string, string[]>();
    for (const [end, folder] of Object.entries(ENDS)) {
      for (const { key, etag } of await listAll(world, folder)) {
        // After the folder: the day, the batch, the file's name. A file processed again has its first batch in its
        // name.
        const name = key
          .slice(folder.length)
          .replace(/^[^/]+\/[^/]+\//, "")
          .replace(/^again\/[^/]+\//, "again/");
        found.set(name, [...(found.get(name) ?? []), `${end} ${etag}`]);
      }
    }
    for (const [name, { body, end }] of this.dropped) {
      // S3's ETag of an object that was not uploaded in parts is the MD5 of its bytes.
      const etag = `"${createHash("md5").update(body).digest("hex")}"`;
      assert.deepEqual(found.get(name) ?? [], end === "gone" ? [] : [`${end} ${etag}`], `${name} is where it belongs`);
      found.delete(name);
    }
    assert.deepEqual([...found.keys()], [], "nothing lies there that nobody dropped");
  }

  /** Checks that the metrics are those of all counted files, byte by byte. */
  async checkMetrics(target: Target): Promise<void> {
    const lines: string[] = [];
    await exportMetrics(target, (chunk) => void lines.push(String(chunk)));
    const wanted = await oracle(this.folder);
    assert.ok(lines.join("") === wanted, "the metrics are those of cli/audit/oracle.py over all dropped files");
  }

  private async count(name: string): Promise<void> {
    const { body, counted } = this.dropped.get(name)!;
    if (counted) await this.write(`streams/${name}`, body);
    else await rm(path.join(this.folder, "streams", name), { force: true });
  }

  private async write(file: string, body: string): Promise<void> {
    await mkdir(path.dirname(path.join(this.folder, file)), { recursive: true });
    await writeFile(path.join(this.folder, file), body);
  }
}
