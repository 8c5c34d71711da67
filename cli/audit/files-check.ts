import layout from "../../layout.json";
import type { Batch, Manifest, ManifestFile, TransformReport } from "../../runtime/batch";
import { incoming, place } from "../../runtime/places";
import { type Documents, isOfReplay, readManifest, roleOf } from "./documents";
import type { Findings } from "./findings";
import type { LakeObject, Ledger, Source } from "./source";

/** Above this size S3 copies in parts only, and a copy in parts has an ETag of its own (Amazon S3: CopyObject). */
const LARGEST_SINGLE_COPY = 5 * 1024 ** 3;

/** Where a file can lie after its batch. */
const kinds = ["archived", "quarantinedFile", "failed"] as const;
type Kind = (typeof kinds)[number];

/**
 * A batch's file that is where it must be. `reason`: for which it is quarantined, null when no report says; `file`: as it was claimed, where that is
 * known.
 */
export type Settled =
  | { is: "archived" | "failed"; file: ManifestFile; key: string }
  | { is: "quarantined"; file?: ManifestFile; key: string; reason: string | null };

/** Objects below a dated folder (`archive/{date}/{batchId}/...`), handed out a batch at a time, in the order of their keys. */
class DatedFolder {
  private next: LakeObject | undefined;
  private readonly root: string;
  private readonly listing: AsyncGenerator<LakeObject>;

  constructor(
    source: Source,
    kind: Kind,
    private readonly stranger: (object: LakeObject) => void,
  ) {
    this.root = layout[kind].split("{date}")[0]!;
    this.listing = source.objects(this.root);
  }

  /** The objects of one batch; to be called in the order of (day, batch). What no call asks for is a stranger's. */
  async take(day: string, batchId: string): Promise<LakeObject[]> {
    const wanted = `${day}/${batchId}/`;
    const taken: LakeObject[] = [];
    for (let object = await this.peek(); object; object = await this.peek()) {
      const [, folder] = /^([^/]+\/[^/]+\/)./.exec(object.key.slice(this.root.length)) ?? [];
      if (folder !== undefined && folder > wanted) break;
      if (folder === wanted) taken.push(object);
      // An empty object whose key ends in a slash is a folder to the console, and to nobody a file.
      else if (!(object.key.endsWith("/") && object.size === 0)) this.stranger(object);
      this.next = undefined;
    }
    return taken;
  }

  /** Ends the list; all that is left is a stranger's. */
  async drain(): Promise<void> {
    await this.take("\uffff", "");
  }

  private async peek(): Promise<LakeObject | undefined> {
    this.next ??= (await this.listing.next()).value as LakeObject | undefined;
    return this.next;
  }
}

/** A FAILED batch's file, whose way back is not written down anywhere but in later manifests. */
interface PutAside {
  batchId: string;
  settledAt: string;
  name: string;
  size: number;
  /** A later batch claimed the name, with any bytes or with as many as were put aside. */
  claimedAgain: boolean;
  claimedAlike: boolean;
}

/** Holds every file of every settled batch against the places that it can be in. Batches must come by (day, batchId). */
export class FilesCheck {
  private readonly folders: Record<Kind, DatedFolder>;
  private readonly waiting = new Map<string, LakeObject>();
  private readonly putAside = new Map<string, PutAside[]>();
  private readonly missingFailed: { batch: Batch; name: string; place: string }[] = [];

  constructor(
    private readonly source: Source,
    private readonly ledger: Ledger,
    private readonly findings: Findings,
  ) {
    const folder = (kind: Kind) => new DatedFolder(source, kind, (object) => this.tellStranger(object));
    this.folders = {
      archived: folder("archived"),
      quarantinedFile: folder("quarantinedFile"),
      failed: folder("failed"),
    };
  }

  /** Reads what waits in incoming/, and which files were ever put aside as failed: a later batch may have claimed them again. */
  async open(): Promise<void> {
    for await (const object of this.source.objects(incoming())) this.waiting.set(object.key, object);
    this.findings.look("files", "waiting objects", this.waiting.size);
    for (const [batchId, batch] of this.ledger.batches) {
      if (roleOf(batch) !== "failed") continue;
      for (const { name, size } of (await readManifest(this.source, batchId))?.files ?? []) {
        const later = { claimedAgain: false, claimedAlike: false };
        const aside = { batchId, settledAt: batch.settledAt!, name, size, ...later };
        this.putAside.set(name, [...(this.putAside.get(name) ?? []), aside]);
      }
    }
  }

