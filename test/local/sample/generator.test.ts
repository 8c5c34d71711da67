import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { generateSample, type SampleOptions, type SampleSummary } from "../../../local/sample/generator";
import { FULL, timeLimitMs } from "../../support/full";

/** A plain reader of RFC 4180, one character at a time. */
function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  let field = "";
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] as string;
    if (isQuoted) {
      if (character !== '"') field += character;
      else if (text[at + 1] === '"') {
        field += '"';
        at += 1;
      } else isQuoted = false;
    } else if (character === '"') isQuoted = true;
    else if (character === ",") {
      record.push(field);
      field = "";
    } else if (character === "\n") {
      records.push([...record, field.replace(/\r$/, "")]);
      record = [];
      field = "";
    } else field += character;
  }
  assert.deepEqual([record, field, isQuoted], [[], "", false], "the file ends in the middle of a record");
  return records;
}

const idRule = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** The instant of a listen_time in milliseconds, or undefined when it isn't one. */
function instantOf(text: string): number | undefined {
  const parts = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(Z|[+-]\d{2}:\d{2})?$/.exec(text);
  if (!parts) return undefined;
  const local = Date.parse(`${parts[1]}T${parts[2]}Z`);
  if (Number.isNaN(local) || new Date(local).toISOString().slice(0, 10) !== parts[1]) return undefined;
  return Date.parse(`${parts[1]}T${parts[2]}${parts[3] ?? "Z"}`);
}

/** Why a row goes into quarantine, by the rules of the pipeline; undefined for a good one. */
function faultOf(row: string[], columns: string[]): string | undefined {
  if (row.length !== columns.length) return "malformed_row";
  const [user, track, time] = ["user_id", "track_id", "listen_time"].map(
    (name) => row[columns.indexOf(name)] as string,
  ) as [string, string, string];
  if (user.trim() === "") return "missing_user_id";
  if (track.trim() === "") return "missing_track_id";
  if (!idRule.test(user) || !idRule.test(track)) return "bad_id";
  const instant = instantOf(time);
  if (instant === undefined) return "bad_listen_time";
  return instant < Date.parse("2000-01-01") || instant > Date.now() + 86_400_000
    ? "out_of_range_listen_time"
    : undefined;
}

