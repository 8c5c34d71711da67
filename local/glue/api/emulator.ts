import { Agent, type IncomingHttpHeaders, type IncomingMessage, request as send } from "node:http";
import { GlueError } from "../errors";

/** The emulator's answer, unchanged. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Headers that belong to one connection and are not forwarded ("Hop-by-hop Headers", RFC 2616). */
const HOP_BY_HOP = new Set(["connection", "content-length", "transfer-encoding", "keep-alive", "expect"]);
/** Names the resource of a Glue call: the emulator then only checks the permission (local/python/emulator.py). */
const RESOURCE_HEADER = "x-local-glue-resource";
/** Keeps the emulator's front door from sending the call to the local Glue (local/python/front_door.py). */
const PASSED_HEADER = "x-local-glue-passed";

/** The emulator behind the local Glue. It holds the catalog and decides who may do what. */
export class Emulator {
  private readonly agent = new Agent({ keepAlive: true });

  constructor(private readonly endpoint: string) {}

  /** Forwards a request unchanged, with its Host, which is signed too. @throws GlueError when the emulator is gone */
  forward(request: IncomingMessage, body: Buffer): Promise<Reply> {
    return this.call(request, body, { [PASSED_HEADER]: "1" });
  }

  /**
   * Asks whether a request's signer may do it to a resource (an ARN or `*`).
   * @returns nothing if so; otherwise the refusal, as Glue's API words it
   */
  async refusal(request: IncomingMessage, body: Buffer, resource: string): Promise<Reply | undefined> {
    const reply = await this.call(request, body, { [RESOURCE_HEADER]: encodeURI(resource) });
    return reply.status === 200 ? undefined : reply;
  }

  close(): void {
    this.agent.destroy();
  }

  private async call(request: IncomingMessage, body: Buffer, more: Record<string, string>): Promise<Reply> {
    const headers = { ...kept(request.headers), ...more, "content-length": body.length };
    const target = new URL(request.url ?? "/", this.endpoint);
    try {
      return await new Promise<Reply>((resolve, reject) => {
        const call = send(target, { method: "POST", headers, agent: this.agent }, (answer) => {
          read(answer).then((content) => {
            resolve({ status: answer.statusCode!, headers: kept(answer.headers), body: content });
          }, reject);
        });
        call.once("error", reject).end(body);
      });
    } catch (error) {
      throw new GlueError("InternalServiceException", `The emulator does not answer: ${(error as Error).message}`);
    }
  }
}

async function read(answer: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of answer as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts);
}

function kept(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}
