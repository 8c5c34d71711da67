import assert from "node:assert/strict";
import type { Batch, Manifest } from "../../runtime/batch";
import { leaveOut } from "../../runtime/forget";
import { requestReplay } from "../../runtime/operator";
import { place } from "../../runtime/places";
import { RefusedError } from "../../runtime/refused";
import { tick } from "../../runtime/tick";
import { folders } from "./folders";
import type { Simulation } from "./simulated-pipeline";

/** The effort to settle everything after the last fault. */
export interface Effort {
  ticks: number;
  /** Workflow runs that did work. */
  runs: number;
}

/**
 * Lets every fault end and every run work, until nothing waits and nothing is in flight. Requests that hang for very
 * long arrive only then, when there is nothing left for them to do.
 */
export async function quiesce(simulation: Simulation): Promise<Effort> {
  // Later than any pause, and than a start that a tick may still be sending.
  const later = () => simulation.clock.advance(15 * 60_000);
  await simulation.deliver(false);
  later();
  simulation.restore();
  let effort = { ticks: 0, runs: 0 };
  while (effort.ticks++ < 400) {
    simulation.dynamodb.items.delete(JSON.stringify(["PIPELINE", "PAUSED"]));
    const ended = await simulation.actor().run((world) => tick(world));
    if (typeof ended === "object" && "threw" in ended && !/KMS|InternalError|AccessDenied/.test(ended.threw.name))
      throw ended.threw;
    if (isAtRest(simulation)) {
      if (await mendMetrics(simulation)) continue;
      // A replay that was abandoned half way lacks rows: another replay puts them back.
      const half = simulation
        .batches()
        .filter((batch) => batch.notReplayed?.includes("abandoned") || isForgotten(simulation, batch));
      let asked = 0;
      for (const { batchId } of half) if (await asksReplay(simulation, batchId)) asked++;
      if (asked > 0 || (await leaveOutForgotten(simulation))) continue;
      if ((await simulation.deliver(true)) === 0) return effort;
      // A run that began so late finds that the ledger does not expect it.
      simulation.finish("good");
      if (isAtRest(simulation) && !(await leaveOutForgotten(simulation))) return effort;
      effort = { ticks: 0, runs: 0 };
    }
    const refused = simulation.jobs.refused.length;
    if (simulation.finish("good") && simulation.jobs.refused.length === refused) effort.runs++;
    later();
  }
  throw new Error(`not settled: ${JSON.stringify(simulation.batches())}`);
}

/** The command's last pass for every listener on the list, with nothing at work. Whether a batch runs again. */
async function leaveOutForgotten(simulation: Simulation): Promise<boolean> {
  const { jobs, unforgettable, promised } = simulation;
  const { world } = simulation.actor();
  // A replay that could not run ended with its reason, which the next request for one clears.
  const notReplayed = new Set(simulation.batches().flatMap((one) => (one.notReplayed ? [one.batchId] : [])));
  let isAsked = false;
  for (const listener of jobs.forgotten()) {
    const { holdings, queued, atWork, impossible } = await leaveOut(world, async () => jobs.search(listener));
    // A restored ledger may have lost a replay that was asked for.
    const isKept = promised.has(listener) && !simulation.wasRestored().ledger;
    const broken = isKept ? holdings.filter(({ batchId }) => !notReplayed.has(batchId)) : [];
    assert.deepEqual(broken, [], `the command said that nothing of ${listener} would be left`);
    isAsked = isAsked || queued.length > 0 || atWork.length > 0;
    for (const [batchId, why] of impossible) unforgettable.set(batchId, why);
  }
  return isAsked;
}

/** Asks for a replay. False when it is refused: then the batch has no rows that could be missing, or not its files. */
async function asksReplay(simulation: Simulation, batchId: string): Promise<boolean> {
  try {
    await requestReplay(simulation.actor().world, batchId);
    return true;
  } catch (error) {
    if (error instanceof RefusedError) return false;
    throw error;
  }
}

/**
 * Whether batches run again because the restored metrics are wrong. As the audit says: items too many are deleted, and
 * archived batches are replayed. The listens of a batch that can't run again stay out (docs/operations.md, Restore).
 */
async function mendMetrics(simulation: Simulation): Promise<boolean> {
  const { jobs, unmended, s3 } = simulation;
  const { metrics, ledger } = simulation.wasRestored();
  // A batch's half-written rows may be published with their day while the ledger does not know the batch. When that one
  // fails, its rows go: the audit names the items too many.
  const failed = new Set(s3.keys(folders.failed).flatMap((key) => s3.objects.get(key)!.body.split(",")));
  const isWritten = (listen: string) => jobs.curated().includes(listen);
  if (ledger) for (const listen of failed) if (!isWritten(listen)) jobs.metrics.delete(listen);
  if (!metrics) return false;
  const right = new Set(jobs.curated());
  for (const listen of jobs.metrics.keys()) if (!right.has(listen)) jobs.metrics.delete(listen);
  const isRight = [...right].every((listen) => jobs.metrics.get(listen) === 1 || unmended.has(listen));
  if (isRight) return false;
  for (const { batchId, state } of simulation.batches()) {
    if (state !== "ARCHIVED") continue;
    const asked = await simulation.actor().run((world) => requestReplay(world, batchId));
    if (!asked) continue;
    for (const listen of jobs.curated(folders.curated, batchId)) unmended.add(listen);
  }
  return true;
}

