import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { KeptStart, type Moment, type Victim } from "../support/start-ends";

/** Ends of `npm start -- --keep` itself, one after the other with the same data. It runs as people run it: no stage. */
export interface StartScenario {
  name: string;
  about: string;
  ends: readonly (readonly [Moment, Victim | "Ctrl-C"])[];
}

const moments: Moment[] = [
  /Deploying/,
  /Loading/,
  "CLAIMED",
  /transform +running/,
  "RETRY",
  /publish +running/,
  "PROCESSED",
  /Waiting for files/,
];
const atEach = (end: Victim | "Ctrl-C") => moments.map((moment) => [moment, end] as const);

export const startScenarios: StartScenario[] = [
  { name: "start-ctrl-c", about: "Ctrl-C in npm start at each state of a batch", ends: atEach("Ctrl-C") },
  {
    name: "start-program-killed",
    about: "kill -9 of npm start's own process at each state of a batch; the next start comes at once",
    ends: atEach("program"),
  },
  {
    name: "start-power-off",
    about: "kill -9 of every process at once, at each state of a batch",
    ends: atEach("all"),
  },
  {
    name: "start-emulator-killed",
    about: "kill -9 of the emulator during transform, publish and archive",
    ends: [
      [/transform +running/, "emulator"],
      [/publish +running/, "emulator"],
      ["PROCESSED", "emulator"],
    ],
  },
  {
    name: "start-parts-killed",
    about: "kill -9 of a Lambda, the job and the guard, which npm start survives, and then of npm itself",
    ends: [
      ["RUNNING", "lambda"],
      [/transform +running/, "job"],
      ["RETRY", "guard"],
      [/Waiting for files/, "npm"],
    ],
  },
  {
    name: "start-guard-killed",
    about: "kill -9 of the guard, then of npm start's own process: the next start ends the emulator",
    ends: [
      [/transform +running/, "guard"],
      [/transform +running/, "program"],
    ],
  },
];

/** Plays one of them. @returns The seconds that it took, and how often each end came. */
export async function playStarts({
  ends,
}: StartScenario): Promise<{ seconds: number; faults: Record<string, number> }> {
  const folder = await mkdtemp(path.join(tmpdir(), "music-streams-ends-"));
  const kept = new KeptStart(folder);
  const beganMs = Date.now();
  try {
    await kept.survive(ends);
  } finally {
    await kept.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  const faults: Record<string, number> = {};
  for (const [, end] of ends) {
    const name = end === "Ctrl-C" ? end : `${end} killed`;
    faults[name] = (faults[name] ?? 0) + 1;
  }
  return { seconds: (Date.now() - beganMs) / 1000, faults };
}
