import path from "node:path";
import { csvField } from "../../terminal/format";
import { type Random, zipf } from "./random";
import { openWriter, type SampleWriter } from "./writer";

/** The tracks and users of the listens, the most popular first. Some are in no reference file. */
export interface Cast {
  trackIds: string[];
  userIds: string[];
  songRows: number;
  genres: number;
}

const genres = ["ambient", "bossa nova", "chanson", "drum-and-bass", "folk", "hip-hop", "jazz", "synth-pop"];
const countries = [
  "Brazil",
  "Côte d'Ivoire",
  "Germany",
  "India",
  "Japan",
  "Korea, Republic of",
  "Norway",
  "United States",
];
const openings = [
  "Ba",
  "Do",
  "Fen",
  "Gla",
  "Ka",
  "Lu",
  "Mi",
  "Nor",
  "Ori",
  "Pel",
  "Ra",
  "Sol",
  "Tam",
  "Ve",
  "Wil",
  "Zu",
];
const endings = ["bel", "dan", "fia", "gor", "ka", "lin", "mo", "nia", "ra", "ris", "ta", "vik", "zen"];
const things = [
  "Harbour",
  "Lantern",
  "Meadow",
  "Signal",
  "Orchard",
  "Window",
  "Glacier",
  "Staircase",
  "Ferry",
  "Copper",
  "Paper Moth",
  "Tidal",
];
const moods = ["Slow", "Northern", "Borrowed", "Electric", "Seventh", "Quiet", "Distant", "Golden", "Broken", "Early"];
const otherScripts = [
  "Ævintýri",
  "Señal Perdida",
  "雨の階段",
  "Тихий свет",
  "Été Électrique",
  "밤의 항구",
  "Über den Dächern",
  "🎷 Nights",
];
const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const idLength = 22;

/** Whether the reference data has a track, given its position in the cast. */
export function isKnownTrack(position: number): boolean {
  return position % 12 !== 7;
}

/** Whether the reference data has a user, given its position in the cast. */
export function isKnownUser(position: number): boolean {
  return position % 40 !== 21;
}

function csvLine(fields: (string | number)[]): string {
  return `${fields.map((field) => csvField(String(field))).join(",")}\n`;
}

function person(random: Random): string {
  const name = () => random.pick(openings) + random.pick(endings);
  return `${name()} ${name()}`;
}

/** A title as real data has them: with commas, quotes, other scripts, or like a number. */
function title(random: Random, nth: number): string {
  const plain = `${random.pick(moods)} ${random.pick(things)}`;
  if (nth % 23 === 4) return `"${plain}" (from the film "${random.pick(things)}")`;
  if (nth % 19 === 3) return `${plain}, Pt. ${1 + random.below(4)}`;
  if (nth % 13 === 2) return `${random.pick(otherScripts)} ${nth}`;
  if (nth % 61 === 5) return String(100 + random.below(900)).padStart(4, "0");
  return plain;
}

function artists(random: Random): string {
  const one = random.chance(0.3) ? `The ${random.pick(things)}s` : person(random);
  if (random.chance(0.03)) return `${one}, Jr.`;
  return random.chance(0.15) ? `${one};${person(random)}` : one;
}

async function add(writer: SampleWriter, text: string): Promise<void> {
  if (writer.add(text)) await writer.flush();
}

/** Writes users.csv and songs.csv to `dir`, with made-up names, and returns the users and tracks. */
export async function writeReference(
  dir: string,
  random: Random,
  size: { tracks: number; users: number },
): Promise<Cast> {
  const users = await writeUsers(path.join(dir, "users.csv"), random, size.users);
  return { ...users, ...(await writeSongs(path.join(dir, "songs.csv"), random, size.tracks)) };
}

async function writeUsers(file: string, random: Random, count: number): Promise<Pick<Cast, "userIds">> {
  const writer = await openWriter(file);
  const userIds = Array.from({ length: count }, (_, index) => String(index + 1));
  writer.add("user_id,user_name,user_age,user_country,created_at\n");
  // The most active users are not those who signed up first.
  shuffle(userIds, random);
  const known = userIds.filter((_, position) => isKnownUser(position)).map(Number);
  for (const userId of known.sort((a, b) => a - b)) {
    const age = random.chance(0.02) ? "" : 13 + random.below(70);
    const createdAt = `202${random.below(5)}-${two(1 + random.below(12))}-${two(1 + random.below(28))}`;
    await add(writer, csvLine([userId, person(random), age, random.pick(countries), createdAt]));
  }
  await writer.close();
  return { userIds };
}

async function writeSongs(file: string, random: Random, count: number): Promise<Omit<Cast, "userIds">> {
  const taken = new Set<string>();
  while (taken.size < count)
    taken.add(Array.from({ length: idLength }, () => base62[random.below(base62.length)]).join(""));
  const trackIds = [...taken];
  const byGenre = genres.map((): string[] => []);
  const genreOf = zipf(genres.length, 3);
  for (const [nth, trackId] of trackIds.entries()) {
    if (!isKnownTrack(nth)) continue;
    const about = songFields(trackId, nth, random);
    const first = genreOf(random);
    // A track with several genres has a row for each. One row in fifty is there twice.
    const rows =
      nth % 7 === 3
        ? [first, (first + 1) % genres.length, ...(nth % 14 === 3 ? [(first + 4) % genres.length] : [])]
        : [first];
    for (const genre of nth % 50 === 9 ? [...rows, first] : rows) {
      byGenre[genre]?.push(csvLine([...about, genres[genre] as string]));
    }
  }
  const writer = await openWriter(file);
  writer.add(`${songColumns.join(",")}\n`);
  let id = 0;
  for (const row of byGenre.flat()) {
    await add(writer, `${id},${row}`);
    id += 1;
  }
  await writer.close();
  return { trackIds, songRows: id, genres: byGenre.filter((rows) => rows.length > 0).length };
}

const songColumns = [
  ...[
    "id",
    "track_id",
    "artists",
    "album_name",
    "track_name",
    "popularity",
    "duration_ms",
    "explicit",
    "danceability",
    "energy",
    "key",
    "loudness",
  ],
  ...[
    "mode",
    "speechiness",
    "acousticness",
    "instrumentalness",
    "liveness",
    "valence",
    "tempo",
    "time_signature",
    "track_genre",
  ],
];

/**
 * A song's columns from track_id to time_signature. Some durations are missing: such a listen has no listening time.
 */
function songFields(trackId: string, nth: number, random: Random): (string | number)[] {
  const share = () => (random.below(1000) / 1000).toFixed(3);
  const name = title(random, nth);
  const durationMs = nth % 97 === 11 ? "" : 45_000 + random.below(420_000);
  return [
    ...[
      trackId,
      artists(random),
      random.chance(0.3) ? name : `${random.pick(moods)} Things`,
      name,
      random.below(101),
      durationMs,
    ],
    ...[
      random.chance(0.1) ? "True" : "False",
      share(),
      share(),
      random.below(12),
      `-${random.below(30)}.${random.below(10)}`,
      random.below(2),
    ],
    ...[
      share(),
      share(),
      share(),
      share(),
      share(),
      `${60 + random.below(140)}.${random.below(10)}`,
      3 + random.below(3),
    ],
  ];
}

/** Fisher-Yates, in place. */
function shuffle(items: unknown[], random: Random): void {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const other = random.below(last + 1);
    [items[last], items[other]] = [items[other], items[last]];
  }
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
