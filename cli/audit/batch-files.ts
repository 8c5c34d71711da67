import type { Batch, Manifest, ManifestFile, Moves, TransformReport } from "../../runtime/batch";
import { incoming, place } from "../../runtime/places";
import type { Kind } from "./dated-folders";
import type { Findings } from "./findings";
import type { LakeObject, Source } from "./source";

/** S3 copies larger objects only in parts, and such a copy has another ETag (Amazon S3: CopyObject). */
const LARGEST_SINGLE_COPY = 5 * 1024 ** 3;

/**
 * A batch's file that lies in its place. `reason`: why it is quarantined, null when no report says. `file`: the file as
 * claimed, where that is known.
 */
export type Settled =
  | { is: "archived" | "failed"; file: ManifestFile; key: string }
  | { is: "quarantined"; file?: ManifestFile; key: string; reason: string | null };

/** Checks the files of one settled batch. `objects`: what lies in its folders, by key. */
export class BatchFiles {
  private readonly unexplained: Map<string, { kind: Kind; object: LakeObject }>;

  constructor(
    private readonly source: Source,
    private readonly findings: Findings,
    private readonly batch: Batch,
    private readonly manifest: Manifest,
    objects: Map<Kind, Map<string, LakeObject>>,
    private readonly waiting: Map<string, LakeObject>,
  ) {
    this.unexplained = new Map();
    for (const [kind, ofKind] of objects)
      for (const [key, object] of ofKind) this.unexplained.set(key, { kind, object });
  }

  /** An archived batch that still has the manifest of its claim. */
  async archived(report: TransformReport) {
    const { batchId, day, moves } = this.batch;
    const reasons = new Map(report.filesQuarantined.map(({ name, reason }) => [name, reason]));
    const changed = new Set(report.filesChanged.map(({ name }) => name));
    const settled: Settled[] = [];
    const absent: { file: ManifestFile; key: string }[] = [];
    for (const file of this.manifest.files) {
      if (!moves?.held) this.checkIncoming(file);
      if (changed.has(file.name)) continue;
      const reason = reasons.get(file.name);
      const kind = reason === undefined ? "archived" : "quarantinedFile";
      const key = place(kind, { date: day!, batchId, name: file.name });
      if (!(await this.claim(key, file))) absent.push({ file, key });
      else if (reason === undefined) settled.push({ is: "archived", file, key });
      else settled.push({ is: "quarantined", file, key, reason });
    }
    const mayBeAbsent = notMoved(moves) - changed.size;
    if (absent.length > mayBeAbsent)
      for (const { file, key } of absent)
        this.wrong(
          "a file is lost",
          key,
          mayBeAbsent > 0
            ? `the file; only ${mayBeAbsent} of ${absent.length} absent files are changed or held files`
            : "the file",
          "no object",
          `put the object back from the bucket's versions (of this key, or of ${file.key})`,
        );
    else this.checkMoves(settled, this.manifest.files.length - settled.length);
    this.reportUnexpected();
    return { settled, isIncomplete: absent.some(({ file }) => !reasons.has(file.name)) };
  }

  /** A batch with a replay: its manifest names the files in the archive, and separately those that were never read. */
  async replayed() {
    const { batchId, day, moves } = this.batch;
    const folder = place("archived", { date: day!, batchId, name: "" });
    const settled: Settled[] = [];
    for (const file of this.manifest.files) {
      this.checkIncoming(file);
      if (!file.key.startsWith(folder))
        this.wrong("a file is archived in another batch's folder", file.key, `a key below ${folder}`, file.key);
      else if (await this.claim(file.key, file)) settled.push({ is: "archived", file, key: file.key });
      else
        this.wrong(
          "a file is lost",
          file.key,
          "the file",
          "no object",
          "put the object back from the bucket's versions",
        );
    }
    const isComplete = settled.length === this.manifest.files.length;
    for (const file of this.manifest.notReplayed ?? []) {
      // The replay replaced the report that had the reason. Changed files have no place.
      const key = place("quarantinedFile", { date: day!, batchId, name: file.name });
      if (await this.claim(key, file)) settled.push({ is: "quarantined", file, key, reason: null });
    }
    if (isComplete) this.checkMoves(settled, notMoved(moves));
    this.reportUnexpected();
    return { settled, isIncomplete: !isComplete };
  }

