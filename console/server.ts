import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { consoleApp } from "./app";
import type { Source } from "./source";

export interface Console {
  /** The address with its key: whoever opens it sees the pages. */
  url: string;
  /** The pages show this pipeline from now on. */
  show(source: Source): void;
  close(): Promise<void>;
}

const localMs = 2_000;
/** Each look at a deployed stack costs calls to AWS. */
const stackMs = 10_000;

/** Serves the console on 127.0.0.1, on another free port if this one is taken. */
export async function serveConsole(port: number, source?: Source): Promise<Console> {
  const stop = new AbortController();
  const key = randomBytes(24).toString("base64url");
  let shown = source;
  const app = consoleApp({
    ...{ key, stop: stop.signal, source: () => shown },
    liveMs: source && source.stack !== null ? stackMs : localMs,
  });
  // The process's own Request and Response stay as they are.
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  await listen(server, port).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") throw error;
    return listen(server, 0);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/?key=${key}`,
    show(source) {
      shown = source;
    },
    async close() {
      stop.abort();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}
