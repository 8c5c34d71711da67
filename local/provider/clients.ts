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
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

/** The endpoints of a local cloud, and credentials that may do everything there. */
export interface Cloud {
  endpoint: string;
  glueEndpoint: string;
  region: string;
  credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** A client for each service that a stack uses. */
export type Clients = ReturnType<typeof createClients>;

/** Clients of the local cloud: Glue at its own endpoint, all else at the emulator's. */
export function createClients({ endpoint, glueEndpoint, region, credentials }: Cloud) {
  const common = { endpoint, region, credentials };
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
    sts: new STSClient(common),
  };
}

/** Frees the connections, so that the process can end. */
export function closeClients(clients: Clients): void {
  for (const client of Object.values(clients)) client.destroy();
}

/** The emulator's account number. */
export async function readAccount({ sts }: Clients): Promise<string> {
  const { Account } = await sts.send(new GetCallerIdentityCommand({}));
  if (Account === undefined) throw new Error("The emulator gives no account number.");
  return Account;
}
