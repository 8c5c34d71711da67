// One entry a bug: a list, and so longer than other files.
/** A bug to plant into the protocol or the jobs, and the test that must fail because of it. */
export interface Mutant {
  /** What the code now does wrong. */
  name: string;
  file: string;
  /** Stands in the file exactly once. */
  find: string;
  replace: string;
  caughtBy: Check;
}

/**
 * A test by its file and the beginning of its title. Mocha: suite and title. Pytest: the function's name, with the
 * id of a case if there is one.
 */
export interface Check {
  file: string;
  title: string;
}

const histories: Check = {
  file: "test/runtime/model.test.ts",
  title: "the protocol under random histories loses no listen and counts none twice",
};
const faults: Check = { file: "test/runtime/faults.test.ts", title: "every single fault" };
const protocol = (title: string): Check => ({ file: "test/runtime/protocol.test.ts", title });
const deadEnds = (title: string): Check => ({ file: "test/runtime/dead-ends.test.ts", title });
const restored = (title: string): Check => ({ file: "test/runtime/restored.test.ts", title });
const decisions = (title: string): Check => ({ file: "test/runtime/decide.test.ts", title });
const python = (file: string, title: string): Check => ({ file: `test/glue-scripts/${file}`, title });

const door = (title: string): Check => ({ file: "test/local/test_front_door.py", title });

