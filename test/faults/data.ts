import layout from "../../layout.json";

const tracks = 23;

/** Reference data by object key: every track has a genre, few users are known. */
export function reference(): Record<string, string> {
  const songs = Array.from(
    { length: tracks },
    (_, n) => `t${n},Artist ${n},Album,Song ${n},${n},${1000 + n},g${n % 5}`,
  );
  const users = Array.from({ length: 5 }, (_, n) => `u${n},${20 + n},C${n % 3}`);
  return {
    [`${layout.reference}${layout.songs}songs.csv`]: `track_id,artists,album_name,track_name,popularity,duration_ms,track_genre\n${songs.join("\n")}\n`,
    [`${layout.reference}${layout.users}users.csv`]: `user_id,user_age,user_country\n${users.join("\n")}\n`,
  };
}

/**
 * A stream CSV whose listens belong to one scenario, on tracks and days that all scenarios share; some come twice, in
 * the file and in the next one. Two tracks are unknown.
 */
export function listens(scenario: string, file: number, count: number, days: number): string {
  const lines = Array.from({ length: count }, (_, at) => {
    const n = file * Math.ceil(count * 0.9) + at;
    const day = `2024-05-${String(1 + (n % days)).padStart(2, "0")}`;
    const time = new Date(Math.floor(n / days) * 7000 + 1000 * (n % 7)).toISOString().slice(11, 19);
    return `${scenario}-u${n % 11},t${n % (tracks + 2)},${day} ${time}`;
  });
  return `user_id,track_id,listen_time\n${[...lines, lines[0]].join("\n")}\n`;
}
