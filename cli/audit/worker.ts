import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import type { Breach, CheckName } from "./findings";
import { linesOf } from "./lines";

/** One request to audit.py; its docstring lists the requests and answers. */
export type Request = { do: string } & Record<string, unknown>;

type Reply =
  | { breach: Breach }
  | { information: string; count: number; check?: CheckName }
  | { done: Record<string, unknown> };

/** The Python process that reads Parquet and CSV. Requests and replies are lines of JSON. */
export class Worker {
  private readonly child: ChildProcess;
  private receive: ((reply: Reply) => void) | undefined;
  private fail: ((error: Error) => void) | undefined;
  private complaint = "";
  private dead: Error | undefined;

  /** `folder` is for what does not fit into memory. */
  constructor(python: string, folder: string) {
    this.child = spawn(python, [path.join(__dirname, "audit.py"), folder], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, PYTHONUTF8: "1", PYTHONDONTWRITEBYTECODE: "1", PYTHONPATH: "" },
    });
    void this.listen();
    this.child.stderr!.on("data", (data) => {
      this.complaint = (this.complaint + data).slice(-4000);
    });
    // A write to a dead process fails; `close` reports its end.
    this.child.stdin!.on("error", () => {});
    this.child.on("error", (error) => this.die(error));
    this.child.on("close", (code) =>
      this.die(new Error(`audit.py ended without an answer (exit code ${code}):\n${this.complaint}`)),
    );
  }

  /** Sends one request. Passes breaches and information to `found` as they come, and returns the answer. */
  ask(
    request: Request,
    found: { breach(breach: Breach): void; information(text: string, count: number, check?: CheckName): void },
  ): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      if (this.dead) return reject(this.dead);
      this.fail = reject;
      this.receive = (reply) => {
        if ("breach" in reply) found.breach(reply.breach);
        else if ("information" in reply) found.information(reply.information, reply.count, reply.check);
        else resolve(reply.done);
      };
      this.child.stdin!.write(`${JSON.stringify(request)}\n`);
    });
  }

  private async listen(): Promise<void> {
    try {
      for await (const line of linesOf(this.child.stdout!)) this.receive?.(JSON.parse(line));
    } catch (error) {
      this.die(error as Error);
    }
  }

  /** Kills the process. */
  stop(): void {
    this.child.kill("SIGKILL");
  }

  private die(error: Error): void {
    this.dead ??= error;
    this.fail?.(this.dead);
  }
}
