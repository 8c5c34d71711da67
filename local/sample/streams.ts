import path from "node:path";
import { badRows, type Listen, listensOfDay } from "./listens";
import type { Random } from "./random";
import { type Cast, isKnownTrack, isKnownUser } from "./reference";
import { openWriter, type SampleWriter } from "./writer";

/** The contents of a sample, with which the results of the pipeline can be checked. */
export interface SampleSummary {
  /** The stream files' names below streams/ in the order of writing. One with a `reason` is a quarantined file. */
  files: { name: string; rows: number; reason?: string }[];
  /** Data rows of the readable files: listens + duplicates + bad rows. */
  rows: number;
  /** Valid distinct listens, those of unknown tracks and users among them. */
  listens: number;
  /** Valid rows that repeat a listen, in the same file or an earlier one. */
  duplicates: number;
  /** Rows for quarantine by reason. */
  badRows: Record<string, number>;
  /** Listens that come in a file of a later day. */
  lateListens: number;
  unknownTrackListens: number;
  unknownUserListens: number;
  quarantinedFiles: number;
  days: string[];
  songRows: number;
  genres: number;
}

/** How a stream file is written. */
export type Style = "plain" | "gzip" | "shuffled";

export const headerless = "no-header.csv";
const headerlessRows = 25;

// Distances in rows between oddities of real files. They are fixed, so that a small sample has each of them too.
const repeatEvery = 41;
const badEvery = 67;
const lateEvery = 53;
/** The last rows of a producer, which may be repeated. They reach back into the file before. */
const recentRows = 200;

/** A day and the files for its listens. */
export interface PlannedDay {
  date: string;
  midnight: number;
  listens: number;
  files: { name: string; style: Style }[];
}

/** Writes the stream files, and counts their contents. */
export class StreamsOf {
  #written = 0;
  #bad = 0;
  /** The last listens, which may be repeated. */
  readonly #recent: Listen[] = [];
  /** Listens that the producer sends with those of the next day. */
  #late: Listen[] = [];

  constructor(
    readonly dir: string,
    readonly random: Random,
    readonly cast: Cast,
    readonly summary: SampleSummary,
  ) {}

  async write(plan: PlannedDay[]): Promise<void> {
    for (const [nth, day] of plan.entries()) await this.#writeDay(day, nth === plan.length - 1);
    await this.#writeHeaderless(plan.at(-1) as PlannedDay);
  }

  async #writeDay(day: PlannedDay, isLast: boolean): Promise<void> {
    const listens = listensOfDay(this.random, this.cast, day.midnight, day.listens);
    const heldBack = this.#late.splice(0);
    this.summary.lateListens += heldBack.length;
    for (const [part, { name, style }] of day.files.entries()) {
      const writer = await openWriter(path.join(this.dir, name));
      const file = { name, rows: 0 };
      this.summary.files.push(file);
      const row = (fields: string[]) => this.#add(writer, file, style, fields);
      writer.add(headers[style]);
      if (part === 0) for (const listen of heldBack) await this.#listen(listen, row);
      const share = Math.ceil(day.listens / day.files.length);
      for (let taken = 0; taken < share; taken += 1) {
        const { value: listen, done } = listens.next();
        if (done) break;
        if (!isLast && taken % lateEvery === 2) this.#late.push(listen);
        else await this.#listen(listen, row);
      }
      await writer.close();
    }
  }

  /** Writes a listen, and after some of them a row that is not a new listen. */
  async #listen(listen: Listen, row: (fields: string[]) => Promise<void>): Promise<void> {
    await row(this.#fields(listen, timeForm(this.#written)));
    this.summary.listens += 1;
    if (!isKnownTrack(listen.track)) this.summary.unknownTrackListens += 1;
    if (!isKnownUser(listen.user)) this.summary.unknownUserListens += 1;
    this.#recent[this.#written % recentRows] = listen;
    this.#written += 1;
    if (this.#written % repeatEvery === 7) {
      // The same listen, sometimes in another time format.
      const repeated = this.random.pick(this.#recent);
      await row(this.#fields(repeated, this.random.chance(0.3) ? "zulu" : "plain"));
      this.summary.duplicates += 1;
    }
    if (this.#written % badEvery === 11) await this.#badRow(listen, row);
  }

  async #badRow(listen: Listen, row: (fields: string[]) => Promise<void>): Promise<void> {
    const reasons = Object.keys(badRows);
    const reason = reasons[this.#bad % reasons.length] as string;
    this.#bad += 1;
    const [user, track, time] = this.#fields(listen, "plain") as [string, string, string];
    const spoil = this.random.pick(badRows[reason] as (typeof badRows)[string]);
    await row(spoil([user, track, time], this.random));
    this.summary.badRows[reason] = (this.summary.badRows[reason] ?? 0) + 1;
  }

  #fields(listen: Listen, form: TimeForm): string[] {
    return [
      this.cast.userIds[listen.user] as string,
      this.cast.trackIds[listen.track] as string,
      timeText(listen.second, form),
    ];
  }

  async #add(writer: SampleWriter, file: { rows: number }, style: Style, fields: string[]): Promise<void> {
    file.rows += 1;
    this.summary.rows += 1;
    if (writer.add(lines[style](fields, file.rows))) await writer.flush();
  }

  /** Writes a file without a header: nothing identifies its columns, so the pipeline quarantines the whole file. */
  async #writeHeaderless(day: PlannedDay): Promise<void> {
    const writer = await openWriter(path.join(this.dir, headerless));
    for (const listen of listensOfDay(this.random, this.cast, day.midnight, headerlessRows)) {
      writer.add(lines.plain(this.#fields(listen, "plain"), 0));
    }
    await writer.close();
    this.summary.files.push({ name: headerless, rows: 0, reason: "missing_columns" });
  }
}

const headers: Record<Style, string> = {
  plain: "user_id,track_id,listen_time\n",
  gzip: "user_id,track_id,listen_time\n",
  shuffled: "\ufeffListen_Time, Device ,TRACK_ID,User_Id\r\n",
};

const devices = ["phone", '"car, front seat"', '"the ""big"" speaker"', '"living\nroom"', ""];

/** A row of a file, from user_id, track_id, listen_time. A row with fewer or more fields keeps their number. */
const lines: Record<Style, (fields: string[], nth: number) => string> = {
  plain: (fields) => `${fields.join(",")}\n`,
  gzip: (fields) => `${fields.join(",")}\n`,
  shuffled: ([user = "", track, time, ...surplus], nth) => {
    const turned = [time, devices[nth % devices.length] as string, track, user, ...surplus];
    return `${turned.filter((field) => field !== undefined).join(",")}\r\n`;
  },
};

type TimeForm = "plain" | "zulu" | "offset";

/** Most producers write `2025-06-15 12:30:00`. Some write ISO 8601, with Z or their own zone. */
function timeForm(nth: number): TimeForm {
  if (nth % 29 === 3) return "zulu";
  return nth % 31 === 5 ? "offset" : "plain";
}

function timeText(second: number, form: TimeForm): string {
  if (form === "offset") return `${new Date((second + 2 * 3600) * 1000).toISOString().slice(0, 19)}+02:00`;
  const iso = new Date(second * 1000).toISOString();
  return form === "zulu" ? `${iso.slice(0, 19)}Z` : `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
}