  /** Checks one batch; gives its files that are in the archive or in quarantine, and whether others that it read are not. */
  async checkBatch(batch: Batch, documents: Documents): Promise<{ settled: Settled[]; isIncomplete: boolean }> {
    const nothing = { settled: [], isIncomplete: true };
    const { manifest } = documents;
    for (const file of manifest?.files ?? [])
      for (const aside of this.putAside.get(file.name) ?? [])
        if (aside.batchId !== batch.batchId && batch.claimedAt >= aside.settledAt) {
          aside.claimedAgain = true;
          aside.claimedAlike ||= file.size === aside.size;
        }
    if (batch.day === undefined) return nothing;
    const objects = new Map<Kind, Map<string, LakeObject>>();
    for (const kind of kinds) {
      const taken = await this.folders[kind].take(batch.day, batch.batchId);
      this.findings.look("files", "objects", taken.length);
      objects.set(kind, new Map(taken.map((object) => [object.key, object])));
    }
    const role = roleOf(batch);
    // A batch in flight moves its files; what keeps others from being settled is the ledger's matter.
    if (role === "working") return nothing;
    if (!manifest || (role === "archived" && !documents.transform)) {
      const what = manifest ? "report" : "manifest";
      this.findings.inform("files", `batches whose files are not audited, because their ${what} is missing`);
      return nothing;
    }
    this.findings.look("files", "batches");
    this.findings.look("files", "files", role === "split" ? 0 : manifest.files.length);
    const one = new OneBatch(this.source, this.findings, batch, manifest, objects, this.waiting);
    if (role === "split") one.tellUnexpected();
    else if (role === "failed") {
      const { settled, gone } = await one.failed();
      this.missingFailed.push(...gone);
      return { settled, isIncomplete: false };
    } else if (isOfReplay(manifest)) return one.replayed();
    else return one.archived(documents.transform!);
    return { settled: [], isIncomplete: false };
  }

