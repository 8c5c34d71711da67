import assert from "node:assert/strict";
import { GetJobCommand } from "@aws-sdk/client-glue";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { fileOf } from "../../runtime/places";
import { folders } from "../support/folders";
import { withJob } from "./jobs";
import type { Scenario } from "./scenario";
import type { Stage } from "./stage";

const mark = "kills-spark";
const reading = fileOf("readingMarker");

/**
 * The transform of the stack, whose Java and Python die of SIGKILL, as by the out-of-memory killer, when a file of the
 * batch holds the mark. No file is known that does this to Spark by itself; what is known becomes a quarantined file.
 */
async function poisonable(stage: Stage): Promise<string> {
  const { Job } = await stage.glue.send(new GetJobCommand({ JobName: stage.target.outputs.transformJobName }));
  const [, Bucket, Key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(Job?.Command?.ScriptLocation ?? "") ?? [];
  const script = await stage.target.s3.send(new GetObjectCommand({ Bucket, Key }));
  const source = Buffer.from(await script.Body!.transformToByteArray()).toString("base64");
  const wrapped = `import base64, json, os, signal
from concurrent.futures import ThreadPoolExecutor

from botocore.client import BaseClient

call = BaseClient._make_api_call


def watched(client, operation, params):
    answer = call(client, operation, params)
    if operation == "PutObject" and params["Key"].endswith("/${reading}"):
        bucket, folder = params["Bucket"], params["Key"][: -len("${reading}")]

        def holds_mark(key):
            try:
                body = call(client, "GetObject", {"Bucket": bucket, "Key": key})["Body"].read()
            except client.exceptions.NoSuchKey:
                return False
            return b"${mark}" in body

        manifest = json.loads(call(client, "GetObject", {"Bucket": bucket, "Key": folder + "${fileOf("manifest")}"})["Body"].read())
        with ThreadPoolExecutor(16) as pool:
            marked = any(pool.map(holds_mark, [file["key"] for file in manifest["files"]]))
        if marked:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
    return answer


BaseClient._make_api_call = watched
exec(compile(base64.b64decode("${source}"), "transform.py", "exec"))
`;
  await stage.put(`${folders.scripts}poisonable.py`, wrapped);
  return `s3://${stage.target.outputs.bucketName}/${folders.scripts}poisonable.py`;
}

/**
 * Drops good files and a poisoned one, lets it all settle without a person, and looks at what became of the bad one.
 */
async function isolate(stage: Stage, good: number, attempts: number): Promise<void> {
  const ScriptLocation = await poisonable(stage);
  await stage.limit({ maxAttempts: attempts });
  const poisoned = (update: object) => ({
    ...update,
    Command: { Name: "glueetl", PythonVersion: "3", ScriptLocation },
  });
  await withJob(stage, "transform", poisoned, async () => {
    await stage.dropMany(good, 2);
    await stage.drop(
      `${Math.floor(good / 3)}-bad.csv`,
      `${stage.rows(good + 1, 2)}${mark},t1,2024-05-01 10:00:00\n`,
      "failed",
    );
    await stage.settle(1_200_000);
    await stage.countDeaths("transform");
  });
  const failed = (await stage.batches()).filter(({ state }) => state === "FAILED");
  assert.equal(failed.length, 1);
  assert.equal(failed[0]!.files, 1);
  assert.match(failed[0]!.error ?? "", /killed by signal 9|SIGKILL/);
}

export const poisonScenarios: Scenario[] = [
  {
    name: "poison",
    about: "a file that kills Spark every time, among five good ones; two attempts each",
    play: (stage) => isolate(stage, 5, 2),
  },
  {
    name: "poison-in-a-thousand",
    about: "a file that kills Spark every time, among 1,000 good ones; one attempt each",
    play: (stage) => isolate(stage, 1000, 1),
  },
];
