import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { gzipSync } from "node:zlib";

/** The beginning of a folder's name with what breaks paths: quotes, a space, `%`, a letter beyond ASCII, `#`. */
export const ODD_NAME = `it's "odd" 100% ö #1 `;
/** A name that is a valid URL, where `#` begins a fragment and `%20` is a space. Spark takes it for one. */
export const URL_NAME = "a#1%20b";

/** A folder for `npm start -- --data`: small files over a week, most of them odd, with their expected results. */
export interface OddFolder {
  /** Quarantined files: names below streams/, with the reason. */
  badFiles: Record<string, string>;
  /** Quarantined rows of the other files: their number by reason. */
  badRows: Record<string, number>;
  files: number;
}

const days = ["2024-06-24", "2024-06-25", "2024-06-26", "2024-06-27", "2024-06-28", "2024-06-29", "2024-06-30"];
const header = "user_id,track_id,listen_time";

/** Rows that differ from file to file and sometimes repeat an earlier one. */
function rows(seed: number, count = 12): [string, string, string][] {
  return Array.from({ length: count }, (_, at) => {
    const n = (seed * 7 + at * 3) % 60;
    const day = days[(seed + at) % days.length];
    const time = `${String(n % 24).padStart(2, "0")}:${String((n * 7) % 60).padStart(2, "0")}:${String((n * 11) % 60).padStart(2, "0")}`;
    return [`u${n % 13}`, `t${n % 9}`, `${day} ${time}`];
  });
}

function csv(lines: string[][], newline = "\n", first = header): string {
  return [first, ...lines.map((line) => line.join(","))].join(newline) + newline;
}

const reference = {
  "users.csv": `user_id,user_name,user_age,user_country,created_at\n${Array.from({ length: 10 }, (_, n) => `u${n},"Name, ""${n}""",${20 + n},Land ${n},2024-01-0${(n % 9) + 1}`).join("\n")}\n`,
  "songs.csv": `id,track_id,artists,album_name,track_name,popularity,duration_ms,explicit,track_genre\n${[
    0, 1, 2, 3, 4, 5, 6,
  ]
    .flatMap((n) => [
      `${n * 2},t${n},Artist ${n};Other,"Album, ${n}","Song ""${n}"" é",${n * 10},${180000 + n * 1234},False,${["pop", "rock", "jazz"][n % 3]}`,
      ...(n % 2
        ? [
            `${n * 2 + 1},t${n},Artist ${n};Other,"Album, ${n}","Song ""${n}"" é",${n * 10},${180000 + n * 1234},False,${["indie", "folk"][n % 2]}`,
          ]
        : []),
    ])
    .join("\n")}\n`,
};

const badRowLines: [reason: string, line: string][] = [
  ["malformed_row", "u1,t1"],
  ["malformed_row", "u1,t1,2024-06-25 10:00:00,more"],
  ["missing_user_id", ",t1,2024-06-25 10:00:00"],
  ["missing_track_id", 'u1,"",2024-06-25 10:00:00'],
  ["bad_id", "u 1,t1,2024-06-25 10:00:00"],
  ["bad_id", `u1,${"t".repeat(129)},2024-06-25 10:00:00`],
  ["bad_listen_time", "u1,t1,yesterday"],
  ["bad_listen_time", "u1,t1,2024-02-30 10:00:00"],
  ["bad_listen_time", "u1,t1,"],
  ["out_of_range_listen_time", "u1,t1,1999-12-31 23:59:59"],
  ["out_of_range_listen_time", "u1,t1,2999-01-01 00:00:00"],
];

