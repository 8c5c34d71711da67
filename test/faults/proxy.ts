import { createServer } from "node:net";
import path from "node:path";
import { startService } from "../../local/processes";
import { root, until } from "../support/commands";

/** The callers, by the SDK's name in the user agent. */
export const callers = { lambdas: "aws-sdk-js", spark: "aws-sdk-java", python: "Boto3" } as const;

/** A rule of microburst ("Rules" in its README): which calls it applies to, and what it does to them. */
export type Rule = {
  service: "s3" | "dynamodb" | "glue";
  operation?: string;
  resource?: string;
  headers?: Record<string, string>;
  times?: number;
  sequence?: { fail: number; pass: number };
} & (
  | { error: { code: string; status?: number } }
  | { latency: number }
  | { reset: true }
  | { response: { abort_frac: number } }
);

/** A fault that a proxy injected, from its audit log. */
export interface Fired {
  rule_id: number;
  /** Seconds since 1970. */
  ts: number;
  service: string;
  operation: string;
  action: string;
}

/** A proxy in front of one endpoint. Calls pass unchanged unless a rule applies. */
export interface FaultProxy {
  endpoint: string;
  /** Adds a rule and returns its id, by which `fired` names it. */
  add(rule: Rule): Promise<number>;
  clear(): Promise<void>;
  /** Every fault since the start. */
  fired(): Promise<Fired[]>;
  close(): Promise<void>;
}

/** Calls that microburst takes for others, and the header by which they differ. */
const TAKEN_FOR: Record<string, { operation: string; headers: Record<string, string> }> = {
  CopyObject: { operation: "PutObject", headers: { "x-amz-copy-source": "" } },
  CompleteMultipartUpload: { operation: "CreateMultipartUpload", headers: { "content-type": "application/xml" } },
};

/** The part of a rule that selects one program's calls. */
export function by(caller: keyof typeof callers, service: Rule["service"], operation?: string) {
  const taken = TAKEN_FOR[operation ?? ""] ?? { ...(operation === undefined ? {} : { operation }), headers: {} };
  return { service, ...taken, headers: { "user-agent": callers[caller], ...taken.headers } };
}

/** Starts microburst on a free port of 127.0.0.1. */
export async function startProxy(upstream: string, workDir: string): Promise<FaultProxy> {
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const service = await startService({
    name: "the fault proxy (microburst)",
    python: path.join(root, ".local", "python-test", "bin", "python"),
    args: [path.join(__dirname, "proxy.py"), "--upstream", upstream, "--port", String(port), "--no-resign"],
    logFile: path.join(workDir, `proxy-${port}.log`),
    env: {},
  });
  const control = async (method: string, what: string, body?: unknown) => {
    const answer = await fetch(`${endpoint}/_microburst/${what}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    if (!answer.ok) throw new Error(`the proxy refused ${method} ${what}: ${await answer.text()}`);
    return answer.json();
  };
  await until("the proxy answers", async () => {
    if (service.hasExited()) throw new Error(`the proxy ended:\n${await service.logTail()}`);
    return control("GET", "health").catch(() => undefined);
  });
  return {
    endpoint,
    async add(rule) {
      const [added] = (await control("PATCH", "rules", [rule])) as { id: number }[];
      return added!.id;
    },
    clear: async () => void (await control("POST", "rules", [])),
    fired: async () => (await control("GET", "fired?limit=1000000")) as Fired[],
    close: () => service.stop(),
  };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (typeof address !== "object" || !address) throw new Error("no port is free");
  return address.port;
}
