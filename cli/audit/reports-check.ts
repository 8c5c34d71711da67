import { isDeepStrictEqual } from "node:util";
import layout from "../../layout.json";
import type { Batch, Manifest, RowCounts, TransformReport } from "../../runtime/batch";
import { folderOf, place } from "../../runtime/places";
import { breach, publishTotals, totals } from "../../runtime/reports";
import { counted } from "../../terminal/format";
import { type Documents, isOfReplay, roleOf } from "./documents";
import type { Findings } from "./findings";
import { linesOf, tokensOf } from "./lines";
import type { Ledger, Source } from "./source";

/** Checks the reports of an archived batch: they belong to its run, they add up, and the ledger says the same. */
export function checkReports(batch: Batch, documents: Documents, findings: Findings): void {
  const { batchId } = batch;
  const wrong = (what: string, expected: string, found: string) =>
    findings.breach({
      check: "reports",
      what,
      where: place("transformReport", { batchId }),
      expected,
      found,
      remedy: `put the object back from the bucket's versions, or npm run replay -- ${batchId}`,
      batches: [batchId],
    });
  const { manifest, transform, publish } = documents;
  findings.look("reports", "batches");
  if (!transform) {
    wrong("a report is missing", "transform.json with its lists", "no such object, or a malformed one");
    return;
  }
  const whole = manifest && !isCut(batch, manifest) ? manifest : manifestOf(batchId, transform);
  const why = breach(whole, batch.workflowRunId ?? "", transform, publish);
  if (why) {
    wrong("the reports don't belong to the run, or don't add up", "what runtime/reports.ts asks for", why.why);
    return;
  }
  findings.look("reports", "files", transform.files.length);
  const reasons = sumOfReasons(transform.files);
  if (!isDeepStrictEqual(reasons, plain(transform.rowsQuarantined)))
    wrong("reasons of quarantined rows don't add up", shown(reasons), shown(transform.rowsQuarantined));

  reportDifference("report", plain(totals(transform)), batch.report, wrong);
  reportDifference("publishReport", plain(publishTotals(publish!)), batch.publishReport, wrong);
  const days = [...transform.days].sort();
  if (!isDeepStrictEqual(days, [...documents.touched].sort()))
    wrong("transform.json and touched.json name other days", documents.touched.join(", "), days.join(", "));
}

/** A replay that turned out to be impossible may have rewritten the manifest without running. */
function isCut(batch: Batch, manifest: Manifest): boolean {
  return isOfReplay(manifest) && manifest.files.length !== batch.files;
}

/** A manifest of the files that the report names, where the real one does not fit the report. */
function manifestOf(batchId: string, report: TransformReport): Manifest {
  const names = new Set([report.files, report.filesQuarantined, report.filesChanged].flat().map(({ name }) => name));
  const files = [...names].map((name) => ({ key: "", name, etag: "", size: 0, lastModified: "" }));
  return { batchId, claimedAt: "", files };
}

/** Compares the ledger's copy of a report with the document. The ledger of an older version may hold less. */
function reportDifference(
  name: string,
  document: Record<string, unknown>,
  ledger: object | undefined,
  wrong: (what: string, expected: string, found: string) => void,
): void {
  if (!ledger) wrong(`the ledger has no ${name}`, shown(document), "none");
  for (const [key, value] of Object.entries(ledger ?? {}))
    if (!isDeepStrictEqual(value, document[key]))
      wrong(`the ledger's ${name} differs`, `${key} ${shown(document[key])}`, `${key} ${shown(value)} in the ledger`);
}

function sumOfReasons(files: RowCounts[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { rowsQuarantined } of files)
    for (const [reason, rows] of Object.entries(rowsQuarantined ?? {})) sum[reason] = (sum[reason] ?? 0) + rows;
  return sum;
}

/** How many rows an archived batch reports, to compare with what lies in the bucket. */
export interface Claimed {
  kept: number;
  quarantined: Record<string, number>;
}

