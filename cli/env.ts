import { findRunningCloud } from "../local/run-file";
import type { Terminal } from "../terminal/terminal";

/** `env`: prints the variables with which AWS clients find the running local cloud and its data, for a shell. */
export async function run(_args: string[], _options: object, terminal: Terminal): Promise<number> {
  const { endpoint, region, credentials, outputs } = await findRunningCloud(terminal.root);
  const variables = {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    BUCKET_NAME: outputs.bucketName,
    METRICS_TABLE_NAME: outputs.metricsTableName,
  };
  // A profile or a session token of another account must not win.
  const lines = ["unset AWS_PROFILE AWS_SESSION_TOKEN"];
  for (const [name, value] of Object.entries(variables)) lines.push(`export ${name}='${value}'`);
  await terminal.out(`${lines.join("\n")}\n`);
  return 0;
}