  /** What can only be said when every batch has been seen. */
  async close(): Promise<void> {
    for (const kind of kinds) await this.folders[kind].drain();
    for (const { batch, name, place: where } of this.missingFailed) {
      const aside = this.putAside.get(name)!.find(({ batchId }) => batchId === batch.batchId)!;
      const waiting = this.waiting.get(incoming() + name);
      // Once it was noted that the file went back, its producer may have overwritten it; without a note, only the file itself will do.
      const isBack =
        batch.retriedAt === undefined
          ? waiting?.size === aside.size || aside.claimedAlike
          : waiting !== undefined || aside.claimedAgain;
      if (isBack) {
        if (batch.retriedAt === undefined)
          this.findings.inform(
            "files",
            "failed files are back in incoming/ without a note (moved by hand): once they are processed, npm run retry notes it",
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

  private tellStranger(object: LakeObject): void {
    const [, batchId] = /\/\d{4}-\d\d-\d\d\/([^/]+)\//.exec(object.key) ?? [];
    this.findings.look("files", "objects");
    this.findings.breach({
      check: "files",
      what: "a file of no batch",
      where: object.key,
      expected: "a batch of the ledger that moved it there",
      found: batchId && this.ledger.batches.has(batchId) ? "a batch with another day" : "none",
      remedy: "move it back to incoming/ if its rows may be missing: what is known already is not counted again",
      batches: batchId ? [batchId] : [],
    });
  }
}

/** The files of one settled batch. `objects`: what lies in its folders, by key. */
class OneBatch {
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

  /** An archived batch whose manifest is that of its claim. */
  async archived(report: TransformReport) {
    const { batchId, day, moves } = this.batch;
    const reasons = new Map(report.filesQuarantined.map(({ name, reason }) => [name, reason]));
    const changed = new Set(report.filesChanged.map(({ name }) => name));
    const settled: Settled[] = [];
    const absent: { file: ManifestFile; key: string }[] = [];
    for (const file of this.manifest.files) {
      this.checkIncoming(file);
      if (changed.has(file.name)) continue;
      const reason = reasons.get(file.name);
      const kind = reason === undefined ? "archived" : "quarantinedFile";
      const key = place(kind, { date: day!, batchId, name: file.name });
      if (!(await this.claim(key, file))) absent.push({ file, key });
      else if (reason === undefined) settled.push({ is: "archived", file, key });
      else settled.push({ is: "quarantined", file, key, reason });
    }
    const mayBeAbsent = (moves?.left ?? 0) + (moves?.missing ?? 0) - changed.size;
    if (absent.length > mayBeAbsent)
      for (const { file, key } of absent)
        this.wrong(
          "a file is lost",
          key,
          mayBeAbsent > 0 ? `the file, or ${mayBeAbsent} of ${absent.length} such left in incoming/` : "the file",
          "no object",
          `put the object back from the bucket's versions (of this key, or of ${file.key})`,
        );
    else this.checkMoves(settled, this.manifest.files.length - settled.length);
    this.tellUnexpected();
    return { settled, isIncomplete: absent.some(({ file }) => !reasons.has(file.name)) };
  }

  /** A batch that was, or is being, replayed: its manifest names the files where they lie, and apart those that were never read. */
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
      // The report that said why is gone with the replay; those that were overwritten unread are nowhere.
      const key = place("quarantinedFile", { date: day!, batchId, name: file.name });
      if (await this.claim(key, file)) settled.push({ is: "quarantined", file, key, reason: null });
    }
    if (isComplete) this.checkMoves(settled, (moves?.left ?? 0) + (moves?.missing ?? 0));
    this.tellUnexpected();
    return { settled, isIncomplete: !isComplete };
  }

  /** A FAILED batch. `gone`: files that are not where they were put; they may have been put back. */
  async failed() {
    const { batchId, day, moves, retriedAt } = this.batch;
    const gone: { batch: Batch; name: string; place: string }[] = [];
    const settled: Settled[] = [];
    for (const file of this.manifest.files) {
      if (!moves?.held) this.checkIncoming(file);
      const key = place("failed", { date: day!, batchId, name: file.name });
      // After a retry an object here is unexpected.
      if (retriedAt === undefined && (await this.claim(key, file))) settled.push({ is: "failed", file, key });
      else gone.push({ batch: this.batch, name: file.name, place: key });
    }
    this.tellUnexpected();
    const left = (moves?.left ?? 0) + (moves?.missing ?? 0) + (moves?.held ?? 0);
    return { settled, gone: gone.length > left ? gone : [] };
  }

  /** All that no rule of the batch explains. */
  tellUnexpected(): void {
    for (const [key] of this.unexplained) {
      if (key.endsWith("/")) continue;
      const isTwice = this.manifest.files.some(({ name }) => key.endsWith(`/${this.batch.batchId}/${name}`));
      this.wrong(
        isTwice ? "a file is in two places, or in a wrong one" : "a file of no batch",
        key,
        isTwice ? "no object: the batch's reports say another place" : "a file of the batch's manifest",
        `an object in the folder of batch ${this.batch.batchId} (${this.batch.state})`,
        "delete the object if the same bytes lie where the file belongs; else move it to incoming/",
      );
    }
  }

  /** Takes an object for the file's, if there is one, and holds it against what was claimed. */
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

  /** The version that was claimed is gone from incoming/; the same bytes may have been dropped again since. */
  private checkIncoming(file: ManifestFile): void {
    const object = this.waiting.get(incoming() + file.name);
    if (object?.etag !== file.etag || object.lastModifiedMs > Date.parse(this.batch.claimedAt)) return;
    this.wrong(
      "a file is still in incoming/ after its batch",
      object.key,
      "no object, or a later one",
      `the claimed version, of ${new Date(object.lastModifiedMs).toISOString()}`,
      "leave it: it is claimed again, and its listens are not counted twice",
    );
  }

  private checkMoves(settled: Settled[], elsewhere: number): void {
    const { moves } = this.batch;
    const quarantined = settled.filter(({ is }) => is === "quarantined").length;
    const found = { moved: settled.length - quarantined, quarantined, elsewhere };
    const said = {
      moved: moves?.moved ?? 0,
      quarantined: moves?.quarantined ?? 0,
      elsewhere: (moves?.left ?? 0) + (moves?.missing ?? 0),
    };
    if (JSON.stringify(found) !== JSON.stringify(said))
      this.wrong(
        "the ledger counts other moves",
        `batch ${this.batch.batchId}`,
        `moves ${JSON.stringify(said)} (ledger)`,
        `${JSON.stringify(found)} (bucket)`,
        "compare the folders of the batch with its manifest; the bucket's versions hold what was deleted",
      );
  }

  private wrong(what: string, where: string, expected: string, found: string, remedy = fromVersions): void {
    this.findings.breach({ check: "files", what, where, expected, found, remedy, batches: [this.batch.batchId] });
  }
}

const fromVersions = "put the object back from the bucket's versions";

/** A dash stands in the ETag of an object that was uploaded in parts; a copy of it in one call has another. */
function keepsEtag(file: ManifestFile, object: LakeObject): boolean {
  return !file.etag.includes("-") && !object.etag.includes("-") && file.size <= LARGEST_SINGLE_COPY;
}