/** Counts a sample again, from its files alone. */
async function recount(dir: string) {
  const column = async (file: string, name: string) => {
    const [head = [], ...rows] = parseCsv(await readFile(path.join(dir, "reference", file), "utf8"));
    assert.ok(rows.every((row) => row.length === head.length));
    return rows.map((row) => row[head.indexOf(name)] as string);
  };
  const songs = await column("songs.csv", "track_id");
  const [tracks, users] = [new Set(songs), new Set(await column("users.csv", "user_id"))];
  const counted = { rows: 0, listens: 0, duplicates: 0, badRows: {} as Record<string, number>, quarantinedFiles: 0 };
  const unknown = { tracks: 0, users: 0 };
  const seen = new Set<string>();
  const days = new Set<string>();
  let late = 0;
  for (const name of (await readdir(path.join(dir, "streams"))).sort((a, b) => (dayOf(a) < dayOf(b) ? -1 : 1))) {
    const bytes = await readFile(path.join(dir, "streams", name));
    const [head = [], ...rows] = parseCsv(
      (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString().replace(/^\ufeff/, ""),
    );
    const columns = head.map((title) => title.trim().toLowerCase());
    if (!["user_id", "track_id", "listen_time"].every((title) => columns.includes(title))) {
      counted.quarantinedFiles += 1;
      continue;
    }
    counted.rows += rows.length;
    for (const row of rows) {
      const fault = faultOf(row, columns);
      if (fault) {
        counted.badRows[fault] = (counted.badRows[fault] ?? 0) + 1;
        continue;
      }
      const [user, track, time] = ["user_id", "track_id", "listen_time"].map(
        (title) => row[columns.indexOf(title)] as string,
      );
      const instant = instantOf(time as string) as number;
      const listen = `${user} ${track} ${instant}`;
      if (seen.has(listen)) {
        counted.duplicates += 1;
        continue;
      }
      seen.add(listen);
      const day = new Date(instant).toISOString().slice(0, 10);
      days.add(day);
      if (day < dayOf(name)) late += 1;
      if (!tracks.has(track as string)) unknown.tracks += 1;
      if (!users.has(user as string)) unknown.users += 1;
    }
  }
  counted.listens = seen.size;
  return {
    ...counted,
    ...{
      lateListens: late,
      unknownTrackListens: unknown.tracks,
      unknownUserListens: unknown.users,
      songRows: songs.length,
    },
    days: [...days].sort(),
  };
}

function dayOf(name: string): string {
  return /\d{4}-\d{2}-\d{2}/.exec(name)?.[0] ?? "9999";
}

describe("The sample generator", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "music-streams-sample-"));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  async function digest(name: string, options: SampleOptions): Promise<string> {
    const folder = path.join(dir, name);
    await generateSample(folder, options);
    const hash = createHash("sha256");
    for (const file of (await readdir(folder, { recursive: true })).sort()) {
      if (/\.(csv|gz)$/.test(file)) hash.update(file).update(await readFile(path.join(folder, file)));
    }
    return hash.digest("hex");
  }

  it("gives the same bytes for the same seed, and others for another", async () => {
    const first = await digest("a", { seed: 7, listens: 3000 });
    assert.equal(await digest("b", { seed: 7, listens: 3000 }), first);
    assert.notEqual(await digest("c", { seed: 8, listens: 3000 }), first);
  });

  for (const options of [
    {},
    { seed: 4, listens: 2_000, days: 1, tracks: 30, users: 20 },
    { seed: 9, listens: FULL ? 40_000 : 12_000, days: 12 },
    // So few pairs of track and user that many listens collide within a second.
    { seed: 2, listens: FULL ? 60_000 : 12_000, days: 1, tracks: 2, users: 4 },
    { seed: 3, listens: 5, days: 5, tracks: 1, users: 3 },
  ] satisfies SampleOptions[]) {
    it(`counts what it writes, with ${JSON.stringify(options)}`, async function () {
      this.timeout(timeLimitMs(options.listens ?? 20_000, 10));
      const { files, genres, ...summary } = await generateSample(dir, options);
      assert.deepEqual(await recount(dir), summary);
      assert.equal(
        summary.rows,
        summary.listens + summary.duplicates + Object.values(summary.badRows).reduce((sum, rows) => sum + rows, 0),
      );
      assert.equal(
        files.reduce((sum, file) => sum + file.rows, 0),
        summary.rows,
      );
      assert.deepEqual(files.map(({ name }) => name).sort(), (await readdir(path.join(dir, "streams"))).sort());
      assert.ok(genres >= 1);
    });
  }

  it("gives by default what the quick start shows: 20,000 listens in three days, of all the oddities", async () => {
    const summary: SampleSummary = await generateSample(dir);
    assert.equal(summary.listens, 20_000);
    assert.deepEqual(summary.days, ["2025-06-13", "2025-06-14", "2025-06-15"]);
    assert.ok(summary.genres >= 5);
    const { duplicates, lateListens, unknownTrackListens, unknownUserListens } = summary;
    for (const oddities of [duplicates, lateListens, unknownTrackListens, unknownUserListens])
      assert.ok(oddities > 100, String(oddities));
    const reasons = [
      "bad_id",
      "bad_listen_time",
      "malformed_row",
      "missing_track_id",
      "missing_user_id",
      "out_of_range_listen_time",
    ];
    assert.deepEqual(Object.keys(summary.badRows).sort(), reasons);
    assert.deepEqual(
      summary.files.filter(({ reason }) => reason),
      [{ name: "no-header.csv", rows: 0, reason: "missing_columns" }],
    );
    assert.equal(summary.files.filter(({ name }) => name.endsWith(".csv.gz")).length, 1);
  });

  it("writes a file with another header, a BOM, CRLF and line ends within quotes", async () => {
    const { files } = await generateSample(dir);
    const name = files.find((file) => file.name.startsWith("partner"))?.name ?? "";
    const text = await readFile(path.join(dir, "streams", name), "utf8");
    assert.ok(text.startsWith("\ufeffListen_Time, Device ,TRACK_ID,User_Id\r\n"));
    assert.match(text, /,"the ""big"" speaker",/);
    assert.match(text, /,"living\nroom",/);
  });

  it("gives songs quotes, commas, other scripts, several genres and several artists", async () => {
    await generateSample(dir);
    const [head = [], ...songs] = parseCsv(await readFile(path.join(dir, "reference", "songs.csv"), "utf8"));
    const values = (column: string) => songs.map((song) => song[head.indexOf(column)] as string);
    assert.equal(head.length, 21);
    const names = values("track_name");
    for (const oddity of [/"/, /,/, /[^ -~]/, /^\d+$/])
      assert.ok(
        names.some((name) => oddity.test(name)),
        String(oddity),
      );
    assert.ok(values("artists").some((artist) => artist.includes(";")));
    assert.ok(values("duration_ms").includes(""));
    const genresOf = new Map<string, Set<string>>();
    values("track_id").forEach((track, nth) => {
      genresOf.set(track, (genresOf.get(track) ?? new Set()).add(values("track_genre")[nth] as string));
    });
    assert.ok([...genresOf.values()].some((genres) => genres.size > 1));
    assert.ok(genresOf.size < songs.length - 10);
  });

  it("has a few tracks that are heard much, and many that are heard seldom", async () => {
    await generateSample(dir, { days: 1 });
    const [, ...rows] = parseCsv(await readFile(path.join(dir, "streams", "listens-2025-06-15-1.csv"), "utf8"));
    const heard = new Map<string, number>();
    for (const [, track] of rows) heard.set(track as string, (heard.get(track as string) ?? 0) + 1);
    const most = [...heard.values()].sort((a, b) => b - a);
    const topTen = most.slice(0, 10).reduce((sum, listens) => sum + listens, 0) / rows.length;
    assert.ok(topTen > 0.2 && topTen < 0.6, `the ten most popular of 400 tracks have ${topTen} of all listens`);
  });

  for (const [options, message] of [
    [{ lastDay: "2999-01-01" }, /must not be in the future/],
    [{ lastDay: "2025-02-30" }, /must be a date/],
    [{ lastDay: "2000-01-02", days: 3 }, /before 2000-01-01/],
    [{ listens: 0 }, /listens must be a whole number/],
    [{ days: 1.5 }, /days must be a whole number/],
    [{ listens: 2, days: 3 }, /at least one listen for each/],
    [{ listens: 10_000_000, tracks: 2, users: 2 }, /need more than/],
  ] satisfies [SampleOptions, RegExp][]) {
    it(`refuses ${JSON.stringify(options)}`, async function () {
      this.timeout(timeLimitMs(options.listens ?? 20_000, 10));
      await assert.rejects(
        generateSample(dir, options),
        (error) => error instanceof RangeError && message.test(error.message),
      );
    });
  }

  it("writes over its own files, and refuses a folder with others in it", async () => {
    await generateSample(dir, { listens: 100 });
    await generateSample(dir, { listens: 100 });
    await writeFile(path.join(dir, "streams", "mine.csv"), "");
    await assert.rejects(generateSample(dir, { listens: 100 }), /mine\.csv is not part of this sample/);
  });
});