/** Whether a restored ledger forgot a replay that had begun: the manual says to ask again. */
function isForgotten({ s3, wasRestored }: Simulation, { batchId, state, workflowRunId, notReplayed }: Batch): boolean {
  if (!wasRestored().ledger || state !== "ARCHIVED" || notReplayed !== undefined) return false;
  return s3.json(place("readingMarker", { batchId }))?.workflowRunId !== workflowRunId;
}

function isAtRest(simulation: Simulation): boolean {
  const waiting = simulation.s3.keys(folders.incoming).some((key) => key.endsWith(".csv") && !isHeld(simulation, key));
  return !waiting && !simulation.inFlight() && simulation.queued() === 0;
}

/** Every claimed file of a batch, including those that a replay skips. */
function namesOf({ files, notReplayed = [] }: Manifest): string[] {
  return [...files, ...notReplayed].map(({ name }) => name);
}

/** Whether no claim takes the version that lies at a key now. */
function isHeld({ s3, dynamodb }: Simulation, key: string): boolean {
  return dynamodb.get("HELD", key)?.etag === s3.objects.get(key)?.etag;
}

/**
 * How often S3 refused to end a move that a restored ledger had forgotten: the file is claimed again, and is in two
 * places then. Its listens count once.
 */
function leftByRestore({ logs }: Simulation, name: string): number {
  const isOfName = ({ event, key, error }: Record<string, unknown>) =>
    event === "fileNotMoved" && key === `${folders.incoming}${name}` && /^NotDeletedError/.test(String(error));
  return logs.filter(isOfName).length;
}

/** Whether a key is the place of a name in its dated folder. */
function isPlaceOf(key: string, name: string): boolean {
  const [, date = "", batchId = ""] = /\/(\d{4}-\d\d-\d\d)\/([^/]+)\//.exec(key) ?? [];
  return (["archived", "quarantinedFile", "failed"] as const).some(
    (kind) => place(kind, { date, batchId, name }) === key,
  );
}

