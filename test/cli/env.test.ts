import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { testCredentials } from "../support/credentials";
import { type Pipeline, startPipeline, verb } from "./pipeline";

const main = verb("env");

describe("npm run env", () => {
  let pipeline: Pipeline;
  before(async () => {
    pipeline = await startPipeline();
  });
  after(() => pipeline.close());

  it("prints what a shell needs, so that AWS clients find the cloud whatever was set before", async () => {
    const { code, out, notes } = await pipeline.run(main);
    assert.deepEqual([code, notes], [0, []]);
    const script = `${out}\nenv | grep -E "^AWS_|_NAME=" | sort`;
    const env = { PATH: process.env.PATH, AWS_PROFILE: "work", AWS_SESSION_TOKEN: "old", AWS_REGION: "eu-north-1" };
    const endpoint = await pipeline.target.s3.config.endpoint!();
    const variables = execFileSync("sh", ["-c", script], { env, encoding: "utf8" }).trim().split("\n");
    assert.deepEqual(variables, [
      `AWS_ACCESS_KEY_ID=${testCredentials.accessKeyId}`,
      "AWS_DEFAULT_REGION=us-east-1",
      `AWS_ENDPOINT_URL=http://127.0.0.1:${endpoint.port}`,
      "AWS_REGION=us-east-1",
      `AWS_SECRET_ACCESS_KEY=${testCredentials.secretAccessKey}`,
      `BUCKET_NAME=${pipeline.target.outputs.bucketName}`,
      `METRICS_TABLE_NAME=${pipeline.target.outputs.metricsTableName}`,
    ]);
  });
});
