import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { defaults, estimate, type Load } from "../../cli/cost/estimate";
import { measured } from "../../cli/cost/measured";
import { prices } from "../../cli/cost/prices";
import { count, duration } from "../../terminal/format";
import { root } from "../support/commands";
import { runCommandIn, verb } from "./pipeline";

const load: Load = { listensPerDay: 1e6, batchesPerDay: 288, filesPerDay: 288, tracks: 90_000, genres: 114 };
const line = (of: Load, what: string) => estimate(of).lines.find((one) => one.what === what)!;
const close = (found: number, expected: number) =>
  assert.ok(Math.abs(found - expected) <= Math.abs(expected) * 1e-9, `${found}, expected ${expected}`);

describe("the cost of a month", () => {
  it("bills each run at least a minute: 288 batches of two workers and of one shell", () => {
    close(line(load, "transform").amount, (288 * 30 * 2) / 60);
    close(line(load, "transform").usd, 288 * 0.308);
    close(line(load, "publish").usd, ((288 * 30) / 60) * 0.44);
  });

  it("bills a longer run by its seconds, on the cores that the driver leaves", () => {
    const large = { ...load, listensPerDay: 1e9, workers: 2 };
    const seconds = measured.transformSeconds + (measured.transformCoreSeconds * 1000) / 24 / 4;
    close(estimate({ ...large, batchesPerDay: 24 }).transformSeconds, seconds);
    close(line({ ...large, batchesPerDay: 24 }, "transform").amount, (24 * 30 * 2 * seconds) / 3600);
  });

  it("writes an item for each track of a batch, for each genre twice, and for the day twice", () => {
    // One batch of so many listens has them all.
    const one = { ...load, batchesPerDay: 1, listensPerDay: 1e7, tracks: 1000, genres: 10 };
    close(line(one, "items written").amount, (30 * (1000 + 2 * 10 + 12)) / 1e6);
    close(line(one, "items written").usd, 30 * 1032 * 0.625e-6);
    close(line(one, "items read").usd, 30 * 1032 * 0.125e-6);
    // Two listens of two tracks fall on the same one in half of the cases.
    const few = { ...one, listensPerDay: 2, tracks: 2 };
    close(line(few, "items written").amount, (30 * (1.5 + 32)) / 1e6);
  });

  it("keeps a CSV twice, and the Parquet, for 30 days", () => {
    close(line(load, "CSVs").amount, (2 * 30 * 1e6 * measured.csvBytes) / 1e9);
    close(line(load, "CSVs").usd, ((2 * 30 * 1e6 * measured.csvBytes) / 1e9) * 0.023);
    close(line(load, "Parquet").amount, (30 * 1e6 * measured.parquetBytes) / 1e9);
  });

  it("copies each file twice, reads it three times, and lists for each tick", () => {
    const many = { ...load, filesPerDay: 10_000 };
    close(line(many, "copies and listings").usd, ((2 * 10_000 + 288) * 30 * 5) / 1e6);
    close(line(many, "reads of files").usd, (3 * 10_000 * 30 * 0.4) / 1e6);
  });

  it("is the sum of its lines", () => {
    const { lines, usd } = estimate(load);
    close(
      usd,
      lines.reduce((total, one) => total + one.usd, 0),
    );
    assert.ok(lines.every((one) => one.usd >= 0 && Number.isFinite(one.usd)));
  });

  it("adds the environment of managed Airflow, each hour of the month", () => {
    const { usd, airflowUsd } = estimate(load);
    close(airflowUsd - usd, 30 * 24 * 0.49);
  });

  it("takes a small Fargate task while a day fits it, then a large one, then none", () => {
    const parts = ["items written", "items read", "tables", "point-in-time recovery"];
    const rest = [...parts, "CSVs", "Parquet", "copies and listings", "reads of files"];
    const kept = rest.reduce((total, what) => total + line(load, what).usd, 0);
    close(estimate(load).fargateUsd! - kept, ((288 * 30) / 60) * (4 * 0.04048 + 16 * 0.004445));
    const fits = (gb: number) => (gb * 0.6 * 1e9) / 20 / measured.parquetBytes;
    assert.ok(estimate({ ...load, listensPerDay: Math.floor(fits(120)) }).fargateUsd! > 0);
    assert.equal(estimate({ ...load, listensPerDay: Math.ceil(fits(120)) + 1 }).fargateUsd, undefined);
    const dearer = (listensPerDay: number) => estimate({ ...load, listensPerDay }).fargateUsd!;
    assert.ok(dearer(Math.ceil(fits(16)) + 1) > dearer(Math.floor(fits(16))) + 100);
  });

  it("takes more workers only when fewer don't keep up", () => {
    assert.equal(estimate(load).workers, 2);
    const { workers, batchesPerDay } = estimate({ ...load, listensPerDay: 1e11 });
    assert.ok(workers > 2);
    assert.equal(batchesPerDay, 288);
    const fewer = estimate({ ...load, listensPerDay: 1e11, workers: workers - 1 });
    assert.ok(fewer.batchesPerDay < 288);
    assert.match(fewer.limits.join("\n"), /One batch is in flight at a time/);
  });

  it("says when transform can't keep up at all", () => {
    const { limits } = estimate({ ...load, listensPerDay: 1e11, workers: 2 });
    assert.match(limits.join("\n"), /can't keep up, even with one batch a day/);
  });

  it("leaves publish out, and says so, when a day outgrows the Python shell", () => {
    const large = { ...load, listensPerDay: 1e9 };
    assert.equal(estimate(large).publishSeconds, undefined);
    assert.equal(line(large, "publish"), undefined);
    assert.match(estimate(large).limits.join("\n"), /set publishEngine to spark/);
  });

  it("says when a batch is larger than the settings let it be", () => {
    const read = parse(readFileSync(path.join(root, "Pulumi.yaml"), "utf8")).config;
    for (const name of ["maxBatchFiles", "maxBatchBytes"] as const) assert.equal(defaults[name], read[name].default);
    const listens = defaults.maxBatchBytes / measured.csvBytes;
    const of = (listensPerDay: number, filesPerDay = 1) =>
      estimate({ ...load, batchesPerDay: 1, listensPerDay, filesPerDay }).limits.join("\n");
    assert.doesNotMatch(of(Math.floor(listens), 5000), /maxBatch/);
    assert.match(of(Math.ceil(listens) + 1), /^A batch has 10\.7 GB, above the default of maxBatchBytes/);
    assert.match(of(1, 5001), /^A batch has 5,001 files, above the default of maxBatchFiles/);
  });

  it("never falls when more listens arrive, while publish is in the sum", () => {
    const sums = [1, 1e3, 1e6, 1e7, 5e7].map((listensPerDay) => estimate({ ...load, listensPerDay }).usd);
    assert.deepEqual(
      sums,
      [...sums].sort((a, b) => a - b),
    );
  });

  it("has a source for every price, or calls it unchecked", () => {
    for (const [name, { usd, per, sure, source }] of Object.entries(prices)) {
      assert.ok(usd > 0 && per.length > 0, name);
      assert.equal(sure === "unchecked", source === "no page was read", name);
    }
  });
});

describe("npm run cost", () => {
  const main = verb("cost");

  it("prints the bill, the other ways, and what is unchecked", async () => {
    const { code, out } = await runCommandIn(root, main, ["--listens-per-day", "1000000"]);
    assert.equal(code, 0);
    assert.match(out, /^1,000,000 listens a day, 288 files, 288 batches\n/);
    const usd = (words: string) => Number(new RegExp(`^${words} +([\\d.,]+)$`, "m").exec(out)?.[1]?.replace(",", ""));
    const found = estimate(load);
    assert.equal(usd("this pipeline"), Math.round(found.usd));
    assert.equal(usd("the same jobs, started by managed Airflow \\(mw1.small\\)"), Math.round(found.airflowUsd));
    assert.match(out, /from cli\/cost\/prices\.ts; unchecked: 1\./);
  });

  it("prints all of it as JSON with --json", async () => {
    const args = ["--listens-per-day", "1000000", "--files-per-day", "5", "--json"];
    const { out } = await runCommandIn(root, main, args);
    const { load: asked, ...found } = JSON.parse(out);
    assert.equal(asked.filesPerDay, 5);
    assert.deepEqual(found.lines, estimate({ ...load, filesPerDay: 5 }).lines);
  });

  it("does not call a sum whole that leaves publish out", async () => {
    const { out } = await runCommandIn(root, main, ["--listens-per-day", "10000000000"]);
    assert.match(out, /^this pipeline +at least [\d,]+$/m);
    assert.match(out, /^a DuckDB task on Fargate for each batch +too large$/m);
  });

  it("needs to know how much arrives", async () => {
    const { code, notes } = await runCommandIn(root, main, []);
    assert.equal(code, 2);
    assert.match(notes.join("\n"), /required option '--listens-per-day <n>' not specified/);
  });
});

describe("the tables of docs/scale.md", () => {
  const page = readFileSync(path.join(root, "docs", "scale.md"), "utf8");
  const whole = (usd: number | undefined) => (usd === undefined ? "too large" : count(Math.round(usd)));
  const rowOf = (listensPerDay: number, batchesPerDay: number) => {
    const found = estimate({ ...load, listensPerDay, batchesPerDay, filesPerDay: batchesPerDay });
    const jobs = found.lines
      .filter(({ unit }) => unit === "DPU hours")
      .reduce((total, { amount }) => total + amount, 0);
    const written = found.lines.find(({ what }) => what === "items written")!;
    const least = found.publishSeconds === undefined ? "at least " : "";
    const cells = [count(listensPerDay), count(found.batchesPerDay), String(found.workers), `${least}${whole(jobs)}`];
    const usd = [`${least}${whole(found.usd)}`, `${least}${whole(found.airflowUsd)}`, whole(found.fargateUsd)];
    return `| ${[...cells, whole(written.amount), ...usd].join(" | ")} |`;
  };

  for (const batches of [288, 24])
    for (const listens of [1e6, 1e7, 1e8, 1e9, 1e10])
      it(`have ${count(listens)} listens in ${batches} batches as the command estimates them`, () => {
        assert.ok(page.includes(rowOf(listens, batches)), rowOf(listens, batches));
      });

  it("are those of the FAQ's table", () => {
    const faq = readFileSync(path.join(root, "docs", "faq.md"), "utf8");
    for (const listensPerDay of [1e6, 1e7, 1e8]) {
      const sums = [288, 24].map((batchesPerDay) => {
        const found = estimate({ ...load, listensPerDay, batchesPerDay, filesPerDay: batchesPerDay });
        return `${found.publishSeconds === undefined ? "at least " : ""}${whole(found.usd)}`;
      });
      const row = `| ${[count(listensPerDay), ...sums].join(" | ")} |`;
      assert.ok(faq.includes(row), row);
    }
  });

  for (const listens of [1e6, 1e7, 1e8, 1e9])
    it(`have a batch of ${count(listens)} listens by workers`, () => {
      const took = (workers: number) =>
        estimate({ ...load, listensPerDay: listens, batchesPerDay: 1, workers }).transformSeconds;
      const row = `| ${[count(listens), ...[2, 10, 50, 299].map((workers) => duration(1000 * took(workers)))].join(" | ")} |`;
      assert.ok(page.includes(row), row);
    });
});
