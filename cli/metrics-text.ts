import { brief, count, duration, printable, table } from "../terminal/format";
import { besideMetrics, type Item, jsonItem, mapsOf, textOf, wholeOf } from "./items";
import type { ArtistTrack } from "./read/artists";

const nameLimit = 48;
/** Tables of tracks with shorter names fit 80 columns. */
const trackLimit = 30;
const artistLimit = 24;
const countriesShown = 10;

function listening(item: Item | undefined, name: string): string {
  const milliseconds = wholeOf(item, name);
  return milliseconds === undefined ? "-" : duration(milliseconds);
}

const numbers = ["listens", "listeners", "listening time", "a listener"];

function numbersOf(item: Item): string[] {
  return [
    count(wholeOf(item, "listens")),
    count(wholeOf(item, "unique_listeners")),
    listening(item, "listening_ms"),
    listening(item, "avg_listening_ms_per_listener"),
  ];
}

/** All days, newest first, as text. */
export function daysText(days: Item[]): string {
  if (days.length === 0) return "No day has metrics yet.\n";
  const totals = ["listens", "unique_listeners", "tracks", "genres"];
  const head = ["day", "listens", "listeners", "tracks", "genres", "listening time"];
  const rows = days.map((day) => [
    printable(dateOf(day)),
    ...totals.map((name) => count(wholeOf(day, name))),
    listening(day, "listening_ms"),
  ]);
  return `${table(head, rows, head.slice(1))}\n`;
}

/** The day of a summary. */
export function dateOf(summary: Item): string {
  return (textOf(summary, "pk") ?? "").slice("DAY#".length);
}

/** The genre of a genre's item. */
export function genreOf(item: Item): string {
  return (textOf(item, "pk") ?? "").slice("GENRE#".length);
}

/** The most heard first. */
export function byListens(genres: Item[]): Item[] {
  const listens = (item: Item) => wholeOf(item, "listens") ?? 0n;
  return genres.toSorted((a, b) => (listens(a) === listens(b) ? 0 : listens(a) < listens(b) ? 1 : -1));
}

/** All genres of a day, as text. */
export function genresText(date: string, genres: Item[]): string {
  if (genres.length === 0) return `No genre of ${date} is listed.\n`;
  const rows = genres.map((genre) => [brief(genreOf(genre), nameLimit), ...numbersOf(genre)]);
  return `${date}\n${table(["genre", ...numbers], rows, numbers)}\n`;
}

/** Items as an array of JSON, each as `metrics export` has it. */
export function itemsJson(items: Item[]): string {
  return items.length === 0 ? "[]\n" : `[\n${items.map((item) => jsonItem(item, besideMetrics)).join(",\n")}\n]\n`;
}

/** A day's totals and its top genres, as text. */
export function dayText(date: string, summary: Item | undefined, top: Item | undefined): string {
  const totals = ["listens", "unique_listeners", "tracks", "genres"].map((name) => count(wholeOf(summary, name)));
  const head = ["listens", "listeners", "tracks", "genres", "listening time"];
  const day = table(head, [[...totals, listening(summary, "listening_ms")]], head);
  const genres = mapsOf(top, "genres").map((genre) => [
    count(wholeOf(genre, "rank")),
    brief(textOf(genre, "genre") ?? "-", nameLimit),
    ...numbersOf(genre).slice(0, 3),
  ]);
  const topHead = ["#", "genre", ...numbers.slice(0, 3)];
  const tops = genres.length > 0 ? table(topHead, genres, ["#", ...numbers]) : "No track of this day has a genre.";
  return `${date}\n${day}\n\nTop genres\n${tops}\n`;
}

