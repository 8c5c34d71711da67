import assert from "node:assert/strict";
import { referenceNotes } from "../../cli/reference-notes";
import type { TransformReport } from "../../runtime/batch";

const report = (more: object) => ({ rowsKept: 10, unknownTracks: 3, ...more }) as TransformReport;

describe("notes about the reference data", () => {
  it("are none where it is all used and knows a track", () => {
    assert.deepEqual(referenceNotes(report({})), []);
    assert.deepEqual(referenceNotes(report({ rowsKept: 0, unknownTracks: 0 })), []);
  });

  it("say that it knows no track of the batch", () => {
    assert.deepEqual(referenceNotes(report({ unknownTracks: 10 })), [
      "no track of its listens is in the reference data: they have no name and no genre",
    ]);
  });

  it("name each file, quote and value with its place", () => {
    const key = "reference/songs/new.csv";
    const value = { column: "duration_ms", rows: 1200, example: "3 min", key };
    const notes = referenceNotes(
      report({
        referenceFilesSkipped: [{ name: "x", key, reason: "missing_columns", detail: "no column track_id" }],
        referenceQuotesOpen: [{ key, line: 57 }],
        referenceValuesSkipped: [{ ...value, reason: "not_a_number" }],
        referenceValuesSuspicious: [
          { ...value, column: "track_genre", reason: "suspicious", example: "nan" },
          { ...value, column: "artists", reason: "not_utf_8", example: "Beyonc\ufffd" },
        ],
      }),
    );
    assert.deepEqual(notes, [
      `reference data: ${key} was not used: missing_columns (no column track_id)`,
      `reference data: ${key}, line 57: a quote is not closed`,
      `reference data: ${key} is not UTF-8: artists in 1200 rows, first "Beyonc\ufffd"`,
      `reference data: duration_ms counts as unknown in 1,200 rows (not_a_number), first "3 min" in ${key}`,
      `reference data: track_genre is "nan" in 1,200 rows, as if it were missing, first in ${key}`,
    ]);
  });
});
