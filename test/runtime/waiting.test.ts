import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { observedTick } from "../../runtime/observe";
import { tick } from "../../runtime/tick";
import { lookThrough } from "../../runtime/waiting";
import type { Store } from "../../runtime/world";
import { folders } from "../support/folders";
import { FULL, timeLimitMs } from "../support/full";
import { createSimulation } from "../support/simulated-pipeline";
import type { Command } from "../support/simulated-s3";

const at = (name: string) => `${folders.incoming}${name}`;

/** A listing of objects of the given ages. */
function listing(objects: [key: string, secondsOld: number][], keep = 100) {
  const simulation = createSimulation({ pageSize: 1000 });
  for (const [key, age] of objects) {
    const stored = simulation.s3.put(key, "x");
    stored.lastModified = new Date(simulation.clock.now() - 1000 * age);
  }
  return { simulation, look: () => lookThrough(simulation.actor().world, { keep }) };
}

describe("what waits in incoming/", () => {
  const keys = ({ files }: { files: { key: string }[] }) => files.map(({ key }) => key);

  it("is taken oldest first, and by the bytes of the key among equals", async () => {
    const { look } = listing([
      [at("é.csv"), 5],
      [at("z.csv"), 5],
      [at("Z.csv"), 5],
      [at("x.csv"), 9],
    ]);
    assert.deepEqual(keys(await look()), [at("x.csv"), at("Z.csv"), at("z.csv"), at("é.csv")]);
  });

  it("passes over folders and what is not CSV, and counts them", async () => {
    const names = ["", "d.csv/", "a.CSV", "b.Csv.GZ", "c.csv.bak", "csv"];
    const { look } = listing(names.map((name) => [at(name), 1]));
    const found = await look();
    assert.deepEqual(keys(found), [at("a.CSV"), at("b.Csv.GZ")]);
    assert.deepEqual(found.ignored, { folders: 2, notCsv: 2 });
  });

  it("leaves a file alone that must be restored first, and counts it", async () => {
    const { simulation, look } = listing([
      [at("a.csv"), 9],
      [at("b.csv"), 2],
    ]);
    simulation.s3.objects.get(at("a.csv"))!.storageClass = "GLACIER";
    const found = await look();
    assert.deepEqual([keys(found), found.count], [[at("b.csv")], 1]);
    assert.deepEqual(found.ignored, { folders: 0, notCsv: 0, cold: 1 });
    assert.equal(found.oldestMs, simulation.clock.now() - 9000);
  });

  it("keeps the oldest files only, and counts all", async () => {
    const { look } = listing(
      Array.from({ length: 1500 }, (_, index): [string, number] => [at(`${index}.csv`), (index * 7919) % 1500]),
      5,
    );
    const { files, count, bytes } = await look();
    assert.deepEqual([files.length, count, bytes], [5, 1500, 1500]);
    const ages = files.map(({ key }) => (Number.parseInt(key.slice(folders.incoming.length), 10) * 7919) % 1500);
    assert.deepEqual(ages, [1499, 1498, 1497, 1496, 1495]);
  });

  it("is listed on from the key where the time was up, all around", async () => {
    const simulation = createSimulation();
    for (const name of ["a", "b", "c", "d", "e", "f", "g", "h"]) simulation.s3.put(at(`${name}.csv`), "x");
    const { world } = simulation.actor();
    const look = async (after: string | undefined, pages: number) => {
      let looks = 0;
      const { files, listedTo } = await lookThrough(world, { keep: 9, after, timeIsUp: () => ++looks >= pages });
      return [files.map(({ key }) => key.slice(folders.incoming.length, -4)).join(""), listedTo];
    };
    assert.deepEqual(await look(undefined, 1), ["abc", at("c.csv")]);
    assert.deepEqual(await look(at("c.csv"), 1), ["def", at("f.csv")]);
    assert.deepEqual(await look(at("f.csv"), 1), ["gh", folders.incoming], "the time is up at the last key");
    assert.deepEqual(await look(folders.incoming, 1), ["abc", at("c.csv")]);
    assert.deepEqual(await look(at("f.csv"), 9), ["abcdefgh", undefined], "a listing with time takes the rest too");
  });
});

describe("a tick over more keys than it can list", () => {
  it("reaches a CSV behind any number of other keys, and reports these by count", async () => {
    const simulation = createSimulation({ listMs: 9000 });
    for (let index = 0; index < 30; index++) simulation.s3.put(at(`${10 + index}.json`), "x");
    simulation.drop("z.csv", "l1");
    let ticks = 0;
    while (!simulation.inFlight() && ticks++ < 20) await observedTick(simulation.actor().world, 60_000);
    assert.ok(ticks > 2 && ticks < 10, `${ticks} ticks`);
    const { not_csv_keys, listing: part } = simulation.logs.find(({ event }) => event === "keysIgnored")!;
    assert.deepEqual([not_csv_keys, part], [9, "partial"]);
    assert.equal(simulation.s3.keys(folders.incoming).filter((key) => key.endsWith(".json")).length, 30);
  });

  it("takes files from all of the folder in turn", async () => {
    const simulation = createSimulation({ listMs: 12_000, limits: { maxBatchFiles: 1, maxAttempts: 1 } });
    simulation.drop("g.csv", "lg");
    simulation.clock.advance(60_000);
    for (const name of ["a", "b", "c", "d", "e", "f"]) simulation.drop(`${name}.csv`, `l${name}`);
    const claimed: string[] = [];
    for (let round = 0; round < 4; round++) {
      await tick(simulation.actor().world, 60_000);
      const [batch] = simulation.batches();
      const { files } = simulation.s3.json(`${folders.batches}${batch!.batchId}/manifest.json`);
      claimed.push(files[0].name);
      simulation.finish("good");
      simulation.clock.advance(60_000);
    }
    // The first listing ends at f; the second one begins there.
    assert.deepEqual(claimed, ["a.csv", "g.csv", "b.csv", "c.csv"]);
  });
});