/** Writes the folder; the same bytes each time. */
export async function writeOddFolder(dir: string): Promise<OddFolder> {
  const files = new Map<string, string | Buffer>();
  const badFiles: Record<string, string> = {};
  const bad = (name: string, reason: string, content: string | Buffer) => {
    files.set(name, content);
    badFiles[name] = reason;
  };
  const quoted = (line: string[]) => line.map((field) => `"${field}"`);

  files.set("bom.csv", `\ufeff${csv(rows(1))}`);
  files.set("crlf.csv", csv(rows(2), "\r\n"));
  files.set("quoted.csv", csv(rows(3).map(quoted), "\n", '"user_id","track_id","listen_time"'));
  files.set("quoted-crlf.csv", csv(rows(4).map(quoted), "\r\n"));
  files.set("plain.csv.gz", gzipSync(csv(rows(5))));
  files.set("UPPER.CSV.GZ", gzipSync(csv(rows(6))));
  files.set("UPPER.CSV", csv(rows(7)));
  files.set(
    "two members.csv.gz",
    Buffer.concat([
      gzipSync(csv(rows(8))),
      gzipSync(
        rows(9)
          .map((line) => `${line.join(",")}\n`)
          .join(""),
      ),
    ]),
  );
  files.set(
    "shuffled.csv",
    csv(
      rows(10).map(([user, track, time]) => [time, user, track]),
      "\n",
      "listen_time,user_id,track_id",
    ),
  );
  files.set("re-cased.csv", csv(rows(11), "\n", " User_ID , TRACK_id,Listen_Time "));
  files.set(
    "extra.csv",
    csv(
      rows(12).map(([user, track, time], at) => [
        "x",
        user,
        `"a ""quoted"", note\nover\r\nlines ${at}"`,
        track,
        time,
        "",
      ]),
      "\n",
      "id,user_id,note,track_id,listen_time,rest",
    ),
  );
  files.set(
    "extra-crlf.csv",
    csv(
      rows(13).map(([user, track, time]) => [user, track, `"one\r\ntwo"`, time]),
      "\r\n",
      "user_id,track_id,note,listen_time",
    ),
  );
  files.set("iso-z.csv", csv(rows(14).map(([user, track, time]) => [user, track, `${time.replace(" ", "T")}Z`])));
  files.set(
    "iso-zones.csv",
    csv(
      rows(15).map(([user, track, time], at) => [
        user,
        track,
        `${time.replace(" ", "T")}${["+02:00", "-05:30", "+0900", "Z"][at % 4]}`,
      ]),
    ),
  );
  files.set(
    "iso-fractions.csv",
    csv(
      rows(16).map(([user, track, time], at) => [
        user,
        track,
        `${time.replace(" ", "T")}.${"123456789".slice(0, (at % 6) + 1)}Z`,
      ]),
    ),
  );
  files.set("no newline at the end.csv", csv(rows(17)).trimEnd());
  files.set("blank lines.csv", csv(rows(18)).replaceAll("\n", "\n\n"));
  files.set("header only.csv", `${header}\n`);
  files.set(
    "bad rows.csv",
    `${header}\n${badRowLines.map(([, line]) => line).join("\n")}\n${rows(19)
      .map((line) => line.join(","))
      .join("\n")}\n`,
  );
  files.set("unknown.csv", csv(rows(20).map(([user, track, time]) => [`new-${user}`, `new:${track}`, time])));
  files.set("repeated.csv", csv([...rows(21), ...rows(21)]));
  files.set("again.csv", csv(rows(21)));
  files.set("sp ace/ä ü/日本.csv", csv(rows(22)));
  files.set("plus+and%20percent%.csv", csv(rows(23)));
  files.set("quote'and\"quote.csv", csv(rows(24)));
  files.set("[x]{y}.csv", csv(rows(25)));
  files.set("star*question?.csv", csv(rows(26)));
  files.set("_underscore.csv", csv(rows(27)));
  files.set(".dot.csv", csv(rows(28)));
  files.set("_folder/.hidden/deep.csv", csv(rows(29)));
  files.set("a&b=c;d,e#f.csv", csv(rows(30)));
  files.set("e\u0301 nfd.csv", csv(rows(31)));
  files.set("\u00e9 nfc.csv", csv(rows(32)));
  bad("empty.csv", "empty_file", "");
  bad(
    "no header.csv",
    "missing_columns",
    rows(33)
      .map((line) => line.join(","))
      .join("\n"),
  );
  bad("page.csv", "missing_columns", "<!DOCTYPE html>\n<html><body><h1>503 Service Unavailable</h1></body></html>\n");
  bad("utf-16.csv", "not_text", Buffer.from(`\ufeff${csv(rows(34))}`, "utf16le"));
  const whole = gzipSync(csv(rows(35, 4000)));
  bad("cut.csv.gz", "unreadable", whole.subarray(0, whole.length - 30));
  bad("semicolons.csv", "missing_columns", csv(rows(36)).replaceAll(",", ";"));
  bad("_zip.csv", "not_text", Buffer.from("504b0304140000000800000021000000000000000000000000000000", "hex"));

  for (const [name, content] of files) await write(path.join(dir, "streams", name), content);
  for (const [name, content] of Object.entries(reference)) await write(path.join(dir, "reference", name), content);
  const badRows: Record<string, number> = {};
  for (const [reason] of badRowLines) badRows[reason] = (badRows[reason] ?? 0) + 1;
  return { badFiles, badRows, files: files.size };
}

async function write(file: string, content: string | Buffer): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
}
