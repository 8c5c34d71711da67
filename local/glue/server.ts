import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { RoleSessions } from "./credentials";
import { Emulator, type Reply } from "./emulator";
import { GlueError } from "./errors";
import { EventDelivery } from "./events";
import { JobStore } from "./jobs";
import { Launcher } from "./launch";
import { jobOperations, tagOperations, triggerOperations, workflowOperations } from "./operations";
import type { LocalGlueOptions } from "./options";
import { checked, type Operation } from "./requests";
import { resourceOf } from "./resources";
import { isEnded, JobRuns } from "./runs";
import { isOurs, TagStore } from "./tags";
import { TriggerStore } from "./triggers";
import { Workflows } from "./workflows";

export type { LocalGlueOptions } from "./options";

export interface LocalGlue {
  /** Where it answers: the endpoint for Glue of every client. */
  readonly endpoint: string;
  /** Stops every job with all of its processes, then the server. */
  close(): Promise<void>;
  /** The file with all that a job run wrote. */
  logFile(jobRunId: string): string;
}

const TARGET = /^AWSGlue\.(\w+)$/;
/** Hosts that a request may name. A page in a browser that had its own name point here would name another. */
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i;
const LONGEST_BODY = 16 * 1024 * 1024;

/**
 * Starts a Glue on 127.0.0.1 that really runs jobs, triggers and workflows, as processes on this machine. Its state is in
 * memory. It answers Glue's operations for those, to whom the emulator says may ask for them; other operations of Glue (the catalog) go to
 * the emulator unchanged.
 */
export async function startLocalGlue(options: LocalGlueOptions): Promise<LocalGlue> {
  const log = options.log ?? (() => {});
  await mkdir(options.workDir, { recursive: true });
  let endpoint = "";
  const tags = new TagStore();
  const jobs = new JobStore(tags);
  const sessions = new RoleSessions(options);
  const emulator = new Emulator(options.emulatorEndpoint);
  const launcher = new Launcher(options, sessions, () => endpoint, log);
  const runs = new JobRuns(jobs, launcher, options.minuteMs ?? 60_000, log);
  const triggers: TriggerStore = new TriggerStore(jobs, runs, tags, () => workflows, log);
  const workflows = new Workflows(triggers, runs, tags, log);
  const events = new EventDelivery(options, log);
  runs.onChange(({ run }) => {
    if (isEnded(run)) events.deliver(run);
    options.onJobRun?.(runs.view(run));
  });
  const operations: Record<string, Operation> = {
    ...jobOperations(jobs, runs, tags),
    ...triggerOperations(triggers, tags),
    ...workflowOperations(workflows),
    ...tagOperations(tags),
  };
  const server = createServer((request, response) => {
    answer(request, response, operations, emulator, options).catch((error: Error) => {
      log(`a request failed: ${error.stack}`);
      refuse(response, new GlueError("InternalServiceException", error.message), 500);
    });
  });
  endpoint = `http://127.0.0.1:${await listen(server, options.port ?? 0)}`;
  const clock = everyMinute((time) => triggers.tick(time), log);
  let closing: Promise<void> | undefined;
  const close = async () => {
    clearTimeout(clock.timer);
    workflows.close();
    await runs.close();
    await events.close();
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

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  operations: Record<string, Operation>,
  emulator: Emulator,
  { region, accountId = "000000000000" }: LocalGlueOptions,
): Promise<void> {
  const [, action] = TARGET.exec(String(request.headers["x-amz-target"] ?? "")) ?? [];
  if (request.headers.origin !== undefined || !LOOPBACK.test(request.headers.host ?? ""))
    return refuse(response, new GlueError("AccessDeniedException", "Requests from web pages are refused."), 403);
  if (request.method !== "POST" || !action)
    return refuse(
      response,
      new GlueError("UnknownOperationException", "This is the local Glue: it answers AWSGlue operations."),
    );
  const body = await read(request);
  if (body === undefined)
    return refuse(response, new GlueError("InvalidInputException", "The request is too large."), 413);
  const known = Object.hasOwn(operations, action) ? operations[action] : undefined;
  try {
    if (!known) return pass(response, await emulator.forward(request, body));
    const content = parse(body);
    if (
      /^(TagResource|UntagResource|GetTags)$/.test(action) &&
      !isOurs((content as { ResourceArn?: unknown })?.ResourceArn)
    )
      return pass(response, await emulator.forward(request, body));
    const refusal = await emulator.refusal(request, body, resourceOf(action, content, { region, accountId }));
    if (refusal) return pass(response, refusal);
    send(response, 200, await known.run(checked(known.request, content)));
  } catch (error) {
    if (!(error instanceof GlueError)) throw error;
    refuse(response, error, error.code === "InternalServiceException" ? 500 : 400);
  }
}

async function read(request: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size <= LONGEST_BODY) parts.push(part);
  }
  return size <= LONGEST_BODY ? Buffer.concat(parts) : undefined;
}

function parse(body: Buffer): unknown {
  try {
    return body.length === 0 ? {} : JSON.parse(body.toString("utf8"));
  } catch {
    throw new GlueError("SerializationException", "The request is not valid JSON.");
  }
}

function pass(response: ServerResponse, { status, headers, body }: Reply): void {
  response.writeHead(status, headers).end(body);
}

function refuse(response: ServerResponse, error: GlueError, status = 400): void {
  response.setHeader("x-amzn-errortype", error.code);
  send(response, status, { __type: error.code, Message: error.message });
}

/** Sends an answer in AWS JSON 1.1, where a timestamp is a number: seconds since 1970. */
function send(response: ServerResponse, status: number, content: unknown): void {
  const body = JSON.stringify(content, function (this: Record<string, unknown>, key, value) {
    return this[key] instanceof Date ? this[key].getTime() / 1000 : value;
  });
  response
    .writeHead(status, { "content-type": "application/x-amz-json-1.1", "x-amzn-requestid": randomUUID() })
    .end(body);
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  return (server.address() as AddressInfo).port;
}

/** Calls at the start of every minute, until the timer is cleared. It keeps no program alive. */
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