  /** A FAILED batch. `gone`: files that are not in failed/; a retry may have put them back. */
  async failed() {
    const { batchId, day, moves, retriedAt } = this.batch;
    const gone: { batch: Batch; name: string; place: string }[] = [];
    const settled: Settled[] = [];
    for (const file of this.manifest.files) {
      if (!moves?.held) this.checkIncoming(file);
      const key = place("failed", { date: day!, batchId, name: file.name });
      // After a retry no object may be here.
      if (retriedAt === undefined && (await this.claim(key, file))) settled.push({ is: "failed", file, key });
      else gone.push({ batch: this.batch, name: file.name, place: key });
    }
    this.reportUnexpected();
    return { settled, gone: gone.length > notMoved(moves) ? gone : [] };
  }

  /** Reports the objects that nothing explains. */
  reportUnexpected(): void {
    for (const [key] of this.unexplained) {
      if (key.endsWith("/")) continue;
      const isTwice = this.manifest.files.some(({ name }) => key.endsWith(`/${this.batch.batchId}/${name}`));
      this.wrong(
        isTwice ? "a file is in two places, or in the wrong one" : "a file of no batch",
        key,
        isTwice ? "no object: the batch's reports say another place" : "a file of the batch's manifest",
        `an object in the folder of batch ${this.batch.batchId} (${this.batch.state})`,
        `delete the object if the same bytes lie where the file belongs; else move it to ${incoming()}`,
      );
    }
  }

  /** Takes the object at a key for the file, if there is one, and compares it with what was claimed. */
  private async claim(key: string, file: ManifestFile): Promise<boolean> {
    const there = this.unexplained.get(key);
    if (!there) return false;
    this.unexplained.delete(key);
    const { object } = there;
    if (object.size !== file.size)
      this.wrong(
        "a file has another size than was claimed",
        key,
        `${file.size} bytes`,
        `${object.size} bytes`,
        fromVersions,
      );
    else if (keepsEtag(file, object) && object.etag !== file.etag && (await this.source.hasPlainEtag(key)))
      this.wrong(
        "a file has other bytes than were claimed",
        key,
        `ETag ${file.etag}`,
        `ETag ${object.etag}`,
        fromVersions,
      );
    return true;
  }

  /** Checks that the claimed version left incoming/. The same bytes may have been dropped again since. */
  private checkIncoming(file: ManifestFile): void {
    const object = this.waiting.get(incoming() + file.name);
    if (object?.etag !== file.etag || object.lastModifiedMs > Date.parse(this.batch.claimedAt)) return;
    this.wrong(
      `a file is still in ${incoming()} after its batch`,
      object.key,
      "no object, or a later one",
      `the claimed version, of ${new Date(object.lastModifiedMs).toISOString()}`,
      "leave it: a later batch claims it, and its listens are not counted twice",
    );
  }

  private checkMoves(settled: Settled[], elsewhere: number): void {
    const { moves } = this.batch;
    const quarantined = settled.filter(({ is }) => is === "quarantined").length;
    const found = { moved: settled.length - quarantined, quarantined, elsewhere };
    const recorded = {
      moved: moves?.moved ?? 0,
      quarantined: moves?.quarantined ?? 0,
      elsewhere: notMoved(moves),
    };
    if (JSON.stringify(found) !== JSON.stringify(recorded))
      this.wrong(
        "the ledger counts other moves",
        `batch ${this.batch.batchId}`,
        `moves ${JSON.stringify(recorded)} (ledger)`,
        `${JSON.stringify(found)} (bucket)`,
        "compare the folders of the batch with its manifest; the bucket's versions hold what was deleted",
      );
  }

  private wrong(what: string, where: string, expected: string, found: string, remedy = fromVersions): void {
    this.findings.breach({ check: "files", what, where, expected, found, remedy, batches: [this.batch.batchId] });
  }
}

/** Files that are in no folder of their batch, by the ledger's counts. */
function notMoved(moves: Moves | undefined): number {
  return (moves?.left ?? 0) + (moves?.missing ?? 0) + (moves?.held ?? 0);
}

const fromVersions = "put the object back from the bucket's versions";

/** Whether a copy has the original's ETag. One with a dash is of an upload in parts: a copy in one call has another. */
function keepsEtag(file: ManifestFile, object: LakeObject): boolean {
  return !file.etag.includes("-") && !object.etag.includes("-") && file.size <= LARGEST_SINGLE_COPY;
}
