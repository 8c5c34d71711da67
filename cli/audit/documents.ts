import type { Batch, Manifest, TransformReport } from "../../runtime/batch";
import { incoming, place } from "../../runtime/places";
import type { Document, Source } from "./source";

/** The documents of a batch. One that is missing or malformed is undefined. */
export interface Documents {
  manifest: Manifest | undefined;
  transform: TransformReport | undefined;
  publish: Record<string, unknown> | undefined;
  /** The days in touched.json: every day that the batch ever wrote to. */
  touched: string[];
}

/**
 * How an audit treats a batch. `archived`, `failed`, `split`: settled. `replaying`: archived, and a replay is requested
 * or at work. `working`: anything else.
 */
export type Role = "archived" | "failed" | "split" | "replaying" | "working";

export function roleOf(batch: Batch): Role {
  if (batch.state === "ARCHIVED") return batch.settledAt === undefined ? "working" : "archived";
  if (batch.replay) return "replaying";
  if (batch.settledAt !== undefined && batch.state === "FAILED") return "failed";
  return batch.settledAt !== undefined && batch.state === "SPLIT" ? "split" : "working";
}

export async function readDocuments(source: Source, batchId: string): Promise<Documents> {
  const [manifest, transform, publish, touched] = await Promise.all([
    source.document(place("manifest", { batchId })),
    source.document(place("transformReport", { batchId })),
    source.document(place("publishReport", { batchId })),
    source.document(place("touched", { batchId })),
  ]);
  return {
    manifest: asManifest(manifest),
    transform: asTransformReport(transform),
    publish: publish.is === "there" ? publish.content : undefined,
    touched: touched.is === "there" && Array.isArray(touched.content.days) ? touched.content.days.map(String) : [],
  };
}

export async function readManifest(source: Source, batchId: string): Promise<Manifest | undefined> {
  return asManifest(await source.document(place("manifest", { batchId })));
}

function asManifest(document: Document): Manifest | undefined {
  if (document.is !== "there") return undefined;
  const { files } = document.content as Partial<Manifest>;
  const isWhole = (file: Manifest["files"][number]) =>
    [file?.key, file?.name, file?.etag].every((text) => typeof text === "string") && Number.isSafeInteger(file.size);
  return Array.isArray(files) && files.every(isWhole) ? (document.content as unknown as Manifest) : undefined;
}

function asTransformReport(document: Document): TransformReport | undefined {
  if (document.is !== "there") return undefined;
  const { files, filesQuarantined, filesChanged } = document.content as Partial<TransformReport>;
  const lists = [files, filesQuarantined, filesChanged];
  return lists.every((list) => Array.isArray(list)) ? (document.content as unknown as TransformReport) : undefined;
}

/**
 * Whether a manifest was written for a replay: it names the files by their keys in the archive, and only those there.
 */
export function isOfReplay(manifest: Manifest): boolean {
  return manifest.files.length === 0 || manifest.files.some(({ key }) => !key.startsWith(incoming()));
}

/** How many files of an archived batch are not in the archive, according to the ledger. */
export function notInArchive({ moves }: Batch): number {
  return (moves?.quarantined ?? 0) + (moves?.left ?? 0) + (moves?.missing ?? 0) + (moves?.held ?? 0);
}
