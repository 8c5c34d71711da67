import { mkdir } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Emulator } from "./api/emulator";
import { requestListener } from "./api/http";
import { operationsByResource } from "./api/operations";
import { JobStore } from "./model/jobs";
import { isEnded, JobRuns } from "./model/runs";
import { TagStore } from "./model/tags";
import { TriggerStore } from "./model/triggers";
import { KeptRuns } from "./model/workflow-runs";
import { Workflows } from "./model/workflows";
import type { LocalGlueOptions } from "./options";
import { RoleSessions } from "./run/credentials";
import { EventDelivery } from "./run/events";
import { Launcher } from "./run/launch";
import { TagMirror } from "./run/tag-mirror";

export type { LocalGlueOptions } from "./options";

export interface LocalGlue {
  /** The Glue endpoint for every client. */
  readonly endpoint: string;
  /** Stops every job with all of its processes, then the server. */
  close(): Promise<void>;
  /** The file with the output of a job run. */
  logFile(jobRunId: string): string;
}

/**
 * Starts a Glue on 127.0.0.1 that runs jobs as processes of this machine, with triggers and workflows. Its state is in
 * memory, but for workflow runs if it has a file for them. It answers Glue's operations on them for callers that the
 * emulator authorises, and forwards all other operations (the catalog) to the emulator.
 */
export async function startLocalGlue(options: LocalGlueOptions): Promise<LocalGlue> {
  const log = options.log ?? (() => {});
  await mkdir(options.workDir, { recursive: true });
  let endpoint = "";
  const mirror = new TagMirror(options, log);
  const tags = new TagStore((...change) => mirror.change(...change));
  const jobs = new JobStore(tags);
  const sessions = new RoleSessions(options);
  const emulator = new Emulator(options.emulatorEndpoint);
  const launcher = new Launcher(options, sessions, () => endpoint, log);
  const runs = new JobRuns(jobs, launcher, options.minuteMs ?? 60_000, log);
  const triggers: TriggerStore = new TriggerStore(jobs, runs, tags, () => workflows, log);
  const workflows = new Workflows(triggers, runs, tags, new KeptRuns(options.runsFile, log), log);
  const events = new EventDelivery(options, log);
  runs.onChange(({ run }) => {
    if (isEnded(run)) events.deliver(run);
    options.onJobRun?.(runs.view(run));
  });
  const operations = Object.values(operationsByResource({ jobs, runs, triggers, workflows, tags }));
  const server = createServer(requestListener(Object.assign({}, ...operations), emulator, options));
  endpoint = `http://127.0.0.1:${await listen(server, options.port ?? 0)}`;
  launcher.ready();
  const clock = everyMinute((time) => triggers.tick(time), log);
  let closing: Promise<void> | undefined;
  const close = async () => {
    clearTimeout(clock.timer);
    workflows.close();
    await runs.close();
    await launcher.close();
    await events.close();
    await mirror.close();
    sessions.close();
    emulator.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    endpoint,
    logFile: (jobRunId) => launcher.logFile(jobRunId),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  return (server.address() as AddressInfo).port;
}

/** Calls at the start of every minute, until the timer is cleared. The timer does not keep the process running. */
function everyMinute(call: (time: Date) => void, log: (line: string) => void): { timer: NodeJS.Timeout } {
  const clock = {} as { timer: NodeJS.Timeout };
  const arm = () => {
    const minute = Math.floor(Date.now() / 60_000) + 1;
    clock.timer = setTimeout(
      () => {
        try {
          call(new Date(minute * 60_000));
        } catch (error) {
          log(`a scheduled trigger failed: ${(error as Error).message}`);
        }
        arm();
      },
      minute * 60_000 - Date.now() + 5,
    ).unref();
  };
  arm();
  return clock;
}