/** Checks that curated has as many rows as were kept. */
export function checkKeptRows(claimed: Map<string, Claimed>, found: Map<string, number>, findings: Findings): void {
  for (const [batchId, { kept }] of claimed) {
    const rows = found.get(batchId) ?? 0;
    findings.look("reports", "curated rows", rows);
    if (rows !== kept)
      findings.breach({
        check: "reports",
        what: "the curated row count differs from the rows kept",
        where: `${layout.listens}*/batch_id=${batchId}/`,
        expected: counted(kept, "row"),
        found: counted(rows, "row"),
        remedy: `npm run replay -- ${batchId}`,
        batches: [batchId],
      });
  }
}

/** Checks that quarantine/rows has the reported rows by reason. The check `curated` reports rows of other batches. */
export async function checkQuarantinedRows(
  source: Source,
  ledger: Ledger,
  claimed: Map<string, Claimed>,
  forgotten: ReadonlySet<string>,
  findings: Findings,
): Promise<void> {
  const root = folderOf("quarantinedRows");
  const unseen = new Set(claimed.keys());
  for await (const folder of source.folders(root)) {
    const batchId = folder.replace(/^batch_id=/, "");
    const said = claimed.get(batchId);
    if (!said) {
      const batch = ledger.batches.get(batchId);
      const role = batch && roleOf(batch);
      // A note elsewhere says why these are not audited.
      if (role === "archived" || role === "replaying") continue;
      findings.breach({
        check: "curated",
        what: "quarantined rows of a batch that is not archived",
        where: `${root}${folder}/`,
        expected: "rows of archived batches only",
        found: batch ? `batch ${batchId} is ${batch.state}` : "a batch that the ledger does not know",
        remedy: "delete the folder",
        batches: [batchId],
      });
      continue;
    }
    unseen.delete(batchId);
    const { counts, named } = await countRows(source, `${root}${folder}/`, forgotten);
    compareRows(batchId, said.quarantined, counts, findings);
    for (const userId of named)
      findings.breach({
        check: "curated",
        what: "a quarantined row names a forgotten listener",
        where: `${root}${folder}/`,
        expected: `no row with ${userId} in it`,
        found: "a row with its text",
        remedy: `npx music-streams forget ${userId}`,
        batches: [batchId],
      });
  }
  for (const batchId of unseen) compareRows(batchId, claimed.get(batchId)!.quarantined, {}, findings);
}

function compareRows(
  batchId: string,
  expected: Record<string, number>,
  found: Record<string, number>,
  findings: Findings,
): void {
  findings.look("reports", "quarantined rows", total(found));
  if (isDeepStrictEqual(plain(expected), found)) return;
  findings.breach({
    check: "reports",
    what: "the rows in quarantine differ from the rows quarantined",
    where: place("quarantinedRows", { batchId }),
    expected: shown(expected),
    found: shown(found),
    remedy: `npm run replay -- ${batchId}`,
    batches: [batchId],
  });
}

/** Quarantined rows by reason, and the forgotten listeners whom they name. */
async function countRows(source: Source, prefix: string, forgotten: ReadonlySet<string>) {
  const counts: Record<string, number> = {};
  const named = new Set<string>();
  for await (const { key } of source.objects(prefix)) {
    const body = await source.read(key);
    if (!body) continue;
    for await (const line of linesOf(body)) {
      if (line === "") continue;
      const { reason, raw } = rowOf(line);
      counts[reason] = (counts[reason] ?? 0) + 1;
      if (forgotten.size > 0) for (const token of tokensOf(raw)) if (forgotten.has(token)) named.add(token);
    }
  }
  return { counts, named };
}

function rowOf(line: string): { reason: string; raw: string } {
  try {
    const { reason, raw } = JSON.parse(line) as { reason?: unknown; raw?: unknown };
    return { reason: String(reason), raw: String(raw) };
  } catch {
    return { reason: "(no JSON)", raw: "" };
  }
}

function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** A value as JSON or DynamoDB returns it: without undefined fields. */
function plain<Value extends object>(value: Value): Record<string, never> {
  return JSON.parse(JSON.stringify(value));
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? "nothing";
}