describe("a tick in the middle of an upload", () => {
  /** Uploads so many files a second, by the clock of the tick that sleeps. Gives the number of its batch's files. */
  async function claimedOf(perSecond: number, seconds: number, limits = { maxBatchFiles: 5000 }): Promise<number> {
    const simulation = createSimulation({ pageSize: 1000, limits: { ...limits, maxBatchBytes: 1e9 } });
    const { world } = simulation.actor();
    let uploaded = 0;
    const upload = (forSeconds: number) => {
      const end = Math.min(perSecond * seconds, uploaded + perSecond * forSeconds);
      for (; uploaded < end; uploaded++) simulation.drop(`${uploaded}.csv`, `l${uploaded}`);
    };
    upload(3);
    const sleep = async (ms: number) => {
      simulation.clock.advance(ms);
      upload(ms / 1000);
    };
    await tick({ ...world, clock: { ...world.clock, sleep } }, 300_000);
    return simulation.batches()[0]!.files;
  }

  it("claims all of its files at once", async () => {
    assert.equal(await claimedOf(100, 20), 2000);
  });

  it("does not wait for a producer that never stops", async () => {
    const files = await claimedOf(50, 3600);
    assert.ok(files > 2500 && files < 3300, `${files} files`);
  });

  it("does not wait for a few files, nor when a batch is full", async () => {
    assert.equal(await claimedOf(5, 60), 15);
    assert.equal(await claimedOf(100, 60, { maxBatchFiles: 250 }), 250);
  });
});

/** S3's page size. */
const PAGE = 1000;

/** A bucket with any number of keys below incoming/; every tenth is no CSV. Pages are made when asked for. */
function hugeStore(keys: number): Store {
  const nameOf = (index: number) => at(`producer-with-a-long-name/2026/11/${String(index).padStart(9, "0")}`);
  const send = async ({ input }: Command) => {
    const { ContinuationToken, StartAfter } = input as { ContinuationToken?: string; StartAfter?: string };
    const first = ContinuationToken === undefined ? 0 : Number(ContinuationToken);
    assert.equal(StartAfter, undefined);
    const length = Math.min(PAGE, keys - first);
    const Contents = Array.from({ length }, (_, offset) => {
      const index = first + offset;
      return {
        Key: nameOf(index) + (index % 10 === 0 ? ".json" : ".csv"),
        ETag: `"${String(index).padStart(32, "0")}"`,
        Size: 1000,
        LastModified: new Date(1e12 + ((index * 7919) % keys) * 1000),
      };
    });
    const next = first + length;
    return { Contents, IsTruncated: next < keys, NextContinuationToken: String(next) };
  };
  const documents = { send: async () => ({ Items: [] }) };
  return {
    clients: { s3: { send }, documents } as unknown as Store["clients"],
    clock: { now: Date.now, sleep: async () => undefined },
    log: () => undefined,
    settings: { bucket: "lake", ledgerTable: "ledger" },
  };
}

describe("a listing of a million keys", () => {
  it("needs no more memory than one of a tenth of them", async function () {
    const million = FULL ? 1_000_000 : 300_000;
    this.timeout(timeLimitMs(million, 1));
    // Without a collector to call, the highest use would include what is free already.
    setFlagsFromString("--expose-gc");
    const gc: () => void = runInNewContext("gc");
    const measure = async (keys: number) => {
      gc();
      const before = process.memoryUsage().heapUsed;
      let highest = 0;
      let looks = 0;
      const startedMs = performance.now();
      const { files, count, ignored } = await lookThrough(hugeStore(keys), {
        keep: 1001,
        timeIsUp: () => {
          if (++looks % 100 === 0) {
            gc();
            highest = Math.max(highest, process.memoryUsage().heapUsed - before);
          }
          return false;
        },
      });
      assert.deepEqual([files.length, count, ignored.notCsv], [1001, (9 * keys) / 10, keys / 10]);
      return { seconds: (performance.now() - startedMs) / 1000, megabytes: highest / 1024 ** 2 };
    };
    const small = await measure(million / 10);
    const large = await measure(million);
    console.log(
      `      ${million} keys in ${large.seconds.toFixed(1)} s, with ${large.megabytes.toFixed(1)} MB (a tenth: ${small.megabytes.toFixed(1)} MB)`,
    );
    assert.ok(large.megabytes < 8, `${large.megabytes} MB`);
  });
});
