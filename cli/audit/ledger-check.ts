import type { Batch, Manifest } from "../../runtime/batch";
import { folderOf, place } from "../../runtime/places";
import { counted } from "../../terminal/format";
import { type Documents, isOfReplay, notInArchive, readManifest, roleOf } from "./documents";
import type { Findings } from "./findings";
import type { Ledger, Source } from "./source";

const states = ["CLAIMED", "RUNNING", "PROCESSED", "ARCHIVED", "RETRY", "FAILED", "SPLIT", "REPLAY"];
const byHand = "correct the item by hand, from the table's backup (point-in-time recovery)";
const fromVersions = "put the object back from the bucket's versions";

/** Takes up a batch that a restored ledger has lost. */
const takeUp = (batchId: string) => `npm run replay -- ${batchId}, while the pipeline is paused; then resume`;

/** Checks the items of turns: which batch is in flight, and which are queued. */
export function checkTurns(ledger: Ledger, findings: Findings): void {
  const { batches, inFlight, queued, claims } = ledger;
  findings.look("ledger", "batches", batches.size);
  findings.look("ledger", "turns", queued.length + (inFlight === undefined ? 0 : 1));
  const turns = [
    ...(inFlight === undefined ? [] : [{ name: "IN_FLIGHT", batchId: inFlight }]),
    ...queued.map((batchId) => ({ name: `QUEUE#${batchId}`, batchId })),
  ];
  for (const { name, batchId } of turns) {
    const batch = batches.get(batchId);
    if (batch && batch.settledAt === undefined) continue;
    findings.breach({
      check: "ledger",
      what: `a turn of a batch that ${batch ? "is settled" : "is not in the ledger"}`,
      where: `PIPELINE ${name}`,
      expected: "a batch that is not settled",
      found: batch ? `${batchId}, ${batch.state}, settled at ${batch.settledAt}` : batchId,
      remedy: "run a tick (npm run drop -- --now, or wait for the schedule); if it stays, delete the item",
      batches: [batchId],
    });
  }
  // A queued batch is not in flight yet, or not yet again.
  const taken = [...batches.keys()].filter((batchId) => !queued.includes(batchId)).length;
  if (!(claims >= taken))
    findings.breach({
      check: "ledger",
      what: "the count of claims is too low",
      where: "PIPELINE CLAIMS",
      expected: `${taken} or more`,
      found: String(claims),
      remedy: `set claims to ${taken} while the pipeline is paused`,
      batches: inFlight === undefined ? [] : [inFlight],
    });
}

/** Checks a batch's own item, its manifest, and its halves. */
export async function checkBatch(
  source: Source,
  ledger: Ledger,
  batchId: string,
  { manifest }: Documents,
  findings: Findings,
): Promise<void> {
  const batch = ledger.batches.get(batchId)!;
  const wrong = (what: string, expected: string, found: string, remedy = byHand) =>
    findings.breach({ check: "ledger", what, where: `batch ${batchId}`, expected, found, remedy, batches: [batchId] });

  const oddity = odd(batch, batchId);
  if (oddity) wrong("a batch's item is malformed", oddity.expected, oddity.found);
  const turns = [ledger.inFlight, ...ledger.queued].filter((turn) => turn === batchId).length;
  if (batch.settledAt === undefined && turns !== 1)
    wrong(
      "an unsettled batch does not have exactly one turn",
      "in flight, or queued once",
      turns === 0 ? `${batch.state}, and neither` : "more than one turn",
      turns === 0 ? takeUp(batchId) : byHand,
    );
  if (!manifest) {
    wrong(
      "a batch has no manifest",
      `${place("manifest", { batchId })} with its files`,
      "no such object, or a malformed one",
      fromVersions,
    );
    return;
  }
  findings.look("ledger", "manifests");
  const listed = `${counted(manifest.files.length, "file")}, ${bytesOf(manifest)} bytes`;
  const said = `${counted(batch.files, "file")}, ${batch.bytes} bytes`;
  if (manifest.batchId !== batchId) wrong("a manifest is of another batch", batchId, manifest.batchId, fromVersions);
  else if (listed !== said) {
    if (isCutReplay(batch, manifest))
      findings.inform(
        "ledger",
        "replays ended before they ran, after their manifests were rewritten: npm run batches shows why",
      );
    else wrong("ledger and manifest count differently", `${listed} (manifest)`, `${said} (ledger)`);
  }
  if (roleOf(batch) === "split") await checkHalves(source, ledger, batch, manifest, wrong);
}

