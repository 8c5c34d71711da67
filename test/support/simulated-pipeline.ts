import type { Batch, Limits } from "../../runtime/batch";
import { folderOf } from "../../runtime/places";
import type { Clients, World } from "../../runtime/world";
import { folders } from "./folders";
import { SimulatedDynamoDB } from "./simulated-dynamodb";
import { type Ending, SimulatedGlue } from "./simulated-glue";
import { SimulatedJobs } from "./simulated-jobs";
import { awsError, type Command, SimulatedS3, type StoredObject } from "./simulated-s3";

/**
 * Faults of one call. `errorBefore` / `errorAfter`: it throws without / with its effect (a lost reply). `crash...`: its
 * Lambda dies then. `repeated`: the reply is lost and the SDK repeats the call. `late` / `veryLate`: it throws, and
 * takes effect later / after everything is settled. The rest are refusals.
 */
export const FAULTS = [
  "errorBefore",
  "errorAfter",
  "crashBefore",
  "crashAfter",
  "repeated",
  "late",
  "veryLate",
  "throttle",
  "denied",
] as const;

export type Fault = (typeof FAULTS)[number];

export interface ActorOptions {
  /** The fault of the n-th call of this Lambda, from 0. */
  fault?: (call: number, name: string) => Fault | undefined;
  /** Waits until this Lambda may continue; every call waits once before and once after its effect. */
  turn?: () => Promise<void>;
  /** The error of this Lambda's clock. */
  skewMs?: number;
}

/** One run of a Lambda: its world and the calls that it made. */
export interface Actor {
  world: World;
  clients: Clients;
  calls: string[];
  /** The same calls, whole. */
  commands: Command[];
  /** Gives the Lambda's report, its error, or `died`. */
  run<T>(act: (world: World) => Promise<T>): Promise<T | "died" | { threw: Error }>;
}

export type Simulation = ReturnType<typeof createSimulation>;

const LIMITS: Limits = {
  maxBatchFiles: 4,
  maxBatchBytes: 1000,
  maxAttempts: 2,
  retryPauseSeconds: 60,
  maxRetryPauseSeconds: 600,
};

interface Given {
  limits?: Partial<Limits>;
  pageSize?: number;
  hasKey?: boolean;
  /** The time that a page of a listing of incoming/ takes. */
  listMs?: number;
}

