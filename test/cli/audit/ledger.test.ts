import type { Manifest } from "../../../runtime/batch";
import { place } from "../../../runtime/places";
import { folders } from "../../support/folders";
import { a, b, files, finds, first, lone, second, split } from "./sound-lake";
import { at, bodyOf } from "./values";

describe("npm run audit: the ledger", () => {
  finds([
    {
      title: "IN_FLIGHT of a settled batch",
      plant: (lake) => lake.turn("IN_FLIGHT", { batchId: a }),
      found: { ledger: /a turn of a batch that is settled/ },
    },
    {
      title: "a queued batch that is not in the ledger",
      plant: (lake) => lake.turn("QUEUE#20261120T120000Z-UNKNOWNU", { batchId: "20261120T120000Z-UNKNOWNU" }),
      found: { ledger: /not in the ledger/ },
    },
    {
      title: "a batch that is neither settled nor has a turn",
      plant: async (lake) => {
        const manifest = { batchId: "20261120T120000Z-FORGOTTE", claimedAt: at(lone, 5), files: [] };
        await lake.put(place("manifest", manifest), JSON.stringify(manifest));
        const { item } = await lake.batch(lone);
        const fresh = {
          batchId: manifest.batchId,
          state: "CLAIMED" as const,
          version: 1,
          attempt: 1,
          files: 0,
          bytes: 0,
        };
        await lake.ledger({ ...fresh, claimedAt: item.claimedAt, updatedAt: item.updatedAt });
      },
      found: { ledger: /exactly one turn/ },
      remedy: /^npm run replay -- 20261120T120000Z-FORGOTTE/,
    },
    {
      title: "a SPLIT batch whose halves lost a file",
      plant: async (lake) => {
        await lake.change<Manifest>(place("manifest", { batchId: split }), (it) => ({
          ...it,
          files: [...it.files, { ...it.files[0]!, key: `${folders.incoming}third.csv`, name: "third.csv" }],
        }));
        await lake.changeBatch(split, (it) => ({ files: 3, bytes: it.bytes + bodyOf(files.half).length }));
      },
      found: { ledger: /in neither half/ },
    },
    {
      title: "a SPLIT batch whose halves hold a file twice",
      plant: async (lake) => {
        const half = await lake.document<Manifest>(place("manifest", { batchId: first }));
        const bad = await lake.document<Manifest>(place("manifest", { batchId: second }));
        await lake.put(
          place("manifest", { batchId: second }),
          JSON.stringify({ ...bad, files: [...bad.files, ...half.files] }),
        );
        await lake.changeBatch(second, (it) => ({
          files: 2,
          bytes: it.bytes + half.files[0]!.size,
          moves: { ...it.moves!, missing: 1 },
        }));
      },
      found: { ledger: /that the other half has/ },
    },
    {
      title: "a SPLIT batch without halves",
      plant: (lake) => lake.changeBatch(split, () => ({ children: [] })),
      found: { ledger: /has no halves|in neither half/ },
    },
    {
      title: "a SPLIT batch whose half has another parent",
      plant: (lake) => lake.changeBatch(second, () => ({ parent: a })),
      found: { ledger: /not in the ledger as its half|in neither half/ },
    },
    {
      title: "a manifest of another batch",
      plant: (lake) => lake.change<Manifest>(place("manifest", { batchId: second }), (it) => ({ ...it, batchId: a })),
      found: { ledger: /of another batch/ },
    },
    {
      title: "a count of claims that is too low",
      plant: (lake) => lake.turn("CLAIMS", { claims: 8 }),
      found: { ledger: /claims is too low/ },
    },
    {
      title: "a batch that has two turns",
      plant: async (lake) => {
        const { settledAt, moves, ...rest } = (await lake.batch(second)).item;
        await lake.pipeline.putLedger(rest as Record<string, unknown>);
        await lake.turn("QUEUE#1", { batchId: second });
        await lake.turn("QUEUE#2", { batchId: second });
      },
      found: { ledger: /exactly one turn/ },
    },
    {
      title: "an archived batch that does not say when it was settled",
      plant: async (lake) => {
        const { item } = await lake.batch(lone);
        const { settledAt, ...rest } = item;
        await lake.pipeline.putLedger(rest as Record<string, unknown>);
      },
      found: { ledger: /malformed|exactly one turn/, curated: /not archived/ },
    },
    {
      title: "a count of files that differs from the manifest",
      plant: (lake) => lake.changeBatch(b, () => ({ files: 2 })),
      found: { ledger: /count differently/ },
    },
    {
      title: "a missing manifest",
      plant: (lake) => lake.remove(place("manifest", { batchId: b })),
      found: { ledger: /no manifest/ },
    },
    {
      title: "documents of a batch that is not in the ledger",
      plant: (lake) => lake.put(place("transformReport", { batchId: "20261120T090000Z-NOTHINGN" }), "{}"),
      found: { ledger: /not in the ledger/ },
      remedy: /^npm run replay -- 20261120T090000Z-NOTHINGN/,
    },
  ]);
});
