import { isDeepStrictEqual } from "node:util";
import layout from "../../layout.json";
import type { Batch, Manifest, RowCounts, TransformReport } from "../../runtime/batch";
import { place } from "../../runtime/places";
import { breach, publishTotals, totals } from "../../runtime/reports";
import { type Documents, isOfReplay, roleOf } from "./documents";
import type { Findings } from "./findings";
import { linesOf } from "./lines";
import type { Ledger, Source } from "./source";

/** The reports of an archived batch: they are of its run, they add up, and the ledger says the same. */
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
    wrong("a report is missing", "transform.json with its lists", "none that can be read");
    return;
  }
  const whole = manifest && !isCut(batch, manifest) ? manifest : pretended(batchId, transform);
  const why = breach(whole, batch.workflowRunId ?? "", transform, publish);
  if (why) {
    wrong("the reports don't belong to the run, or don't add up", "what runtime/reports.ts asks for", why.why);
    return;
  }
  findings.look("reports", "files", transform.files.length);
  const reasons = sumOfReasons(transform.files);
  if (!isDeepStrictEqual(reasons, plain(transform.rowsQuarantined)))
    wrong("reasons of quarantined rows don't add up", told(reasons), told(transform.rowsQuarantined));

  tellDifference("report", plain(totals(transform)), batch.report, wrong);
  tellDifference("publishReport", plain(publishTotals(publish!)), batch.publishReport, wrong);
  const days = [...transform.days].sort();
  if (!isDeepStrictEqual(days, [...documents.touched].sort()))
    wrong("transform.json and touched.json name other days", documents.touched.join(", "), days.join(", "));
}

/** A replay that turned out to be impossible may have replaced the manifest, and has not run. */
function isCut(batch: Batch, manifest: Manifest): boolean {
  return isOfReplay(manifest) && manifest.files.length !== batch.files;
}

/** A manifest of the files that the report names, where the real one can't be held against it. */
function pretended(batchId: string, report: TransformReport): Manifest {
  const names = new Set([report.files, report.filesQuarantined, report.filesChanged].flat().map(({ name }) => name));
  const files = [...names].map((name) => ({ key: "", name, etag: "", size: 0, lastModified: "" }));
  return { batchId, claimedAt: "", files };
}

/** What the ledger's copy says must be what the document says; a ledger of an older version may say less. */
function tellDifference(
  name: string,
  document: Record<string, unknown>,
  ledger: object | undefined,
  wrong: (what: string, expected: string, found: string) => void,
): void {
  if (!ledger) wrong(`the ledger has no ${name}`, told(document), "none");
  for (const [key, value] of Object.entries(ledger ?? {}))
    if (!isDeepStrictEqual(value, document[key]))
      wrong(`the ledger's ${name} differs`, `${key} ${told(document[key])}`, `${key} ${told(value)} in the ledger`);
}

function sumOfReasons(files: RowCounts[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { rowsQuarantined } of files)
    for (const [reason, rows] of Object.entries(rowsQuarantined ?? {})) sum[reason] = (sum[reason] ?? 0) + rows;
  return sum;
}

/** How many rows each archived batch says that it has, to be held against what is there. */
export interface Claimed {
  kept: number;
  quarantined: Record<string, number>;
}

/** The rows in curated are as many as were kept. */
export function checkKeptRows(claimed: Map<string, Claimed>, found: Map<string, number>, findings: Findings): void {
  for (const [batchId, { kept }] of claimed) {
    const rows = found.get(batchId) ?? 0;
    findings.look("reports", "curated rows", rows);
    if (rows !== kept)
      findings.breach({
        check: "reports",
        what: "curated has not the rows that were kept",
        where: `${layout.listens}*/batch_id=${batchId}/`,
        expected: `${kept} rows`,
        found: `${rows} rows`,
        remedy: `npm run replay -- ${batchId}`,
        batches: [batchId],
      });
  }
}

/** The rows in quarantine/rows are those that were quarantined, by reason. Rows of other batches are curated's matter. */
export async function checkQuarantinedRows(
  source: Source,
  ledger: Ledger,
  claimed: Map<string, Claimed>,
  findings: Findings,
): Promise<void> {
  const root = layout.quarantinedRows.split("batch_id=")[0]!;
  const unseen = new Set(claimed.keys());
  for await (const folder of source.folders(root)) {
    const batchId = folder.replace(/^batch_id=/, "");
    const said = claimed.get(batchId);
    if (!said) {
      const batch = ledger.batches.get(batchId);
      const role = batch && roleOf(batch);
      // Of these it is told elsewhere why they are not audited.
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
    tellRows(batchId, said.quarantined, await countRows(source, `${root}${folder}/`), findings);
  }
  for (const batchId of unseen) tellRows(batchId, claimed.get(batchId)!.quarantined, {}, findings);
}

function tellRows(
  batchId: string,
  expected: Record<string, number>,
  found: Record<string, number>,
  findings: Findings,
): void {
  findings.look("reports", "quarantined rows", total(found));
  if (isDeepStrictEqual(plain(expected), found)) return;
  findings.breach({
    check: "reports",
    what: "quarantine has not the rows that were quarantined",
    where: place("quarantinedRows", { batchId }),
    expected: told(expected),
    found: told(found),
    remedy: `npm run replay -- ${batchId}`,
    batches: [batchId],
  });
}

async function countRows(source: Source, prefix: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for await (const { key } of source.objects(prefix)) {
    const body = await source.read(key);
    if (!body) continue;
    for await (const line of linesOf(body)) {
      const reason = line === "" ? undefined : reasonOf(line);
      if (reason !== undefined) found[reason] = (found[reason] ?? 0) + 1;
    }
  }
  return found;
}

function reasonOf(line: string): string {
  try {
    return String((JSON.parse(line) as { reason?: unknown }).reason);
  } catch {
    return "(no JSON)";
  }
}

function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** As it comes back from JSON or DynamoDB: without what is undefined. */
function plain<Value extends object>(value: Value): Record<string, never> {
  return JSON.parse(JSON.stringify(value));
}

function told(value: unknown): string {
  return JSON.stringify(value) ?? "nothing";
}
