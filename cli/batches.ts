import layout from "../layout.json";
import { brief, columns, count, counted, duration, printable, wrapped } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { type BatchRow, readLedger } from "./ledger";
import { reasonsText } from "./reasons";
import { openTarget } from "./target";

interface Options {
  json?: boolean;
  limit?: number;
  stack?: string;
}

/** `batches`: the ledger, newest first, as a table or as JSON. */
export async function run(_: string[], { json, limit, stack }: Options, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack });
  const batches = await readLedger(target, limit === undefined ? {} : { limit });
  await terminal.out(json ? `${JSON.stringify(batches, null, 2)}\n` : batchesText(batches, Date.now()));
  return 0;
}

const right = ["files", "rows read", "kept"];
/** `--json` has the whole text. */
const longestNote = 400;

/** The ledger as lines of 80 characters: a row for each batch, and below it what a person should know about it. */
export function batchesText(batches: BatchRow[], nowMs: number): string {
  if (batches.length === 0) return "No batches yet. Drop a CSV with: npm run drop -- FILE\n";
  const rows = batches.map((batch) => [
    printable(batch.batchId),
    printable(batch.state),
    count(batch.files),
    count(batch.rowsRead),
    count(batch.rowsKept),
  ]);
  const [head = "", ...lines] = columns(["batch", "state", ...right], rows, right);
  const text = batches.flatMap((batch, at) => [
    lines[at] as string,
    ...notesOf(batch, nowMs).flatMap((note) => wrapped(brief(note, longestNote), "    ")),
  ]);
  return `${[head, ...text].join("\n")}\n`;
}

/** What became of the rows that were not kept, then what is wrong: each on a line of its own. */
function notesOf(batch: BatchRow, nowMs: number): string[] {
  const { attempt, rowsDuplicate, rowsQuarantined, filesQuarantined, filesChanged } = batch;
  const reasons = Object.fromEntries(Object.entries(rowsQuarantined ?? {}).filter(([, rows]) => rows > 0));
  const quarantined = Object.values(reasons).reduce((sum, rows) => sum + rows, 0);
  const { claimedAt, settledAt } = batch;
  const facts = [
    claimedAt && settledAt && `took ${ago(claimedAt, Date.parse(settledAt))}`,
    claimedAt && !settledAt && `claimed ${ago(claimedAt, nowMs)} ago`,
    attempt !== null && attempt > 1 && `attempt ${attempt}`,
    rowsDuplicate && `${count(rowsDuplicate)} duplicate`,
    quarantined > 0 && `${count(quarantined)} quarantined (${reasonsText(reasons)})`,
    filesQuarantined && `${counted(filesQuarantined, "file")} quarantined`,
    filesChanged && `${counted(filesChanged, "file")} changed`,
  ].filter(Boolean);
  return [...(facts.length > 0 ? [facts.join(", ")] : []), ...troubles(batch)];
}

function troubles({
  state,
  error,
  filesHeld,
  notMoved,
  retriedAt,
  notAbandoned,
  notPutBack,
  notReplayed,
  referenceFaults,
}: BatchRow): string[] {
  const asked = [
    filesHeld &&
      !retriedAt &&
      `S3 did not move ${counted(filesHeld, "file")}: held in ${layout.incoming}, no batch claims them`,
    retriedAt &&
      (state === "FAILED" ? `its files were put back into ${layout.incoming}` : "its held files were released"),
    notMoved && !retriedAt && `not moved: ${notMoved}`,
    notAbandoned && `not abandoned: ${notAbandoned}`,
    notPutBack && `not put back: ${notPutBack}`,
    notReplayed && `not replayed: ${notReplayed}`,
  ];
  const faults = referenceFaults?.map((fault) => `reference data: ${fault}`) ?? [];
  return [...asked, error && `error: ${error.trim()}`, ...faults].filter((one) => typeof one === "string");
}

function ago(from: string, untilMs: number): string {
  const passedMs = untilMs - Date.parse(from);
  return Number.isNaN(passedMs) ? "-" : duration(Math.max(0, passedMs));
}