/** A whole pipeline in memory, on a virtual clock. */
export function createSimulation(given: Given = {}) {
  const limits = { ...LIMITS, ...given.limits };
  let nowMs = Date.parse("2026-11-23T10:00:00Z");
  const clock = {
    now: () => nowMs,
    set: (ms: number) => {
      nowMs = ms;
    },
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
  const s3 = new SimulatedS3(clock.now, given.pageSize, given.hasKey, (prefix) => {
    if (prefix === folders.incoming) clock.advance(given.listMs ?? 0);
  });
  const dynamodb = new SimulatedDynamoDB();
  const jobs = new SimulatedJobs(s3, dynamodb);
  const glue = new SimulatedGlue(clock.now, jobs);
  /** Every version that a producer dropped; `withdrawn` when the producer overwrote or deleted it in incoming/. */
  const dropped: { name: string; etag: string; body: string; withdrawn: boolean }[] = [];
  const logs: Record<string, unknown>[] = [];
  const hidden = new Map<string, StoredObject>();
  let randomState = 1;
  let actors = 0;
  /** The tables at earlier moments, as point-in-time recovery has them. */
  const moments: { items: SimulatedDynamoDB["items"]; metrics: SimulatedJobs["metrics"] }[] = [];
  let restored = { ledger: false, metrics: false };
  /** Requests that have not arrived yet. */
  let lateStarts = 0;
  const hanging: { fault: Fault; service: unknown; arrive: () => Promise<unknown> }[] = [];

  function withdraw(name: string): void {
    const there = s3.objects.get(`${folders.incoming}${name}`);
    for (const one of dropped) if (one.name === name && one.etag === there?.etag) one.withdrawn = true;
  }

  function actor(options: ActorOptions = {}): Actor {
    const calls: string[] = [];
    const commands: Command[] = [];
    let dead = false;
    let died: () => void = () => undefined;
    const death = new Promise<"died">((resolve) => {
      died = () => resolve("died");
    });
    const client = (service: { send(command: Command): Promise<unknown> }) => ({
      send: async (command: Command) => {
        const name = command.constructor.name.replace(/Command$/, "");
        await options.turn?.();
        if (dead) return new Promise(() => undefined);
        const fault = options.fault?.(calls.length, name);
        calls.push(name);
        commands.push(command);
        const die = () => {
          dead = true;
          died();
          return new Promise(() => undefined);
        };
        if (fault === "crashBefore") return die();
        if (fault === "errorBefore") throw awsError("InternalError", 500);
        if (fault === "throttle") throw awsError("ThrottlingException");
        if (fault === "denied") throw awsError("AccessDenied", 403);
        if (fault === "late" || fault === "veryLate") {
          if (name === "StartWorkflowRun") lateStarts++;
          hanging.push({ fault, service, arrive: () => service.send(command) });
          throw awsError("TimeoutError", 0);
        }
        if (fault === "repeated") await service.send(command).catch(() => undefined);
        let result: unknown;
        try {
          result = await service.send(command);
        } catch (error) {
          if (fault === "crashAfter") return die();
          await options.turn?.();
          throw error;
        }
        if (fault === "crashAfter") return die();
        if (fault === "errorAfter") throw awsError("TimeoutError", 0);
        await options.turn?.();
        if (dead) return new Promise(() => undefined);
        return result;
      },
    });
    const clients = { s3: client(s3), glue: client(glue), documents: client(dynamodb) } as unknown as Clients;
    const world: World = {
      clients,
      holder: `Lambda ${++actors}`,
      clock: {
        now: () => nowMs + (options.skewMs ?? 0),
        sleep: async (ms) => {
          nowMs += ms;
        },
      },
      random: (bytes) => {
        randomState++;
        return Uint8Array.from({ length: bytes }, (_, index) => (randomState >> (8 * (bytes - 1 - index))) & 255);
      },
      log: (line) => logs.push(line),
      settings: {
        bucket: "lake",
        ledgerTable: "ledger",
        workflow: "workflow",
        transformJob: "transform",
        publishJob: "publish",
        limits,
        singleCopyBytes: 500,
        copyPartBytes: 200,
      },
    };
    return {
      world,
      clients,
      calls,
      commands,
      run: (act) => Promise.race([death, act(world).catch((error: Error) => ({ threw: error }))]),
    };
  }

  return {
    limits,
    clock,
    s3,
    jobs,
    glue,
    dynamodb,
    dropped,
    logs,
    actor,
    drop(name: string, body: string) {
      withdraw(name);
      const { etag } = s3.put(`${folders.incoming}${name}`, body);
      dropped.push({ name, etag, body, withdrawn: false });
    },
    remove(name: string) {
      withdraw(name);
      s3.objects.delete(`${folders.incoming}${name}`);
    },
    /** Someone deletes an archived file, and restores it when the pipeline is to settle. */
    hide(index: number) {
      const key = s3.keys(folders.archived)[index];
      if (key === undefined) return;
      hidden.set(key, s3.objects.get(key)!);
      s3.objects.delete(key);
    },
    remember() {
      moments.push({ items: new Map(dynamodb.items), metrics: new Map(jobs.metrics) });
    },
    /** Puts a table, or the ledger's item of one batch, back to what it was at an earlier moment. */
    restoreTable(what: "ledger" | "batch" | "metrics", moment: number, index = 0) {
      const { items, metrics } = moments[moment % moments.length]!;
      // A restore takes minutes: no write that was sent before it arrives after it.
      for (const one of hanging.filter(({ service }) => service === dynamodb)) hanging.splice(hanging.indexOf(one), 1);
      restored = { ledger: restored.ledger || what !== "metrics", metrics: restored.metrics || what === "metrics" };
      if (what === "metrics") {
        jobs.metrics.clear();
        for (const [listen, count] of metrics) jobs.metrics.set(listen, count);
      } else if (what === "ledger") {
        dynamodb.items.clear();
        for (const [key, item] of items) dynamodb.items.set(key, item);
      } else {
        const key = [...items.keys()].filter((one) => one.startsWith('["BATCH"'))[index];
        if (key !== undefined) dynamodb.items.set(key, items.get(key)!);
      }
    },
    /** Listens of batches that could not run again after the metrics were restored. */
    unmended: new Set<string>(),
    /** Forgotten listeners of whom the command said that only the replays that it asked for are still to come. */
    promised: new Set<string>(),
    /** Batches with rows of forgotten listeners that can't run again, and why. */
    unforgettable: new Map<string, string>(),
    /** Whether a table was ever restored. */
    wasRestored: () => restored,
    /**
     * Batches that the ledger has lost, as the audit names them: not known, though a run of them wrote or their files
     * were moved; or not settled, and without a turn.
     */
    lost(): string[] {
      const turns = dynamodb.all("PIPELINE").map(({ batchId }) => batchId);
      const known = dynamodb.all("BATCH") as unknown as Batch[];
      const stray = known.filter(({ batchId, settledAt }) => settledAt === undefined && !turns.includes(batchId));
      const folder = folderOf("manifest");
      const moved = [folders.archived, folders.quarantinedFiles, folders.failed]
        .flatMap((below) => s3.keys(below))
        .map((key) => /\/\d{4}-\d\d-\d\d\/([^/]+)\//.exec(key)![1]!);
      const unknown = s3
        .keys(folder)
        .filter((key) => !key.endsWith("/manifest.json"))
        .map((key) => key.slice(folder.length).split("/")[0]!)
        .concat(moved)
        .filter((batchId) => !known.some((one) => one.batchId === batchId));
      return [...new Set([...stray.map(({ batchId }) => batchId), ...unknown])].sort();
    },
    restore() {
      for (const [key, { body, etag }] of hidden) if (!s3.objects.has(key)) s3.put(key, body, etag);
      hidden.clear();
    },
    /**
     * Whether a request to start a run ever arrived late: then its attempt may have had two runs, one after the other.
     */
    hadLateStarts: () => lateStarts > 0,
    /** Delivers late requests: all, or all but very late ones. Gives their number. */
    async deliver(all: boolean): Promise<number> {
      const due = hanging.filter(({ fault }) => all || fault === "late");
      for (const request of due) {
        hanging.splice(hanging.indexOf(request), 1);
        await request.arrive().catch(() => undefined);
      }
      return due.length;
    },
    finish: (kind: Ending["kind"]) => glue.finish({ kind }),
    batches: () => dynamodb.all("BATCH").reverse() as unknown as Batch[],
    batch: (batchId: string) => dynamodb.get("BATCH", batchId) as unknown as Batch,
    inFlight: () => dynamodb.get("PIPELINE", "IN_FLIGHT")?.batchId as string | undefined,
    queued: () => dynamodb.all("PIPELINE").filter(({ sk }) => sk.startsWith("QUEUE#")).length,
  };
}
