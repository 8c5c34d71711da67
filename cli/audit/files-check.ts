import type { Batch } from "../../runtime/batch";
import { incoming } from "../../runtime/places";
import { BatchFiles, type Settled } from "./batch-files";
import { DatedFolder, type Kind, kinds } from "./dated-folders";
import { type Documents, isOfReplay, readManifest, roleOf } from "./documents";
import type { Findings } from "./findings";
import type { LakeObject, Ledger, Source } from "./source";

/** A FAILED batch's file. Only later manifests show that it was put back and claimed again. */
interface FailedFile {
  batchId: string;
  settledAt: string;
  name: string;
  size: number;
  /** A later batch claimed the name: with any size, or with the same size. */
  claimedAgain: boolean;
  claimedAlike: boolean;
}

/**
 * Checks that every file of every settled batch lies in its place. Call it for the batches in the order of (day,
 * batchId).
 */
export class FilesCheck {
  private readonly folders: Record<Kind, DatedFolder>;
  private readonly waiting = new Map<string, LakeObject>();
  private readonly failedFiles = new Map<string, FailedFile[]>();
  private readonly missingFailed: { batch: Batch; name: string; place: string }[] = [];

  constructor(
    private readonly source: Source,
    private readonly ledger: Ledger,
    private readonly findings: Findings,
  ) {
    const folder = (kind: Kind) => new DatedFolder(source, kind, (object) => this.reportStray(object));
    this.folders = {
      archived: folder("archived"),
      quarantinedFile: folder("quarantinedFile"),
      failed: folder("failed"),
    };
  }

  /** Reads the files in incoming/, and the names of all failed files: a later batch may have claimed them again. */
  async open(): Promise<void> {
    for await (const object of this.source.objects(incoming())) this.waiting.set(object.key, object);
    this.findings.look("files", "waiting objects", this.waiting.size);
    for (const [batchId, batch] of this.ledger.batches) {
      if (roleOf(batch) !== "failed") continue;
      for (const { name, size } of (await readManifest(this.source, batchId))?.files ?? []) {
        const later = { claimedAgain: false, claimedAlike: false };
        const failed = { batchId, settledAt: batch.settledAt!, name, size, ...later };
        this.failedFiles.set(name, [...(this.failedFiles.get(name) ?? []), failed]);
      }
    }
  }

  /** Checks one batch. Returns its files that lie in their places, and whether others that it read do not. */
  async checkBatch(batch: Batch, documents: Documents): Promise<{ settled: Settled[]; isIncomplete: boolean }> {
    const nothing = { settled: [], isIncomplete: true };
    const { manifest } = documents;
    for (const file of manifest?.files ?? [])
      for (const failed of this.failedFiles.get(file.name) ?? [])
        if (failed.batchId !== batch.batchId && batch.claimedAt >= failed.settledAt) {
          failed.claimedAgain = true;
          failed.claimedAlike ||= file.size === failed.size;
        }
    if (batch.day === undefined) return nothing;
    const objects = new Map<Kind, Map<string, LakeObject>>();
    for (const kind of kinds) {
      const taken = await this.folders[kind].take(batch.day, batch.batchId);
      this.findings.look("files", "objects", taken.length);
      objects.set(kind, new Map(taken.map((object) => [object.key, object])));
    }
    const role = roleOf(batch);
    // A batch in flight moves its files. The check `ledger` reports others that are not settled.
    if (role === "working") return nothing;
    if (!manifest || (role === "archived" && !documents.transform)) {
      const what = manifest ? "report" : "manifest";
      this.findings.inform("files", `batches whose files are not audited, because their ${what} is missing`);
      return nothing;
    }
    this.findings.look("files", "batches");
    this.findings.look("files", "files", role === "split" ? 0 : manifest.files.length);
    const one = new BatchFiles(this.source, this.findings, batch, manifest, objects, this.waiting);
    if (role === "split") one.reportUnexpected();
    else if (role === "failed") {
      const { settled, gone } = await one.failed();
      this.missingFailed.push(...gone);
      return { settled, isIncomplete: false };
    } else if (isOfReplay(manifest)) return one.replayed();
    else return one.archived(documents.transform!);
    return { settled: [], isIncomplete: false };
  }

  /** Reports what is known only after every batch. */
  async close(): Promise<void> {
    for (const kind of kinds) await this.folders[kind].drain();
    for (const { batch, name, place: where } of this.missingFailed) {
      const failed = this.failedFiles.get(name)!.find(({ batchId }) => batchId === batch.batchId)!;
      const waiting = this.waiting.get(incoming() + name);
      // With retriedAt, its producer may have overwritten the file since; without, only a file of the same size counts.
      const isBack =
        batch.retriedAt === undefined
          ? waiting?.size === failed.size || failed.claimedAlike
          : waiting !== undefined || failed.claimedAgain;
      if (isBack) {
        if (batch.retriedAt === undefined)
          this.findings.inform(
            "files",
            `failed files are back in ${incoming()} without a note (moved by hand): once they are processed, npm run retry notes it`,
          );
        continue;
      }
      this.findings.breach({
        check: "files",
        what: batch.retriedAt === undefined ? "a file is lost" : "a failed file that was put back is lost",
        where: batch.retriedAt === undefined ? where : incoming() + name,
        expected: batch.retriedAt === undefined ? "the failed file" : "the file, or a later batch that claimed it",
        found: "neither there nor in a later batch",
        remedy: "put the object back from the bucket's versions",
        batches: [batch.batchId],
      });
    }
  }

  private reportStray(object: LakeObject): void {
    const [, batchId] = /\/\d{4}-\d\d-\d\d\/([^/]+)\//.exec(object.key) ?? [];
    this.findings.look("files", "objects");
    this.findings.breach({
      check: "files",
      what: "a file of no batch",
      where: object.key,
      expected: "a batch of the ledger that moved it there",
      found: batchId && this.ledger.batches.has(batchId) ? "a batch with another day" : "none",
      remedy:
        batchId && !this.ledger.batches.has(batchId)
          ? `npm run replay -- ${batchId}, while the pipeline is paused; without its manifest, move it to ${incoming()}`
          : `move it back to ${incoming()} if its rows may be missing: known listens are not counted again`,
      batches: batchId ? [batchId] : [],
    });
  }
}