function odd(batch: Batch, batchId: string): { expected: string; found: string } | undefined {
  if (batch.batchId !== batchId) return { expected: `batchId ${batchId}`, found: `batchId ${batch.batchId}` };
  if (!states.includes(batch.state)) return { expected: `a state of ${states.join(", ")}`, found: String(batch.state) };
  for (const name of ["version", "attempt"] as const)
    if (!Number.isSafeInteger(batch[name]) || batch[name] < 1)
      return { expected: `${name} of 1 or more`, found: `${name} ${batch[name]}` };
  const times = [
    batch.claimedAt,
    batch.updatedAt,
    batch.settledAt ?? batch.updatedAt,
    batch.retriedAt ?? batch.updatedAt,
  ];
  if (times.some((time) => Number.isNaN(Date.parse(time))))
    return { expected: "times in ISO 8601", found: `claimedAt, updatedAt, settledAt, retriedAt ${times.join(", ")}` };
  const mayBeSettled = ["ARCHIVED", "FAILED", "SPLIT"].includes(batch.state);
  if (batch.settledAt !== undefined && !mayBeSettled)
    return { expected: `no settledAt in state ${batch.state}`, found: `settledAt ${batch.settledAt}` };
  if (batch.settledAt === undefined && batch.state === "ARCHIVED")
    return { expected: "settledAt in state ARCHIVED", found: "none" };
  if (batch.settledAt !== undefined && batch.state !== "SPLIT" && !(batch.moves && batch.day))
    return {
      expected: `day and moves in state ${batch.state}`,
      found: `day ${batch.day}, moves ${JSON.stringify(batch.moves)}`,
    };
  if (batch.retriedAt !== undefined && batch.state !== "FAILED" && !batch.moves?.held)
    return { expected: `no retriedAt in state ${batch.state}`, found: `retriedAt ${batch.retriedAt}` };
  return undefined;
}

/** The manifest was rewritten for a replay that then turned out to be impossible: the ledger has the old counts. */
function isCutReplay(batch: Batch, manifest: Manifest): boolean {
  return (
    batch.state === "ARCHIVED" && isOfReplay(manifest) && manifest.files.length === batch.files - notInArchive(batch)
  );
}

async function checkHalves(
  source: Source,
  ledger: Ledger,
  batch: Batch,
  manifest: Manifest,
  wrong: (what: string, expected: string, found: string, remedy?: string) => void,
): Promise<void> {
  const remaining = new Map(manifest.files.map(({ name, size }) => [name, size]));
  const children = batch.children ?? [];
  if (children.length === 0) wrong("a split batch has no halves", "children", "none");
  for (const child of children) {
    const half = ledger.batches.get(child);
    if (half?.parent !== batch.batchId) {
      wrong(
        "a split batch's half is not in the ledger as its half",
        `batch ${child} with parent ${batch.batchId}`,
        half ? `parent ${half.parent}` : "no such batch",
      );
      continue;
    }
    const ofHalf = await readManifest(source, child);
    // Its own check reports the missing manifest.
    if (!ofHalf) return;
    for (const { name, size } of [...ofHalf.files, ...(ofHalf.notReplayed ?? [])]) {
      if (remaining.get(name) === size) remaining.delete(name);
      else
        wrong(
          "a split batch's half holds a file that its parent lacks or that the other half has",
          `a file of ${batch.batchId}, once`,
          `${name} in ${child}`,
          fromVersions,
        );
    }
  }
  for (const name of remaining.keys())
    wrong("a split batch's file is in neither half", `${name} in one of ${children.join(", ")}`, "none", fromVersions);
}

function bytesOf(manifest: Manifest): number {
  return manifest.files.reduce((total, { size }) => total + size, 0);
}

/** Checks for folders below batches/ of batches that are not in the ledger. Manifests of failed claims do no harm. */
export async function checkLeftovers(source: Source, ledger: Ledger, findings: Findings): Promise<void> {
  const root = folderOf("manifest");
  for await (const batchId of source.folders(root)) {
    if (ledger.batches.has(batchId)) continue;
    const manifestKey = place("manifest", { batchId });
    const others: string[] = [];
    for await (const { key } of source.objects(`${root}${batchId}/`)) if (key !== manifestKey) others.push(key);
    if (others.length === 0)
      findings.inform("ledger", "manifests of failed claims: nothing reads them, they may be deleted");
    else
      findings.breach({
        check: "ledger",
        what: "documents of a batch that is not in the ledger",
        where: `${root}${batchId}/`,
        expected: "a batch in the ledger",
        found: others.join(", "),
        remedy: takeUp(batchId),
        batches: [batchId],
      });
  }
}
