import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { counted } from "../../terminal/format";
import { sampleDefaults } from "./defaults";
import { mostInOneSecond, secondsOfDay } from "./listens";
import { seededRandom } from "./random";
import { writeReference } from "./reference";
import { headerless, type PlannedDay, type SampleSummary, StreamsOf, type Style } from "./streams";

/** How much sample data, and which. Numbers are whole. */
export interface SampleOptions {
  /** The same seed (with the same other options) gives the same bytes. */
  seed?: number;
  /** Distinct valid listens. */
  listens?: number;
  tracks?: number;
  users?: number;
  /** Number of days up to `lastDay`. */
  days?: number;
  /** YYYY-MM-DD, not in the future. Default: a fixed day, so that a sample is the same on every day. */
  lastDay?: string;
}

export type { SampleSummary } from "./streams";

const rowsPerFile = 1_000_000;

/**
 * Writes sample data below `dir`: reference/users.csv, reference/songs.csv, and stream files in streams/, with the
 * oddities of real data (docs/data.md has the rules for them). It streams its output: memory does not grow with
 * `listens`.
 * @throws RangeError for invalid options, and when `dir` holds files of anything but such a sample
 */
export async function generateSample(dir: string, options: SampleOptions = {}): Promise<SampleSummary> {
  const wanted = checkOptions({ ...sampleDefaults, ...withoutUndefined(options) });
  const random = seededRandom(wanted.seed);
  const plan = planFiles(wanted);
  const folders = { reference: path.join(dir, "reference"), streams: path.join(dir, "streams") };
  await refuseOtherFiles(folders.reference, ["users.csv", "songs.csv"]);
  await refuseOtherFiles(folders.streams, [...plan.flatMap((day) => day.files.map((file) => file.name)), headerless]);
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });

  const cast = await writeReference(folders.reference, random, wanted);
  const summary: SampleSummary = {
    ...{
      files: [],
      rows: 0,
      listens: 0,
      duplicates: 0,
      badRows: {},
      lateListens: 0,
      unknownTrackListens: 0,
      unknownUserListens: 0,
    },
    ...{ quarantinedFiles: 1, days: plan.map((day) => day.date), songRows: cast.songRows, genres: cast.genres },
  };
  await new StreamsOf(folders.streams, random, cast, summary).write(plan);
  return summary;
}

function withoutUndefined(options: SampleOptions): SampleOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function checkOptions(options: Required<SampleOptions>): Required<SampleOptions> {
  const limits = {
    seed: [0, 2 ** 32 - 1],
    listens: [1, 1e9],
    tracks: [1, 5e6],
    users: [1, 1e7],
    days: [1, 3660],
  } as const;
  for (const [name, [least, most]] of Object.entries(limits)) {
    const value = options[name as keyof typeof limits];
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new RangeError(`${name} must be a whole number from ${least} to ${most}, not ${value}.`);
    }
  }
  const { lastDay, days, listens, tracks, users } = options;
  const midnight = Date.parse(`${lastDay}T00:00:00Z`);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(lastDay) || Number.isNaN(midnight) || dateOf(midnight / 1000) !== lastDay) {
    throw new RangeError(`The last day must be a date as YYYY-MM-DD, not ${lastDay}.`);
  }
  if (midnight > Date.now()) throw new RangeError(`The last day must not be in the future; ${lastDay} is.`);
  if (dateOf(midnight / 1000 - (days - 1) * secondsOfDay) < "2000-01-01")
    throw new RangeError("No day may be before 2000-01-01.");
  if (listens < days)
    throw new RangeError(
      `There must be at least one listen for each of the ${counted(days, "day")}, not ${listens} in all.`,
    );
  if (mostInOneSecond(Math.ceil(listens / days)) > tracks * users) {
    throw new RangeError(
      `${counted(listens, "distinct listen")} in ${counted(days, "day")} need more than ${counted(tracks, "track")} and ${counted(users, "user")}.`,
    );
  }
  return options;
}

/** Refuses a folder with other files, which would become part of the sample. */
async function refuseOtherFiles(folder: string, own: string[]): Promise<void> {
  const present = await readdir(folder).catch(() => []);
  const other = present.find((name) => !own.includes(name));
  if (other)
    throw new RangeError(
      `${path.join(folder, other)} is not part of this sample. Choose an empty folder, or remove ${folder} first.`,
    );
}

/**
 * Several files a day. Of all files, the second has another header and CRLF; the third and every ninth after it is
 * gzip.
 */
function planFiles({ listens, days, lastDay }: Required<SampleOptions>): PlannedDay[] {
  const last = Date.parse(`${lastDay}T00:00:00Z`) / 1000;
  let nthFile = 0;
  return Array.from({ length: days }, (_, day) => {
    const midnight = last - (days - 1 - day) * secondsOfDay;
    const date = dateOf(midnight);
    const ofDay = Math.floor(listens / days) + (day < listens % days ? 1 : 0);
    const files = Array.from({ length: Math.max(days === 1 ? 3 : 2, Math.ceil(ofDay / rowsPerFile)) }, (_, part) => {
      nthFile += 1;
      const style: Style = nthFile === 2 ? "shuffled" : nthFile % 9 === 3 ? "gzip" : "plain";
      const name =
        style === "shuffled" ? `partner export ${date} [${part + 1}].csv` : `listens-${date}-${part + 1}.csv`;
      return { name: style === "gzip" ? `${name}.gz` : name, style };
    });
    return { date, midnight, listens: ofDay, files };
  });
}

function dateOf(second: number): string {
  return new Date(second * 1000).toISOString().slice(0, 10);
}