export const MUTANTS: Mutant[] = [
  {
    name: "ticks do not repeat how batches ended",
    file: "runtime/observe.ts",
    find: "  await repeatOutcomes(world);\n",
    replace: "",
    caughtBy: {
      file: "test/infra/alarm-stories.test.ts",
      title: "what raises the alarms a batch fails, and the log lines of its end are lost",
    },
  },
  {
    name: "a file that S3 refuses fails the whole run",
    file: "glue-scripts/music_streams/staging.py",
    find: "if why is None or not",
    replace: "if True or not",
    caughtBy: python(
      "test_transform_files.py",
      "test_files_that_s3_refuses_are_quarantined_in_one_run[AccessDenied-403]",
    ),
  },
  {
    name: "a replay leaves out an archived file that S3 refuses",
    file: "glue-scripts/music_streams/staging.py",
    find: 'if why is None or not file.key.startswith(layout.key("incoming")):',
    replace: "if why is None:",
    caughtBy: python(
      "test_transform_files.py",
      "test_a_replay_fails_when_s3_refuses_an_archived_file_and_keeps_its_rows",
    ),
  },
  {
    name: "a batch that a restored ledger calls CLAIMED runs from incoming/",
    file: "runtime/start.ts",
    find: '  if (await correctRestored(world, batch)) return "again";\n',
    replace: "",
    caughtBy: restored(
      "a batch whose ledger item is restored to an earlier moment keeps its listens when it is CLAIMED",
    ),
  },
  {
    name: "abandoning a batch that a restored ledger calls CLAIMED removes its rows",
    file: "runtime/abandon.ts",
    find: '  if (await correctRestored(world, batch)) return "again";\n',
    replace: "",
    caughtBy: restored("a batch whose ledger item is restored to an earlier moment keeps its listens when a person"),
  },
  {
    name: "a split batch wants its halves new in the ledger",
    file: "runtime/endings.ts",
    find: "known[index] === undefined",
    replace: "known.length > index",
    caughtBy: restored("a batch whose ledger item is restored to an earlier moment is divided once"),
  },
  {
    name: "a settled batch that is in flight again is ended again",
    file: "runtime/decide.ts",
    find: 'if (batch.settledAt !== undefined) return { do: "release" };',
    replace: "",
    caughtBy: restored("a batch whose ledger item is restored to an earlier moment is released"),
  },
  {
    name: "a batch that took a lost batch's files does not run again",
    file: "runtime/operator.ts",
    find: "    for (const taker of lost.takenBy) await requestReplay(world, taker);\n",
    replace: "",
    caughtBy: restored("a batch that a restored ledger has lost is taken up after another batch has claimed its files"),
  },
  {
    name: "a file is deleted before it is copied",
    file: "runtime/move.ts",
    find: "    await copy(world, source, target);\n",
    replace: "    await deleteVersion(world, source);\n    await copy(world, source, target);\n",
    caughtBy: histories,
  },
  {
    name: "a copy takes whatever version lies at the key",
    file: "runtime/move.ts",
    find: "        CopySourceIfMatch: source.etag,\n        ...marked,\n",
    replace: "        ...marked,\n",
    caughtBy: histories,
  },
  {
    name: "a move overwrites another object",
    file: "runtime/move.ts",
    find: '        ...marked,\n        IfNoneMatch: "*",\n',
    replace: "        ...marked,\n",
    caughtBy: protocol("archiving never overwrites another object"),
  },
  {
    name: "another object at the target is taken for the copy",
    file: "runtime/move.ts",
    find: "if (!(await mayBeCopy(world, source, there)))",
    replace: "if (false && !(await mayBeCopy(world, source, there)))",
    caughtBy: protocol("archiving never overwrites another object"),
  },
  {
    name: "a name that looks shortened keeps its key",
    file: "runtime/places.ts",
    find: "if (size <= room && !looksShortened) return name;",
    replace: "if (size <= room) return name;",
    caughtBy: decisions("names no two names have the same place, not even one that looks like a shortened name"),
  },
  {
    name: "a delete takes whatever version lies at the key",
    file: "runtime/move.ts",
    find: "Key: source.key, IfMatch: source.etag }",
    replace: "Key: source.key }",
    caughtBy: histories,
  },
  {
    name: "a move that was cut short is not recognised by its copy",
    file: "runtime/move.ts",
    find: "const there = await head(world, target);",
    replace: "const there = undefined as Head | undefined;",
    caughtBy: protocol("archiving leaves a file overwritten between copy and delete, and keeps the copy"),
  },
  {
    name: "a large file is copied but for its last part",
    file: "runtime/move.ts",
    find: "const count = Math.ceil(source.size / partBytes);",
    replace: "const count = Math.ceil(source.size / partBytes) - 1;",
    caughtBy: faults,
  },
  {
    name: "a listing ends after its first page",
    file: "runtime/lake.ts",
    find: "token = page.IsTruncated ? page.NextContinuationToken : undefined;",
    replace: "token = undefined;",
    caughtBy: histories,
  },
  {
    name: "keys are taken percent-encoded, as the listing has them",
    file: "runtime/lake.ts",
    find: 'page.EncodingType === "url" ? plainKey(Key) : Key',
    replace: "Key",
    caughtBy: histories,
  },
  {
    name: "a file that must be restored raises no alarm",
    file: "runtime/observe.ts",
    find: "const waiting = seen.count + cold;",
    replace: "const waiting = seen.count;",
    caughtBy: {
      file: "test/runtime/embedded-metrics.test.ts",
      title: "the pipeline's log calls a file waiting that lies in a cold class",
    },
  },
  {
    name: "a restored file is never claimed",
    file: "runtime/lake.ts",
    find: '        OptionalObjectAttributes: ["RestoreStatus"],\n',
    replace: "",
    caughtBy: {
      file: "test/runtime/embedded-metrics.test.ts",
      title: "the pipeline's log calls a file waiting that lies in a cold class",
    },
  },
  {
    name: "a lost claim takes its manifest back though it was this one that won",
    file: "runtime/claim.ts",
    find: "if (!(await readBatch(world, batchId))) await dropManifest",
    replace: "await dropManifest",
    caughtBy: faults,
  },
  {
    name: "a claim's listing may be older than another's claim",
    file: "runtime/ledger.ts",
    find: '...(seen === 0\n      ? { ConditionExpression: "attribute_not_exists(claims) OR claims = :seen" }\n      : { ConditionExpression: "claims = :seen" }),\n    ExpressionAttributeValues: { ":seen": seen },',
    replace: "...(seen >= 0 ? {} : {}),",
    caughtBy: protocol("a tick lets a claim lose whose listing is older than another's claim"),
  },
  {
    name: "a listing begins with the first key each time",
    file: "runtime/claim.ts",
    find: "after: pipeline.listedTo, timeIsUp }",
    replace: "timeIsUp }",
    caughtBy: histories,
  },
  {
    name: "where a listing stopped is written with a claim only",
    file: "runtime/claim.ts",
    find: "    if (listedTo !== pipeline.listedTo) await setListedTo(world, pipeline.claims, listedTo);\n",
    replace: "    if (listedTo === null) await setListedTo(world, pipeline.claims, listedTo);\n",
    caughtBy: histories,
  },
  {
    name: "a listing that goes on forgets the keys before it",
    file: "runtime/waiting.ts",
    find: "listedTo = timeIsUp() ? incoming() : await pass(listPages(world, incoming()), after);",
    replace: "listedTo = timeIsUp() ? incoming() : undefined;",
    caughtBy: { file: "test/runtime/waiting.test.ts", title: "what waits in incoming/ is listed on from" },
  },
  {
    name: "a listing keeps every file in memory",
    file: "runtime/waiting.ts",
    find: "if (kept.length >= 2 * keep + 1000) keepOldest();",
    replace: "if (kept.length < 0) keepOldest();",
    caughtBy: { file: "test/runtime/waiting.test.ts", title: "a listing of a million keys" },
  },
  {
    name: "a claim has no conditions",
    file: "runtime/ledger.ts",
    find: '    putNew(world, { pk: "PIPELINE", sk: "IN_FLIGHT", batchId, since: iso(world.clock.now()) }),\n    { Put: countOf(world, claims, claims + 1, listedTo) },\n',
    replace:
      '    { Put: { TableName: world.settings.ledgerTable, Item: { pk: "PIPELINE", sk: "IN_FLIGHT", batchId } } },\n    { Put: { TableName: world.settings.ledgerTable, Item: { pk: "PIPELINE", sk: "CLAIMS", claims: claims + 1, listedTo: listedTo ?? "" } } },\n',
    caughtBy: histories,
  },
  {
    name: "a batch is written without a look at its version",
    file: "runtime/ledger.ts",
    find: '      ConditionExpression: "#version = :seen",\n      ExpressionAttributeNames: { "#version": "version" },\n      ExpressionAttributeValues: { ":seen": seenVersion },\n',
    replace: "",
    caughtBy: histories,
  },
  {
    name: "a queued batch is taken up and stays in the queue",
    file: "runtime/ledger.ts",
    find: '  return transact(world, [\n    {\n      Delete: {\n        TableName: world.settings.ledgerTable,\n        Key: { pk: "PIPELINE", sk: `QUEUE#\u0024{batchId}` },\n        ConditionExpression: "attribute_exists(sk)",\n      },\n    },\n    ...turnWrites',
    replace: "  return transact(world, [\n    ...turnWrites",
    caughtBy: histories,
  },
  {
    name: "a batch is put into flight before it is known",
    file: "runtime/ledger.ts",
    find: "  return transact(world, [putNew(world, batchItem(batch)), ...turnWrites(world, batch.batchId, claims, listedTo)]);",
    replace:
      "  if (!(await transact(world, turnWrites(world, batch.batchId, claims, listedTo)))) return false;\n  return transact(world, [putNew(world, batchItem(batch))]);",
    caughtBy: faults,
  },
  {
    name: "COMPLETED is taken for success",
    file: "runtime/glue-runs.ts",
    find: 'if (run.Status === "COMPLETED" && transformed && publish?.JobRunState === "SUCCEEDED")',
    replace: 'if (run.Status === "COMPLETED")',
    caughtBy: decisions("what a workflow run came to COMPLETED with a failed publish"),
  },
  {
    name: "a run's status is believed while a job still works",
    file: "runtime/glue-runs.ts",
    find: 'node.JobDetails?.JobRuns?.some((job) => active.includes(job.JobRunState ?? ""))',
    replace: "false && active && node",
    caughtBy: decisions("what a workflow run came to a job still runs in a COMPLETED run"),
  },
  {
    name: "the run of an earlier attempt is taken for this one's",
    file: "runtime/glue-runs.ts",
    find: "properties.batch_id === batch.batchId && properties.attempt === String(batch.attempt)",
    replace: "properties.batch_id === batch.batchId",
    caughtBy: faults,
  },
  {
    name: "a run is looked for on the first page only",
    file: "runtime/glue-runs.ts",
    find: "    token = page.NextToken;\n",
    replace: "    token = undefined;\n",
    caughtBy: protocol("starting finds it also pages back, and after the run has ended"),
  },
  {
    name: "a run that Glue does not find yet is given up",
    file: "runtime/glue-runs.ts",
    find: "ageMs < UNKNOWN_FOR_MS && ageMs > -CLOCK_SKEW_MS",
    replace: "ageMs < 0",
    caughtBy: protocol("starting does not give up a run that Glue does not find yet"),
  },
  {
    name: "a run that Glue forgot is waited for",
    file: "runtime/glue-runs.ts",
    find: 'if (!run) return failed("workflow", "the workflow run is gone: Glue no longer knows it", false, false);',
    replace: 'if (!run) return { outcome: "running" };',
    caughtBy: histories,
  },
  {
    name: "a start whose reply was lost is sent again",
    file: "runtime/start.ts",
    find: '  if (await adopt(world, batch)) return "again";\n  const now',
    replace: "  const now",
    caughtBy: histories,
  },
  {
    name: "two ticks may send a start at once",
    file: "runtime/start.ts",
    find: 'if (now < settledMs && settledMs - now <= SEND_WITHIN_MS + ARRIVES_WITHIN_MS) return "wait";',
    replace: "",
    caughtBy: protocol("starting is taken over half a minute after its sender died"),
  },
  {
    name: "a run that the ledger went on without is left to work",
    file: "runtime/start.ts",
    find: "  await stopWorkflow(world, runId);\n",
    replace: "",
    caughtBy: protocol("starting stops its run when the ledger went on without it"),
  },
  {
    name: "a file that S3 does not move is tried for ever",
    file: "runtime/move-files.ts",
    find: "tries >= TRIES_BEFORE_HOLD && ",
    replace: "tries < 0 && ",
    caughtBy: histories,
  },
  {
    name: "a file is held at the first error, whatever it is",
    file: "runtime/move-files.ts",
    find: "tries >= TRIES_BEFORE_HOLD && Math.abs(nowMs - Date.parse(since)) >= longestMs",
    replace: "tries >= 1 && longestMs > 0 && since !== undefined && nowMs > 0",
    caughtBy: deadEnds("a file that S3 does not move is held after three tries in ten minutes"),
  },
  {
    name: "a held file is claimed at once, because its batch was released first",
    file: "runtime/ledger.ts",
    find: "[...end(world, written.batch, { ...changes, holding: undefined }), ...written.rest]",
    replace: "[...end(world, written.batch, { ...changes, holding: undefined })]",
    caughtBy: histories,
  },
  {
    name: "files that move after all stay held by a call that died",
    file: "runtime/move-files.ts",
    find: "  if (batch.holding) {",
    replace: "  if (false && batch.holding) {",
    caughtBy: deadEnds("a file that S3 does not move is not held while it moves"),
  },
  {
    name: "a replay ends although it has replaced rows",
    file: "runtime/replay.ts",
    find: "isFirst || batch.beforeReplay?.touched === touched",
    replace: "isFirst || touched",
    caughtBy: deadEnds("a replay whose archived file vanished after it was prepared goes on until"),
  },
  {
    name: "a replay's files are looked for once only",
    file: "runtime/decide.ts",
    find: 'return { do: batch.replay && !batch.prepared ? "prepare" : "start" };',
    replace: 'return { do: "start" };',
    caughtBy: deadEnds("a replay whose archived file vanished after it was prepared ends"),
  },
  {
    name: "a batch is abandoned while its run works",
    file: "runtime/decide.ts",
    find: 'if (facts?.outcome === "running") return { do: "stop" };',
    replace: 'if (facts?.outcome === "running") return { do: "abandon" };',
    caughtBy: deadEnds("a batch that a person abandons has its run stopped"),
  },
  {
    name: "a batch is abandoned while its start may still arrive",
    file: "runtime/abandon.ts",
    find: "  if (start) return start;\n",
    replace: "",
    caughtBy: deadEnds("a batch that a person abandons is not given up while a start"),
  },
  {
    name: "a batch is abandoned although the metrics hold its rows",
    file: "runtime/decide.ts",
    find: "return replay === true || transformed !== true;",
    replace: "return replay === true || transformed !== undefined || true;",
    caughtBy: deadEnds("a batch that a person abandons is refused once"),
  },
  {
    name: "the next attempt is a new claim, and the failed batch stays behind",
    file: "runtime/settle.ts",
    find: '  const written = await advance(world, batch, {\n    state: "RETRY",',
    replace:
      '  await release(world, batch, { state: "FAILED", settledAt: iso(world.clock.now()) });\n  const written = await advance(world, batch, {\n    state: "RETRY",',
    caughtBy: histories,
  },
  {
    name: "reports are taken without a look",
    file: "runtime/facts.ts",
    find: "if (wrong) return",
    replace: "if (false && wrong) return",
    caughtBy: faults,
  },
  {
    name: "a report of another run will do",
    file: "runtime/reports.ts",
    find: "if (report.workflowRunId !== runId) return",
    replace: "if (false) return",
    caughtBy: decisions("a run's reports an earlier run's fails the run"),
  },
  {
    name: "a file's counts need not add up",
    file: "runtime/reports.ts",
    find: "if (rowsRead !== rowsKept + rowsDuplicate + rowsQuarantined)",
    replace: "if (rowsRead < rowsKept)",
    caughtBy: decisions("a run's reports a file that does not add up fails the run"),
  },
  {
    name: "a claimed file may go unmentioned",
    file: "runtime/reports.ts",
    find: "for (const name of claimed) if (!named.has(name)) return",
    replace: "for (const name of claimed) if (!name) return",
    caughtBy: decisions("a run's reports a claimed file that is not mentioned fails the run"),
  },
  {
    name: "every failure of transform counts against the files",
    file: "runtime/facts.ts",
    find: '(await readDocument(world, place("readingMarker", { batchId })))?.workflowRunId === runId',
    replace: "true",
    caughtBy: protocol("a run that fails before transform reads a file never counts against the files"),
  },
  {
    name: "files that transform once read may be isolated, their rows in the metrics",
    file: "runtime/decide.ts",
    find: "const readable = transformed || batch.replay === true;",
    replace: "const readable = batch.replay === true;",
    caughtBy: decisions("what is done next about a batch files that transform once read are never isolated"),
  },
  {
    name: "a replay may be isolated, its rows in the metrics",
    file: "runtime/decide.ts",
    find: "const readable = transformed || batch.replay === true;",
    replace: "const readable = transformed && batch.replay !== true;",
    caughtBy: decisions("what is done next about a batch a replay is never isolated"),
  },
  {
    name: "a pause may last as long as a wrong clock says",
    file: "runtime/decide.ts",
    find: "if (nextMs > nowMs && nextMs <= nowMs + longestMs) return",
    replace: "if (nextMs > nowMs) return",
    caughtBy: decisions("what is done next about a batch a retry dated hours ahead by a wrong clock starts"),
  },
  {
    name: "a batch that is given up leaves its output in curated",
    file: "runtime/endings.ts",
    find: 'await inParallel(days, MOVES_AT_ONCE, (date) => deleteAll(world, place("listensBatch", { date, batchId })));',
    replace: "await inParallel(days, MOVES_AT_ONCE, async () => undefined);",
    caughtBy: histories,
  },
  {
    name: "a split loses the file in the middle",
    file: "runtime/endings.ts",
    find: "manifest.files.slice(middle)]",
    replace: "manifest.files.slice(middle + 1)]",
    caughtBy: histories,
  },
  {
    name: "the halves of a split are not queued",
    file: "runtime/ledger.ts",
    find: "[putNew(world, batchItem(half)), putNew(world, queueItem(half.batchId))]",
    replace: "[putNew(world, batchItem(half))]",
    caughtBy: histories,
  },
  {
    name: "a changed file is archived as if it had been read",
    file: "runtime/endings.ts",
    find: '    if (changed.has(name)) return "left";\n',
    replace: "",
    caughtBy: protocol("archiving leaves a file that the run did not read, though its old version is back"),
  },
  {
    name: "a quarantined file is archived among the good ones",
    file: "runtime/endings.ts",
    find: 'const kind = quarantined.has(name) ? "quarantinedFile" : "archived";',
    replace: 'const kind = "archived" as const;',
    caughtBy: histories,
  },
  {
    name: "a batch is called archived when the time was up",
    file: "runtime/move-files.ts",
    find: "  return cut ? undefined : { files, outcomes, failed };",
    replace: "  return { files, outcomes, failed };",
    caughtBy: protocol("a tick stops before the Lambda's time is up, and the next one goes on"),
  },
  {
    name: "a file is put back over another",
    file: "runtime/endings.ts",
    find: "await copy(world, source, target, mark);",
    replace: "await copy(world, source, target);",
    caughtBy: protocol("an operator never has a file put back over another"),
  },
  {
    name: "a file that is put back knows its own copy by the ETag",
    file: "runtime/endings.ts",
    find: "if (there) return there.mark === mark;",
    replace: "if (there) return there.etag === source.etag;",
    caughtBy: faults,
  },
  {
    name: "a replay runs without the files that are gone from the archive",
    file: "runtime/replay.ts",
    find: "else if (notRead.has(file.name)) notReplayed.push(file);",
    replace: "else if (file) notReplayed.push(file);",
    caughtBy: protocol("an operator can't replay a batch if that would lose listens"),
  },
  {
    name: "a replay's manifest is rewritten before the ledger knows of the replay",
    file: "runtime/operator.ts",
    find: '  const queued = await queue(world, batch, {\n    state: "REPLAY",',
    replace:
      '  await require("./lake").replaceManifest(world, plan.manifest);\n  const queued = await queue(world, batch, {\n    state: "REPLAY",',
    caughtBy: faults,
  },
  {
    name: "a paused pipeline claims",
    file: "runtime/tick.ts",
    find: 'if (pipeline.pausedSince !== undefined) return report({ action: "paused", ...settled, ...paused });',
    replace: "",
    caughtBy: protocol("an operator pauses: nothing is claimed"),
  },
  {
    name: "a run that comes too late does its work all the same",
    file: "glue-scripts/music_streams/fence.py",
    find: "    if present != attempt or not (recorded or announced):\n",
    replace: "    if present != attempt and not (recorded or announced):\n",
    caughtBy: python("test_fence.py", "test_a_run_that_came_too_late_is_refused"),
  },
  {
    name: "a listen is counted once a batch, not once for all time",
    file: "glue-scripts/transform.py",
    find: 'listens = distinct_listens(rows.where("reason IS NULL"), curated.known(reading.days))',
    replace: 'listens = distinct_listens(rows.where("reason IS NULL"), None)',
    caughtBy: python(
      "test_transform_batches.py",
      "test_a_listen_counts_once_whatever_file_batch_or_writing_brings_it_again",
    ),
  },
  {
    name: "a listen is counted as often as a batch holds it",
    file: "glue-scripts/music_streams/listens.py",
    find: 'rows.groupBy(*LISTEN_KEY, "listen_date").agg(',
    replace: 'rows.groupBy(*LISTEN_KEY, "listen_date", F.monotonically_increasing_id().alias("row")).agg(',
    caughtBy: python(
      "test_transform_batches.py",
      "test_a_listen_counts_once_whatever_file_batch_or_writing_brings_it_again",
    ),
  },
  {
    name: "a batch that runs again takes its own earlier rows for another's",
    file: "glue-scripts/music_streams/curated.py",
    find: "for key in of_day if own not in key]",
    replace: "for key in of_day if own]",
    caughtBy: python("test_transform_batches.py", "test_a_run_again_leaves_the_same_rows_wherever_earlier_ones_ended"),
  },
  {
    name: "a run again adds to what an earlier one wrote",
    file: "glue-scripts/music_streams/curated.py",
    find: "        store.in_parallel(lambda day: store.delete_below(self.s3, self.bucket, self._own(day)), earlier)\n",
    replace: "",
    caughtBy: python("test_transform_batches.py", "test_a_run_again_leaves_the_same_rows_wherever_earlier_ones_ended"),
  },
  {
    name: "days are named when they are written, not before",
    file: "glue-scripts/music_streams/curated.py",
    find: '        if touched:\n            put_json(self.s3, self.bucket, layout.key("touched", batchId=self.batch_id), {"days": touched})\n',
    replace: "",
    caughtBy: python("test_transform_batches.py", "test_a_run_again_leaves_the_same_rows_wherever_earlier_ones_ended"),
  },
  {
    name: "publish does not hear of groups that lost their rows",
    file: "glue-scripts/music_streams/curated.py",
    find: "        self.remember_replaced(earlier)\n",
    replace: "",
    caughtBy: python("test_transform_batches.py", "test_rows_that_a_run_again_no_longer_has_are_named_for_publish"),
  },
  {
    name: "a report is written without a look at what was written",
    file: "glue-scripts/transform.py",
    find: "        self._reconcile(reading, keeping, curated, days)\n",
    replace: "",
    caughtBy: python(
      "test_transform_losses.py",
      "test_a_batch_that_does_not_add_up_fails_without_report_and_succeeds_in_a_later_attempt[a kept listen is not written]",
    ),
  },
  {
    name: "transform reads whatever version lies at the key",
    file: "glue-scripts/music_streams/store.py",
    find: "CopySource=source, CopySourceIfMatch=file.etag)",
    replace: "CopySource=source)",
    caughtBy: python("test_transform_files.py", "test_an_overwrite_while_the_job_reads_does_not_slip_in"),
  },
  {
    name: "metrics are added to what is there, not put in its place",
    file: "glue-scripts/music_streams/publish_writer.py",
    find: 'requests.append({"PutRequest": {"Item": {**key, **item.attributes, **self._stamps}}})',
    replace:
      'before = int((there or {}).get("listens", {}).get("N", 0))\n                more = {**item.attributes, "listens": {"N": str(before + int(item.attributes.get("listens", {"N": 0})["N"]))}}\n                requests.append({"PutRequest": {"Item": {**key, **more, **self._stamps}}})',
    caughtBy: python("test_publish.py", "test_a_second_batch_of_the_day_adds_listens_but_not_listeners_it_knows"),
  },
  {
    name: "what DynamoDB leaves unprocessed is forgotten",
    file: "glue-scripts/music_streams/publish_writer.py",
    find: '(answer.get("UnprocessedItems") or {}).get(self._table, [])\n',
    replace: "[]\n",
    caughtBy: python("test_publish_writer.py", "test_the_writer_sends_unprocessed_requests_again_after_growing_pauses"),
  },
  {
    name: "a group that lost its last row keeps its item",
    file: "glue-scripts/music_streams/publish_writer.py",
    find: '                    requests.append({"DeleteRequest": {"Key": key}})\n',
    replace: "",
    caughtBy: python("test_publish.py", "test_groups_that_a_replay_left_without_rows_are_removed"),
  },
  {
    name: "a track's day counts the rows of this batch alone",
    file: "glue-scripts/music_streams/sql/track_day.sql",
    find: "  FROM listens\n  WHERE (listen_date, track_id) IN",
    replace: "  FROM listens\n  WHERE batch_id = (SELECT max(batch_id) FROM listens) AND (listen_date, track_id) IN",
    caughtBy: python("test_publish.py", "test_a_second_batch_of_the_day_adds_listens_but_not_listeners_it_knows"),
  },
  {
    name: "publish goes by the report of an earlier run",
    file: "glue-scripts/music_streams/publish_input.py",
    find: '    if report.get("workflowRunId") != workflow_run_id:\n',
    replace: "    if not workflow_run_id:\n",
    caughtBy: python("test_publish_errors.py", "test_a_stale_or_absent_transform_report_is_refused"),
  },
  {
    name: "a list of curated files ends after its first page",
    file: "glue-scripts/music_streams/publish_input.py",
    find: '    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):\n',
    replace: "    for page in [s3.list_objects_v2(Bucket=bucket, Prefix=prefix)]:\n",
    caughtBy: python("test_publish.py", "test_a_day_of_more_files_than_a_page_of_s3_is_read_whole"),
  },
  {
    name: "a genre keeps its blanks",
    file: "glue-scripts/music_streams/reference.py",
    find: "    return rows.withColumns({name: F.trim(name, F.lit(BLANKS)) for name in TRIMMED if name in rows.columns})\n",
    replace: "    return rows\n",
    caughtBy: python(
      "test_transform_files.py",
      "test_reference_data_is_read_from_odd_files_and_its_bad_rows_are_counted",
    ),
  },
  {
    name: "a number with a point or an exponent counts as unknown",
    file: "glue-scripts/music_streams/reference.py",
    find: "\n    exact = F.when(F.rlike(text, F.lit(NUMBER)),",
    replace: "\n    exact = F.when(F.rlike(text, F.lit(INTEGER)),",
    caughtBy: python(
      "test_transform_files.py",
      "test_reference_data_is_read_from_odd_files_and_its_bad_rows_are_counted",
    ),
  },
  {
    name: "one open quote takes a whole file of the reference data away",
    file: "glue-scripts/music_streams/dimensions.py",
    find: 'if counted["broken"] and not mode.mend:',
    replace: "if not mode:",
    caughtBy: python(
      "test_transform_files.py",
      "test_reference_data_is_read_from_odd_files_and_its_bad_rows_are_counted",
    ),
  },
  {
    name: "zeros behind a gzip make it corrupt",
    file: "glue-scripts/music_streams/inputs.py",
    find: 'behind, rest = rest, rest.lstrip(b"\\0")',
    replace: "behind = rest",
    caughtBy: python(
      "test_transform_files.py",
      "test_a_gzip_too_large_to_check_is_quarantined_when_spark_finds_its_end_bad",
    ),
  },
  {
    name: "the name of a zone makes a time unreadable",
    file: "glue-scripts/music_streams/listens.py",
    find: "(?:(?<=[Z0-9]){ZONE_NAME})?",
    replace: "",
    caughtBy: python("test_transform_rows.py", "test_a_listen_time_is_read_as_utc_or_quarantined_with_its_reason"),
  },
  {
    name: "the front door lets web pages in",
    file: "local/python/front_door.py",
    find: "            _refuse_pages(request)\n",
    replace: "",
    caughtBy: door("test_sends_glue_calls_to_the_local_glue_unchanged_and_only_signed_ones"),
  },
  {
    name: "the emulator's administration can be reached",
    file: "local/python/front_door.py",
    find: "            _refuse_administration(request)\n",
    replace: "",
    caughtBy: door("test_has_no_administration_behind_it_even_when_the_request_is_signed[/_ministack/health-GET]"),
  },
  {
    name: "nobody compares the signatures",
    file: "local/python/signature.py",
    find: "    if not hmac.compare_digest(expected.encode(), signature.value.encode()):\n",
    replace: "    if not hmac.compare_digest(expected.encode(), expected.encode()):\n",
    caughtBy: door("test_refuses_a_wrong_secret_and_a_changed_request"),
  },
  {
    name: "a signed request may name a second credential in its query",
    file: "local/python/signature.py",
    find: "strange or (authorizations and in_query):",
    replace: "False:",
    caughtBy: door("test_refuses_a_second_credential_beside_the_signed_one"),
  },
];
