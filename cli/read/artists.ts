import { parquetReadObjects } from "hyparquet";
import { type Found, listAll, readDocument } from "../../runtime/lake";
import { place } from "../../runtime/places";
import { storeOf, type Target } from "../target";
import { parquetObject } from "./parquet-object";

/** A track of the reference data. */
export interface ArtistTrack {
  trackId: string;
  name: string | undefined;
  artists: string;
}

/**
 * The tracks whose artists' text has this one in it, in any case, by artists and name. It reads the newest copy that
 * transform keeps of the reference data (docs/architecture.md, "Reference data"); undefined where there is none.
 */
export async function tracksOf(target: Target, artist: string): Promise<ArtistTrack[] | undefined> {
  const objects = await listAll(storeOf(target), place("staged", { batchId: "reference" }));
  const copies = objects.filter(({ key }) => key.endsWith("/copy.json"));
  const newest = copies.sort((one, other) => other.lastModifiedMs - one.lastModifiedMs);
  for (const { key } of newest) {
    const document = (await readDocument(storeOf(target), key)) as { objects?: { key: string }[] } | undefined;
    const wanted = new Set(document?.objects?.map((object) => object.key));
    const present = objects.filter((object) => wanted.has(object.key));
    // The bucket deletes an old copy object by object.
    if (!document || present.length < wanted.size) continue;
    const folder = `${key.slice(0, key.lastIndexOf("/"))}/tracks/`;
    const files = present.filter((object) => object.key.startsWith(folder));
    const found: ArtistTrack[] = [];
    for (const file of files) found.push(...(await matchesIn(target, file, artist.toLowerCase())));
    const order = new Intl.Collator("en");
    return found.sort(
      (one, other) => order.compare(one.artists, other.artists) || order.compare(one.name ?? "", other.name ?? ""),
    );
  }
  return undefined;
}

async function matchesIn(target: Target, object: Found, wanted: string): Promise<ArtistTrack[]> {
  const columns = ["track_id", "artists", "track_name"];
  const rows = await parquetReadObjects({ ...parquetObject(target, object), columns });
  return rows
    .filter(({ artists }) => artists?.toLowerCase().includes(wanted))
    .map(({ track_id, artists, track_name }) => ({ trackId: track_id, name: track_name ?? undefined, artists }));
}
