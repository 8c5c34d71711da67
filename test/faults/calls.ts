import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../support/commands";
import { by } from "./proxy";
import type { Scenario } from "./scenario";

const throttled = { error: { code: "ProvisionedThroughputExceededException", status: 400 } };
const slowDown = { error: { code: "SlowDown", status: 503 } };
const internal = { error: { code: "InternalError", status: 500 } };
/** The call has its effect, but its reply never arrives. */
const lostReply = { response: { abort_frac: 0 } };

export const callScenarios: Scenario[] = [
  {
    name: "dynamodb-throttled",
    about: "DynamoDB throttles the ledger for longer than the SDK retries, and the metrics table",
    async play(stage) {
      await stage.dropMany(3, 150);
      await stage.failing("ledger read throttled", { ...by("lambdas", "dynamodb", "Query"), times: 4, ...throttled });
      await stage.failing("claim throttled", {
        ...by("lambdas", "dynamodb", "TransactWriteItems"),
        times: 4,
        ...throttled,
      });
      await stage.failing("ledger write throttled", {
        ...by("lambdas", "dynamodb", "PutItem"),
        times: 4,
        ...throttled,
      });
      await stage.failing("metrics read throttled", {
        ...by("python", "dynamodb", "BatchGetItem"),
        times: 8,
        ...throttled,
      });
      await stage.failing("metrics write throttled", {
        ...by("python", "dynamodb", "BatchWriteItem"),
        times: 8,
        ...throttled,
      });
      await stage.settle();
      await stage.mend();
    },
  },
  {
    name: "s3-slow-down",
    about: "S3 answers SlowDown to every fourth call of Lambdas, Spark and publish",
    async play(stage) {
      await stage.dropMany(20, 20);
      const sequence = { fail: 1, pass: 3 };
      for (const caller of ["lambdas", "spark", "python"] as const)
        await stage.failing(`${caller} slowed`, { ...by(caller, "s3"), sequence, ...slowDown });
      await stage.settle();
      await stage.mend();
    },
  },
  {
    name: "replies-lost",
    about: "replies to StartWorkflowRun, ledger writes, copies and deletes are lost, after the calls took effect",
    quick: true,
    async play(stage) {
      await stage.dropMany(20, 20);
      const lose = (name: string, calls: ReturnType<typeof by>, times: number) =>
        stage.failing(name, { ...calls, times, ...lostReply });
      // More often than the SDK retries: the Lambda fails, and the next one finds what it did.
      await lose("start's reply lost", by("lambdas", "glue", "StartWorkflowRun"), 1);
      await lose("claim's reply lost", by("lambdas", "dynamodb", "TransactWriteItems"), 3);
      await lose("ledger write's reply lost", by("lambdas", "dynamodb", "PutItem"), 4);
      await lose("copy's reply lost", by("lambdas", "s3", "CopyObject"), 6);
      await lose("delete's reply lost", by("lambdas", "s3", "DeleteObject"), 6);
      await stage.settle();
      await stage.mend();
    },
  },
  {
    name: "connections-reset",
    about: "the jobs' connections to S3 and DynamoDB break, and calls end in 500",
    async play(stage) {
      await stage.dropMany(10, 50);
      for (const caller of ["spark", "python"] as const) {
        await stage.failing(`${caller} S3 reset`, { ...by(caller, "s3"), sequence: { fail: 1, pass: 6 }, reset: true });
        await stage.failing(`${caller} S3 500`, { ...by(caller, "s3"), sequence: { fail: 1, pass: 7 }, ...internal });
      }
      await stage.failing("metrics reset", {
        ...by("python", "dynamodb"),
        sequence: { fail: 1, pass: 3 },
        reset: true,
      });
      await stage.settle();
      await stage.mend();
    },
  },
  {
    name: "outage",
    about: "for twenty seconds during transform, the jobs can't reach S3 and the Lambdas can't reach the ledger",
    async play(stage) {
      await stage.dropMany(5, 100);
      await stage.tick();
      await stage.working("transform");
      await stage.failing("S3 away", { ...by("python", "s3"), reset: true });
      await stage.failing("S3 away", { ...by("spark", "s3"), reset: true });
      await stage.failing("ledger away", { ...by("lambdas", "dynamodb"), reset: true });
      await until("the job has met it", () => stage.hasFired("S3 away"));
      assert.ok(await stage.tick(), "the tick failed");
      await sleep(20_000);
      await stage.mend();
    },
  },
];
