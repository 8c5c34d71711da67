import { count, counted, duration } from "../../terminal/format";
import { chart } from "../chart";
import { facts, type Html, html, link, pathTo, table } from "../html";
import type { Day, Numbers, Source, Track } from "../source";
import { still, type View } from "../view";

const dayMs = 86_400_000;
const neighbours = 7;
const daysShown = 1_000;
const countriesDrawn = 10;
const unknown = "-";
const tracksShown = 500;
const numbers = ["listens", "listeners", "listening time"];

function numbersOf({ listens, listeners, listeningMs }: Numbers): string[] {
  return [count(listens), count(listeners), listeningMs === undefined ? "-" : duration(listeningMs)];
}

function form(page: string, name: string, label: string, value: string): Html {
  return html`<form action="/${page}"><label>${label} <input name="${name}" value="${value}"></label>
<button>Show</button></form>`;
}

const searches = (date: string, genre = "", track = "", artist = "") =>
  html`${form("day", "date", "Day (UTC, YYYY-MM-DD)", date)}${form("genre", "name", "Genre", genre)}
${form("artist", "name", "Artist", artist)}${form("track", "id", "Track id", track)}`;

/** The days of a chart, with the one that the page is about. */
function drawDays(title: string, days: Day[], marked?: string): Promise<Html> {
  return chart({
    ...({ title, of: "day", measure: "listens", kind: "columns" } as const),
    rows: days.map(({ date, listens }) => ({
      name: date,
      value: Number(listens ?? 0n),
      text: count(listens),
      link: link(pathTo("day", { date }), date),
      isMarked: date === marked,
    })),
  });
}

/** Whether a text is a day of the calendar: Node takes 2024-02-31 for a day of March. */
function isDate(text: string): boolean {
  const ms = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().slice(0, 10) === text;
}

/** Which days there are. */
export async function daysView(source: Source): Promise<View> {
  const days = await source.listedDays();
  const rows = days
    .slice(0, daysShown)
    .map((day) => [link(pathTo("day", { date: day.date }), day.date), ...numbersOf(day)]);
  const title = `Days, newest first (${rows.length} of ${days.length})`;
  const list = rows.length === 0 ? html`<p>No day is listed.</p>` : table(title, ["day", ...numbers], rows, numbers);
  return still("Days", html`${searches(days[0]?.date ?? "")}${list}`);
}

/** A day: totals, its genres, tracks, hours and countries, and its neighbours. */
export async function dayView(source: Source, given: string | undefined): Promise<View> {
  const date = given || (await source.latestDay());
  if (date === undefined) return still("Day", html`<p>No day has metrics yet.</p>${searches("")}`);
  if (!isDate(date)) return still("Day", html`<p>${date} is no day. Write it as 2024-06-25.</p>${searches("")}`);
  const at = (days: number) => new Date(Date.parse(`${date}T00:00:00Z`) + days * dayMs).toISOString().slice(0, 10);
  const dates = Array.from({ length: 2 * neighbours + 1 }, (_, n) => at(n - neighbours));
  const [days, genres, all, { topTracks, hours, countries }] = await Promise.all([
    source.days(dates),
    source.topGenres(date),
    source.listedGenres(date),
    source.dayParts(date),
  ]);
  const own = days.find((day) => day.date === date);
  const totals = own
    ? facts(numbersOf(own).map((text, n) => [numbers[n] ?? "", text]))
    : html`<p>There are no metrics for ${date}.</p>`;
  const toGenre = (genre: string) => link(pathTo("genre", { name: genre, date }), genre);
  const bar = (name: string, { listens }: Numbers) => ({ name, value: Number(listens ?? 0n), text: count(listens) });
  const ofGenres = await chart({
    ...({ title: `Top genres of ${date}`, of: "genre", measure: "listens", kind: "bars" } as const),
    rows: genres.map(({ genre, ...of }) => ({ ...bar(genre, of), link: toGenre(genre) })),
  });
  const ofHours = await chart({
    ...({ title: `Listens by hour of ${date}`, of: "hour", measure: "listens", kind: "columns" } as const),
    rows: hours.map(({ hour, ...of }) => bar(hour, of)),
  });
  const ofCountries = await chart({
    ...({ title: `Top countries of ${date}`, of: "country", measure: "listens", kind: "bars" } as const),
    rows: countries.slice(0, countriesDrawn).map(({ country, ...of }) => bar(country ?? unknown, of)),
  });
  const allGenres = all.map(({ genre, ...of }) => [toGenre(genre), ...numbersOf(of)]);
  const allCountries = countries.map(({ country, ...of }) => [country ?? unknown, ...numbersOf(of)]);
  const parts = [
    {
      id: "day",
      html: html`${searches(date)}<nav class="paging" aria-label="Days">${link(pathTo("day", { date: at(-1) }), "Day before")}
${link(pathTo("day", { date: at(1) }), "Day after")}</nav>${totals}`,
    },
    { id: "genres", html: html`<h2>Genres</h2>${ofGenres}${everyOne(date, "genre", "genres", allGenres)}` },
    { id: "tracks", html: html`<h2>Top tracks</h2>${tracksOf(date, topTracks)}` },
    { id: "hours", html: html`<h2>Hours (UTC)</h2>${ofHours}` },
    {
      id: "countries",
      html: html`<h2>Countries</h2>${ofCountries}${everyOne(date, "country", "countries", allCountries)}`,
    },
    { id: "around", html: html`<h2>Days around it</h2>${await drawDays("Listens of the days around it", days, date)}` },
  ];
  return { title: `Day ${date}`, parts, isLive: false };
}

