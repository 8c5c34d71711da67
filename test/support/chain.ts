/**
 * Skips the tests of a suite after one of it that failed, because they build on it. Mocha's `bail` does so too, but
 * without a word, and also when a test of another suite failed.
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