/** The invariants of docs/architecture.md, for a pipeline at rest. */
export function check(simulation: Simulation): void {
  const { s3, jobs, glue, dropped } = simulation;
  const batches = simulation.batches();
  assert.equal(simulation.inFlight(), undefined, "nothing is in flight");
  const used = new Set<string>();
  for (const { event, batch_id, workflow_run_id, job, ...line } of simulation.logs) {
    assert.ok(
      batch_id !== undefined || event === "observed" || event === "keysIgnored",
      `${event} names its batch: ${JSON.stringify(line)}`,
    );
    if (event !== "jobEnded") continue;
    // A restored ledger may tell it again.
    const isNews = !used.has(`${workflow_run_id} ${job}`) || simulation.wasRestored().ledger;
    assert.ok(isNews, `what ${job} of ${workflow_run_id} used is told once`);
    used.add(`${workflow_run_id} ${job}`);
  }

  for (const batch of batches) {
    assert.ok(["ARCHIVED", "FAILED", "SPLIT"].includes(batch.state), `${batch.batchId} is settled, not ${batch.state}`);
    assert.ok(batch.settledAt, `${batch.batchId} says when it was settled`);
    const manifest: Manifest = s3.json(place("manifest", { batchId: batch.batchId }));
    // A replay that was ended, or that a restored ledger forgot, has its manifest list files apart that no run read.
    const isApart = batch.notReplayed !== undefined || simulation.wasRestored().ledger;
    const apart = isApart ? (manifest.notReplayed?.length ?? 0) : 0;
    assert.ok(
      [manifest.files.length, manifest.files.length + apart].includes(batch.files),
      "the ledger counts the manifest's files",
    );
    if (batch.state === "SPLIT") {
      const halves = batch.children!.map((id) => s3.json(place("manifest", { batchId: id })) as Manifest);
      assert.deepEqual(
        halves.flatMap(namesOf).sort(),
        namesOf(manifest).sort(),
        "the halves hold the files of the whole",
      );
    }
    if (batch.state === "ARCHIVED") {
      assert.equal(batch.error, undefined, "an archived batch has no error");
      const report = s3.json(place("transformReport", { batchId: batch.batchId }));
      // A restored ledger has forgotten the runs since: their reports are newer than its items.
      if (simulation.wasRestored().ledger && report.workflowRunId !== batch.workflowRunId) continue;
      assert.equal(report.workflowRunId, batch.workflowRunId, "its report is its run's");
      const quarantined = (report.rowsQuarantined.forgotten ?? 0) as number;
      assert.equal(report.rowsRead, report.rowsKept + report.rowsDuplicate + quarantined, "its report adds up");
      assert.equal(batch.report?.rowsRead, report.rowsRead, "the ledger has the report's totals");
      const won = glue.started.find(({ id }) => id === batch.workflowRunId);
      assert.deepEqual(
        won?.jobs.map(({ name, state }) => `${name} ${state}`),
        ["transform SUCCEEDED", "publish SUCCEEDED"],
        "success is never said of a run that failed",
      );
    }
    if (batch.state !== "ARCHIVED") {
      const output = [...s3.keys(folders.curated), ...s3.keys(folders.quarantinedRows), ...s3.keys(folders.staged)];
      assert.deepEqual(
        output.filter((key) => key.includes(batch.batchId)),
        [],
        "an isolated batch leaves no output",
      );
    }
  }

  // Nobody can find a run that Glue forgot before the ledger recorded it; the fence refuses one that started late.
  const attempts = glue.runs
    .filter(({ id, jobs: done }) => done.length > 0 && !jobs.refused.includes(id))
    .map(({ properties }) => `${properties.batch_id} ${properties.attempt}`);
  if (!simulation.hadLateStarts() && !simulation.wasRestored().ledger)
    assert.equal(new Set(attempts).size, attempts.length, "an attempt has one run at most");

  const places = [folders.archived, folders.quarantinedFiles, folders.failed].flatMap((folder) => s3.keys(folder));
  for (const { name, body, withdrawn } of dropped) {
    // A file stays in incoming/ when S3 does not let it be moved: always, or at the moment of isolating it.
    const held =
      isHeld(simulation, `${folders.incoming}${name}`) && s3.objects.get(`${folders.incoming}${name}`)?.body === body
        ? 1
        : 0;
    const copies = places.filter((key) => isPlaceOf(key, name) && s3.objects.get(key)!.body === body).length + held;
    const drops = dropped.filter((one) => one.name === name && one.body === body);
    if (!withdrawn) assert.ok(copies >= 1, `${name} with ${body} is not lost`);
    // A held file is in two places only if S3 copied it and would not delete it.
    const isLeftover = held === 1 && batches.some(({ notMoved }) => notMoved?.includes("was not deleted"));
    const most = drops.length + (isLeftover ? 1 : 0) + leftByRestore(simulation, name);
    assert.ok(copies <= most, `${name} with ${body} is in one place for each drop`);
    assert.ok(held === 1 || withdrawn || !/SEALED|STUCK|BROKEN/.test(body), `${name} can't be moved`);
  }
  for (const key of places) {
    const { body } = s3.objects.get(key)!;
    const { failed, quarantinedFiles, archived } = folders;
    const kind = body.includes("POISON") ? failed : body.includes("JUNK") ? quarantinedFiles : archived;
    // A good file may end as a failed one when faults hit its runs; a bad one has no other place to go.
    assert.ok(key.startsWith(kind) || key.startsWith(folders.failed), `${key} with ${body} lies below ${kind}`);
    const batch = batches.find(({ batchId }) => key.includes(`/${batchId}/`));
    assert.ok(batch && ["ARCHIVED", "FAILED"].includes(batch.state), `${key} is of a batch that moved it`);
  }

  // Every listen of a settled batch or an archived file is counted exactly once, and no other.
  const read = batches
    .filter(({ state }) => state === "ARCHIVED")
    .flatMap(({ batchId }) => [...(jobs.readBy.get(batchId)?.values() ?? [])]);
  const archived = s3.keys(folders.archived).map((key) => s3.objects.get(key)!.body);
  const forgotten = jobs.forgotten();
  const there = new Set([...read, ...archived].flatMap((text) => text.split(",")));
  // A forgotten listener's rows stay only where their batch can't run again.
  const staying = [...forgotten].flatMap((listener) =>
    jobs.search(listener).holdings.map((one) => [listener, one] as const),
  );
  for (const [listener, { batchId }] of staying) {
    const why = simulation.unforgettable.get(batchId);
    assert.match(why ?? "", /can't run again: /, `${listener} is forgotten, and ${batchId} still has it`);
  }
  const left = staying.map(([listener]) => listener);
  const expected = [...there].filter((listen) => !forgotten.has(listen) || left.includes(listen)).sort();
  assert.deepEqual(jobs.curated().sort(), expected, "curated holds every listen once");
  const isSure = (listen: string) => !simulation.unmended.has(listen);
  assert.deepEqual(
    Object.fromEntries([...jobs.metrics].filter(([listen]) => isSure(listen)).sort()),
    Object.fromEntries(expected.filter(isSure).map((listen) => [listen, 1])),
    "the metrics count every listen once",
  );
}
