import { count, counted } from "../../terminal/format";
import { command, type Html, html, table } from "../html";
import type { Quarantine, Source } from "../source";
import { batchLink, still, type View } from "../view";

/** The rule that a row broke (docs/data.md, "Quarantined rows"). */
const rules: Record<string, string> = {
  forgotten: "Its listener is forgotten: music-streams forget. The row's text is not kept.",
  malformed_row: "It does not have as many fields as the header.",
  missing_user_id: "user_id is empty.",
  missing_track_id: "track_id is empty.",
  bad_id:
    "An id begins with a letter or digit. Up to 127 letters, digits, dots, underscores, colons or hyphens follow.",
  bad_listen_time: "listen_time is no time, such as 2024-06-25 17:13:13.",
  out_of_range_listen_time: "listen_time is before the year 2000, or more than a day after the claim.",
};

/** The first rows of each reason, each with its file and place. */
export function firstRows(rows: Quarantine["first"]): Html {
  if (rows.length === 0) return html``;
  const head = ["reason", "row", "file", "place"];
  return table(
    "First rows of each reason",
    head,
    rows.map(({ reason, raw, file, at }) => [reason, html`<code>${raw}</code>`, file, at]),
  );
}

/** Why rows and files were not used, over all batches. */
export async function quarantineView(source: Source): Promise<View> {
  const { reasons, files, first } = await source.quarantine();
  if (reasons.length === 0 && files === 0) return still("Quarantine", html`<p>Nothing is in quarantine.</p>`);
  const head = ["reason", "rule", "rows", "batches", "newest"];
  const rows = reasons.map(({ reason, rows, batches }) => [
    ...[reason, rules[reason] ?? "-", count(rows), count(batches.length)],
    batches[0] === undefined ? "-" : batchLink(batches[0]),
  ]);
  const again = html`<h2>Send them again</h2>
<p>Correct the rows, write them into a new CSV with the same header, and drop it. Listens that count already are no problem.</p>
${command(`npx music-streams drop CORRECTED.csv${source.stack === null ? "" : ` --stack ${source.stack}`}`)}`;
  const parts = [
    {
      id: "reasons",
      html: html`${table("Reasons", head, rows, ["rows", "batches"])}<p>${counted(files, "file")} quarantined as a whole.</p>`,
    },
    { id: "first", html: html`<h2>Rows</h2>${firstRows(first)}` },
    { id: "again", html: again },
  ];
  return { title: "Quarantine", parts, isLive: false };
}
