/**
 * Skips the tests of a suite that stand below one that failed: they build on it. Mocha's `bail` also skips them, without
 * a word, when a test of another suite failed.
 */
export function stopsAtFailure(): void {
  let failed = false;
  beforeEach(function () {
    if (failed) this.skip();
  });
  afterEach(function () {
    failed ||= this.currentTest?.state === "failed";
  });
}
