import assert from "node:assert/strict";
import {
  BatchStopJobRunCommand,
  GetJobCommand,
  GetJobRunsCommand,
  type JobUpdate,
  StopWorkflowRunCommand,
  UpdateJobCommand,
} from "@aws-sdk/client-glue";
import layout from "../../layout.json";
import { place } from "../../runtime/places";
import { until } from "../support/commands";
import { folders } from "../support/folders";
import { by } from "./proxy";
import type { Scenario } from "./scenario";
import type { Stage } from "./stage";

/** Delays every other upload of Spark at its end, and waits until some of the batch's files are in curated/. */
export async function midWrite(stage: Stage, days: number): Promise<void> {
  const ends = { ...by("spark", "s3", "CompleteMultipartUpload"), sequence: { fail: 1, pass: 1 } };
  await stage.failing("upload held", { ...ends, latency: 1500 });
  const { batchId } = await stage.reach("RUNNING");
  // Of an earlier attempt.
  const before = new Set(await written(stage, batchId));
  const fresh = async () => (await written(stage, batchId)).filter((key) => !before.has(key)).length;
  await until("transform has written", async () => (await fresh()) > 0);
  assert.ok((await fresh()) < days, "not every day is written yet");
}

async function written(stage: Stage, batchId: string): Promise<string[]> {
  const keys = await stage.keys(`${layout.listens}listen_date=`);
  return keys.filter((key) => key.includes(`/batch_id=${batchId}/part-`));
}

/** Delays publish's writes, and waits until some items are in the table. */
export async function midPublish(stage: Stage): Promise<void> {
  await stage.failing("write held", { ...by("python", "dynamodb", "BatchWriteItem"), latency: 2000 });
  const { batchId } = await stage.reach("RUNNING");
  await until("publish is writing", () => stage.hasFired("write held"));
  await until("publish has written items", async () => (await stage.published(batchId)) > 0);
  assert.ok(
    !(await stage.keys(folders.batches)).includes(place("publishReport", { batchId })),
    "publish is still at it",
  );
}

async function runOf(stage: Stage, job: "transform" | "publish"): Promise<string> {
  const JobName = stage.target.outputs[`${job}JobName`];
  const { JobRuns = [] } = await stage.glue.send(new GetJobRunsCommand({ JobName }));
  return JobRuns.find(({ JobRunState }) => JobRunState === "RUNNING")?.Id ?? "";
}

/** Gives a job another definition while `during` runs. */
export async function withJob(
  stage: Stage,
  job: "transform" | "publish",
  change: (update: JobUpdate) => JobUpdate,
  during: () => Promise<void>,
): Promise<void> {
  const JobName = stage.target.outputs[`${job}JobName`];
  const { Job } = await stage.glue.send(new GetJobCommand({ JobName }));
  const { Name, CreatedOn, LastModifiedOn, AllocatedCapacity, MaxCapacity, ProfileName, ...update } = Job!;
  const given = update.WorkerType === undefined ? { ...update, MaxCapacity } : update;
  await stage.glue.send(new UpdateJobCommand({ JobName, JobUpdate: change(given as JobUpdate) }));
  try {
    await during();
  } finally {
    await stage.glue.send(new UpdateJobCommand({ JobName, JobUpdate: given as JobUpdate }));
  }
}

export const jobScenarios: Scenario[] = [
  {
    name: "transform-killed",
    about: "kill -9 of transform while it writes curated Parquet",
    quick: true,
    async play(stage) {
      const days = 8;
      await stage.dropMany(4, 200, days);
      await stage.tick();
      await midWrite(stage, days);
      await stage.killJob("transform");
      await stage.mend();
    },
  },
  {
    name: "publish-killed",
    about: "kill -9 of publish after it wrote part of its items",
    quick: true,
    async play(stage) {
      await stage.dropMany(3, 200, 8);
      await stage.tick();
      await midPublish(stage);
      await stage.killJob("publish");
      await stage.mend();
    },
  },
  {
    name: "killed-again-and-again",
    about: "transform killed twice and publish once, in one batch",
    async play(stage) {
      const days = 6;
      await stage.dropMany(3, 150, days);
      for (const kill of ["transform", "transform", "publish"] as const) {
        await until("the next attempt is running", async () => {
          if ((await stage.inFlight())?.state === "RUNNING") return true;
          await stage.tick();
          return false;
        });
        if (kill === "transform") await midWrite(stage, days);
        else await midPublish(stage);
        await stage.killJob(kill);
        await stage.mend();
        await stage.reach("RETRY");
      }
    },
  },
  {
    name: "run-stopped",
    about: "a person stops the workflow run, then the publish job of the next run",
    async play(stage) {
      await stage.dropMany(3, 150);
      await stage.tick();
      const { workflowRunId } = await stage.reach("RUNNING");
      await stage.working("transform");
      const Name = stage.target.outputs.workflowName;
      await stage.glue.send(new StopWorkflowRunCommand({ Name, RunId: workflowRunId }));
      stage.fault("run stopped");
      await stage.reach("RETRY");
      await until("the next attempt is running", async () => {
        if ((await stage.inFlight())?.state === "RUNNING") return true;
        await stage.tick();
        return false;
      });
      await stage.failing("write held", { ...by("python", "dynamodb", "BatchWriteItem"), latency: 2000 });
      await stage.working("publish");
      const JobName = stage.target.outputs.publishJobName;
      const JobRunIds = [await runOf(stage, "publish")];
      await until("publish writes", () => stage.hasFired("write held"));
      await stage.glue.send(new BatchStopJobRunCommand({ JobName, JobRunIds }));
      stage.fault("job stopped");
      await stage.mend();
    },
  },
  {
    name: "job-timed-out",
    about: "Glue ends transform at its timeout, while it waits for S3",
    async play(stage) {
      await stage.dropMany(3, 100);
      // A minute of this cloud is ten seconds.
      await withJob(
        stage,
        "transform",
        (update) => ({ ...update, Timeout: 3 }),
        async () => {
          await stage.failing("read held", { ...by("python", "s3", "GetObject"), latency: 60_000 });
          await stage.tick();
          const batch = await stage.reach("RETRY");
          assert.match(batch.error ?? "", /TIMEOUT/);
          await stage.mend();
          stage.fault("timeout");
        },
      );
    },
  },
  {
    name: "run-forgotten",
    about: "Glue says that it does not know the run, although the run still works",
    async play(stage) {
      await stage.dropMany(3, 150);
      await stage.tick();
      await stage.working("transform");
      await stage.failing("run unknown", {
        ...by("lambdas", "glue", "GetWorkflowRun"),
        error: { code: "EntityNotFoundException", status: 400 },
      });
      await stage.tick();
      await stage.reach("RETRY");
      await stage.mend();
    },
  },
];