function everyOne(date: string, one: string, many: string, rows: (string | Html)[][]): Html {
  if (rows.length === 0) return html``;
  return html`<details id="all-${many}"><summary>All ${counted(rows.length, one, many)}</summary>
${table(`All ${many} of ${date}`, [one, ...numbers], rows, numbers)}</details>`;
}

function tracksOf(date: string, tracks: Track[]): Html {
  if (tracks.length === 0) return html`<p>No top tracks on ${date || "any day"}.</p>`;
  const rows = tracks.map((track) => [
    link(pathTo("track", { id: track.trackId }), track.trackId),
    ...[track.name ?? "-", track.artists ?? "-", ...numbersOf(track)],
  ]);
  return table(`Top tracks of ${date}`, ["track", "name", "artists", ...numbers], rows, numbers);
}

/** A genre: its days, and its top tracks on one of them. */
export async function genreView(source: Source, name: string, given: string | undefined): Promise<View> {
  const { days, topTracks } = await source.genre(name);
  const date = given ?? topTracks.at(-1)?.date ?? "";
  const tracks = topTracks.find((one) => one.date === date)?.tracks ?? [];
  const parts = [
    { id: "search", html: searches(date, name) },
    { id: "tracks", html: html`<h2>Top tracks</h2>${tracksOf(date, tracks)}` },
    { id: "days", html: html`<h2>Days</h2>${await drawDays("Listens of its latest days", days.slice(-60), date)}` },
  ];
  return { title: `Genre ${name}`, parts, isLive: false };
}

/** The tracks of an artist, as far as the reference data has them. */
export async function artistView(source: Source, name: string): Promise<View> {
  const tracks = name.trim() === "" ? [] : await source.artist(name.trim());
  const rows = tracks
    ?.slice(0, tracksShown)
    .map(({ trackId, ...of }) => [link(pathTo("track", { id: trackId }), trackId), of.name ?? "-", of.artists ?? "-"]);
  const found = !rows?.length
    ? html`<p>${tracks ? "No track of the reference data." : "The next batch prepares this search."}</p>`
    : table(`Tracks (${rows.length} of ${tracks?.length})`, ["track", "name", "artists"], rows);
  return still(`Artist ${name}`, html`${searches("", "", "", name)}${found}`);
}

/** A track: who made it, and its days. */
export async function trackView(source: Source, id: string): Promise<View> {
  const { name, artists, days } = await source.track(id);
  const about = html`<p>${name === undefined ? "Not in the reference data." : `${name}${artists ? ` by ${artists}` : ""}`}</p>`;
  const parts = [
    { id: "search", html: html`${searches("", "", id)}${about}` },
    { id: "days", html: html`<h2>Days</h2>${await drawDays("Listens of its latest days", days.slice(-60))}` },
  ];
  return { title: `Track ${id}`, parts, isLive: false };
}
