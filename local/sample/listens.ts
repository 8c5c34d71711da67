import { type Random, zipf } from "./random";
import type { Cast } from "./reference";

/** A valid listen: ids as positions in the cast, time in seconds since the epoch. */
export interface Listen {
  user: number;
  track: number;
  second: number;
}

export const secondsOfDay = 86_400;

/** Weights of a day's hours, from midnight. */
const hours = [3, 2, 1, 1, 1, 2, 4, 6, 7, 6, 6, 6, 7, 6, 6, 6, 7, 8, 9, 10, 10, 9, 7, 5];
const hoursTotal = hours.reduce((sum, hour) => sum + hour, 0);
const busiest = Math.max(...hours) / hoursTotal;

/** The most listens that can fall into one second when `listens` are spread over a day. */
export function mostInOneSecond(listens: number): number {
  return Math.ceil((listens * busiest) / 3600) + 1;
}

/** The time at which the given share (0 to 1) of a day's listens has been heard, in seconds from midnight. */
function secondAt(share: number): number {
  let left = share * hoursTotal;
  for (const [hour, weight] of hours.entries()) {
    if (left < weight) return Math.floor((hour + left / weight) * 3600);
    left -= weight;
  }
  return secondsOfDay - 1;
}

/**
 * A day's listens in order of time, each (user, track, second) once. Time never goes back, so it only needs to remember
 * the pairs of the current second.
 */
export function* listensOfDay(random: Random, cast: Cast, midnight: number, count: number): Generator<Listen> {
  const trackRank = zipf(cast.trackIds.length, 3);
  const userRank = zipf(cast.userIds.length, 60);
  const tracks = cast.trackIds.length;
  const pairs = tracks * cast.userIds.length;
  const taken = new Set<number>();
  let second = -1;
  for (let nth = 0; nth < count; nth += 1) {
    const now = midnight + secondAt((nth + random.next()) / count);
    if (now !== second) taken.clear();
    second = now;
    let pair = userRank(random) * tracks + trackRank(random);
    while (taken.has(pair)) pair = (pair + 1) % pairs;
    taken.add(pair);
    yield { user: Math.floor(pair / tracks), track: pair % tracks, second };
  }
}

/** The reasons for which transform quarantines a row (docs/data.md), with examples made from a good row. */
export const badRows: Record<string, ((good: [string, string, string], random: Random) => string[])[]> = {
  malformed_row: [([user, track]) => [user, track], ([user, track, time]) => [user, track, time, "surplus"]],
  missing_user_id: [([, track, time]) => ["", track, time]],
  missing_track_id: [([user, , time]) => [user, "", time], ([user, , time]) => [user, "  ", time]],
  bad_id: [
    ([user, track, time]) => [user, `${track}?si=1`, time],
    ([user, track, time]) => [`user/${user}`, track, time],
  ],
  bad_listen_time: [
    ([user, track]) => [user, track, "2024-02-30 12:00:00"],
    ([user, track]) => [user, track, "yesterday"],
    ([user, track, time]) => [user, track, time.slice(0, 10)],
  ],
  out_of_range_listen_time: [
    ([user, track]) => [user, track, "1970-01-01 00:00:00"],
    ([user, track]) => [user, track, "2999-12-31 23:59:59"],
  ],
};
