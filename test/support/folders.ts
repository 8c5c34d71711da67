import { curatedFolder, folderOf, place } from "../../runtime/places";

/** The bucket's folders by what lies in them, each with its slash. Tests name none by itself: layout.json does. */
export const folders = {
  incoming: folderOf("incoming"),
  archived: folderOf("archived"),
  failed: folderOf("failed"),
  quarantinedFiles: folderOf("quarantinedFile"),
  quarantinedRows: folderOf("quarantinedRows"),
  batches: folderOf("manifest"),
  curated: curatedFolder(),
  listens: folderOf("listens"),
  staged: folderOf("staged"),
  reference: folderOf("reference"),
  forgotten: folderOf("forgotten"),
  scripts: folderOf("scripts"),
};

/** The name that a file gets in a dated folder of any batch: its own, or a shortened one. */
export function placedName(kind: "archived" | "quarantinedFile" | "failed", name: string): string {
  const parts = { date: "2026-11-23", batchId: "20261123T100000Z-AAAAAAAA" };
  return place(kind, { ...parts, name }).slice(place(kind, { ...parts, name: "" }).length);
}
