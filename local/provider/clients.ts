import { CloudWatchClient } from "@aws-sdk/client-cloudwatch";
import { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { GlueClient } from "@aws-sdk/client-glue";
import { IAMClient } from "@aws-sdk/client-iam";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { S3Client } from "@aws-sdk/client-s3";
import { SchedulerClient } from "@aws-sdk/client-scheduler";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";

/** One client for each service that a stack uses. */
export type Clients = ReturnType<typeof createClients>;

/** Clients of the local cloud: Glue at its own endpoint, all else at the emulator's. */
export function createClients(endpoint: string, glueEndpoint: string, region: string) {
  const common = { endpoint, region, credentials: { accessKeyId: "test", secretAccessKey: "test" } };
  return {
    cloudwatch: new CloudWatchClient(common),
    dynamodb: new DynamoDBClient(common),
    events: new EventBridgeClient(common),
    glue: new GlueClient({ ...common, endpoint: glueEndpoint }),
    iam: new IAMClient(common),
    lambda: new LambdaClient(common),
    logs: new CloudWatchLogsClient(common),
    s3: new S3Client({ ...common, forcePathStyle: true }),
    scheduler: new SchedulerClient(common),
    sns: new SNSClient(common),
    sqs: new SQSClient(common),
  };
}

/** Frees the connections, so that the process can end. */
export function closeClients(clients: Clients): void {
  for (const client of Object.values(clients)) client.destroy();
}

/** The emulator's account number. Needs no client of its own: STS takes a form. */
export async function readAccount(endpoint: string, region: string): Promise<string> {
  const scope = `Credential=test/20260101/${region}/sts/aws4_request`;
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      authorization: `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0`,
    },
    body: "Action=GetCallerIdentity&Version=2011-06-15",
  });
  const account = /<Account>(\d{12})<\/Account>/.exec(await answer.text())?.[1];
  if (account === undefined) throw new Error(`${endpoint} answers no account number; is the emulator running there?`);
  return account;
}
