import { folderOf } from "../../runtime/places";
import type { LakeObject, Source } from "./source";

/** Where a file can lie when its batch is settled. */
export const kinds = ["archived", "quarantinedFile", "failed"] as const;
export type Kind = (typeof kinds)[number];

/** The objects below a dated folder (`archive/{date}/{batchId}/...`), batch by batch, in the order of their keys. */
export class DatedFolder {
  private next: LakeObject | undefined;
  private readonly root: string;
  private readonly listing: AsyncGenerator<LakeObject>;

  constructor(
    source: Source,
    kind: Kind,
    /** Gets the objects that no batch asks for. */
    private readonly stray: (object: LakeObject) => void,
  ) {
    this.root = folderOf(kind);
    this.listing = source.objects(this.root);
  }

  /** The objects of one batch. Call it in the order of (day, batch): it skips the objects before. */
  async take(day: string, batchId: string): Promise<LakeObject[]> {
    const wanted = `${day}/${batchId}/`;
    const taken: LakeObject[] = [];
    for (let object = await this.peek(); object; object = await this.peek()) {
      const [, folder] = /^([^/]+\/[^/]+\/)./.exec(object.key.slice(this.root.length)) ?? [];
      if (folder !== undefined && folder > wanted) break;
      if (folder === wanted) taken.push(object);
      // The AWS console makes a folder as an empty object whose key ends in a slash.
      else if (!(object.key.endsWith("/") && object.size === 0)) this.stray(object);
      this.next = undefined;
    }
    return taken;
  }

  /** Reads the list to its end; nobody asked for what is left. */
  async drain(): Promise<void> {
    await this.take("\uffff", "");
  }

  private async peek(): Promise<LakeObject | undefined> {
    this.next ??= (await this.listing.next()).value as LakeObject | undefined;
    return this.next;
  }
}