/** All that is published of a day itself, as text. A day of an earlier version has fewer items. */
export function wholeDayText(date: string, items: Item[]): string {
  const [summary, genres, tracks, hours, countries] = ["SUMMARY", "TOP_GENRES", "TOP_TRACKS", "HOURS", "COUNTRIES"].map(
    (sk) => items.find((item) => textOf(item, "sk") === sk),
  );
  const counts = numbers.slice(0, 3);
  const partsOf = (item: Item | undefined, list: string, nameOf: (entry: Item) => string) =>
    mapsOf(item, list).map((entry) => [nameOf(entry), ...numbersOf(entry).slice(0, 3)]);
  const byHour = partsOf(hours, "hours", (entry) => count(wholeOf(entry, "hour")).padStart(2, "0"));
  const byCountry = partsOf(countries, "countries", (entry) => brief(textOf(entry, "country") ?? "-", nameLimit));
  const shown = byCountry.slice(0, countriesShown);
  const parts = [
    ...(tracks ? [`Top tracks\n${topTracksTable(tracks)}`] : []),
    ...(hours ? [`Hours (UTC)\n${table(["hour", ...counts], byHour, counts)}`] : []),
    ...(countries
      ? [
          `Countries (${shown.length} of ${byCountry.length}; - is unknown)\n${table(["country", ...counts], shown, counts)}`,
        ]
      : []),
  ];
  return [dayText(date, summary, genres), ...parts.map((part) => `${part}\n`)].join("\n");
}

/** An artist's tracks, as text. */
export function artistText(tracks: ArtistTrack[]): string {
  const rows = tracks.map(({ trackId, name, artists }) => [
    printable(trackId),
    ...[name ?? "-", artists].map((text) => brief(text, artistLimit)),
  ]);
  return `${table(["track", "name", "artists"], rows)}\n`;
}

/** The days of a track's or genre's items, the latest first: sort keys are DAY#<date>. */
export function daysOf(items: Item[]): { date: string; item: Item }[] {
  return items
    .flatMap((item) => {
      const sk = textOf(item, "sk") ?? "";
      return sk.startsWith("DAY#") ? [{ date: sk.slice("DAY#".length), item }] : [];
    })
    .sort((a, b) => (a.date < b.date ? 1 : -1));
}

/** A genre's days and its top tracks on `date` (default: the latest day), as text; undefined if it has no such day. */
export function genreText(name: string, items: Item[], date?: string): string | undefined {
  const days = daysOf(items);
  const tops = items.flatMap((item) => /^TOP_TRACKS#(.*)$/s.exec(textOf(item, "sk") ?? "")?.[1] ?? []);
  const shown = date ?? [...days.map((day) => day.date), ...tops].sort().at(-1);
  const top = items.find((item) => textOf(item, "sk") === `TOP_TRACKS#${shown}`);
  if (date !== undefined && !top && !days.some((day) => day.date === date)) return undefined;
  const daysTable = table(
    ["day", ...numbers],
    days.map(({ date: day, item }) => [printable(day), ...numbersOf(item)]),
    numbers,
  );
  const tracks = topTracksTable(top);
  return `Genre ${printable(name)}\n${daysTable}\n\nTop tracks of ${printable(shown ?? "-")}\n${tracks}\n`;
}

/** A ranking of tracks: name and artists, and below them the id. Fits 80 columns. */
function topTracksTable(top: Item | undefined): string {
  const rows = mapsOf(top, "tracks").map((track) => {
    const artists = textOf(track, "artists");
    const name = `${textOf(track, "track_name") ?? "-"}${artists === undefined ? "" : ` by ${artists}`}`;
    const id = printable(textOf(track, "track_id") ?? "-");
    return [count(wholeOf(track, "rank")), `${brief(name, trackLimit)}\n${id}`, ...numbersOf(track).slice(0, 3)];
  });
  return table(["#", "track", ...numbers.slice(0, 3)], rows, ["#", ...numbers]);
}

/** A track's days, as text. */
export function trackText(id: string, items: Item[]): string {
  const days = daysOf(items);
  const latest = days[0]?.item;
  const known = textOf(latest, "track_name");
  const artists = textOf(latest, "artists");
  const title =
    known === undefined
      ? "not in the reference data"
      : `${printable(known)}${artists ? ` by ${printable(artists)}` : ""}`;
  const daysTable = table(
    ["day", ...numbers],
    days.map(({ date, item }) => [printable(date), ...numbersOf(item)]),
    numbers,
  );
  return `Track ${printable(id)}: ${title}\n${daysTable}\n`;
}
