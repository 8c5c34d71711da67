import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { GlueError } from "../errors";
import { isLocalResource } from "../model/tags";
import type { LocalGlueOptions } from "../options";
import type { Emulator, Reply } from "./emulator";
import { checked, type Operation } from "./requests";
import { resourceOf } from "./resources";

const TARGET = /^AWSGlue\.(\w+)$/;
/** Hosts that a request may name. A web page whose own name resolves to this machine names another host. */
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i;
const LONGEST_BODY = 16 * 1024 * 1024;

/** Answers the given operations, checked and authorised. Forwards all others to the emulator. */
export function requestListener(
  operations: Record<string, Operation>,
  emulator: Emulator,
  options: LocalGlueOptions,
): RequestListener {
  return (request, response) => {
    answer(request, response, operations, emulator, options).catch((error: Error) => {
      options.log?.(`a request failed: ${error.stack}`);
      refuse(response, new GlueError("InternalServiceException", error.message), 500);
    });
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
  if (isFromPage(request.headers) || !LOOPBACK.test(request.headers.host ?? ""))
    return refuse(response, new GlueError("AccessDeniedException", "Requests from web pages are refused."), 403);
  if (request.method !== "POST" || !action)
    return refuse(
      response,
      new GlueError("UnknownOperationException", "This is the local Glue: it answers AWSGlue operations."),
    );
  const body = await read(request);
  if (body === undefined)
    return refuse(response, new GlueError("InvalidInputException", "The request is too large."), 413);
  const operation = Object.hasOwn(operations, action) ? operations[action] : undefined;
  try {
    if (!operation) return pass(response, await emulator.forward(request, body));
    const content = parse(body);
    if (
      /^(TagResource|UntagResource|GetTags)$/.test(action) &&
      !isLocalResource((content as { ResourceArn?: unknown })?.ResourceArn)
    )
      return pass(response, await emulator.forward(request, body));
    const refusal = await emulator.refusal(request, body, resourceOf(action, content, { region, accountId }));
    if (refusal) return pass(response, refusal);
    send(response, 200, await operation.run(checked(operation.request, content)));
  } catch (error) {
    if (!(error instanceof GlueError)) throw error;
    refuse(response, error, error.code === "InternalServiceException" ? 500 : 400);
  }
}

/** AWS clients send none of these headers, and browsers send one of them with each request of a page. */
function isFromPage(headers: IncomingHttpHeaders): boolean {
  const site = headers["sec-fetch-site"];
  return headers.origin !== undefined || headers.referer !== undefined || (site !== undefined && site !== "none");
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

/** Sends an answer in AWS JSON 1.1, in which a timestamp is a number: seconds since 1970. */
function send(response: ServerResponse, status: number, content: unknown): void {
  const body = JSON.stringify(content, function (this: Record<string, unknown>, key, value) {
    return this[key] instanceof Date ? this[key].getTime() / 1000 : value;
  });
  response
    .writeHead(status, { "content-type": "application/x-amz-json-1.1", "x-amzn-requestid": randomUUID() })
    .end(body);
}
