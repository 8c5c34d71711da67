import { curatedFolder, folderOf } from "../../runtime/places";

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
  scripts: folderOf("scripts"),
};
