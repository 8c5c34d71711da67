import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

interface Places {
  bucket: aws.s3.Bucket;
  metricsTable: aws.dynamodb.Table;
  dashboard: aws.cloudwatch.Dashboard;
}

// Each partition has a console of its own.
const CONSOLES: Record<string, string> = {
  aws: "console.aws.amazon.com",
  "aws-cn": "console.amazonaws.cn",
  "aws-us-gov": "console.amazonaws-us-gov.com",
};

/** Where the AWS console shows the parts of the stack. */
export function consoleLinks(places: Places): Record<string, pulumi.Output<string>> {
  const { region } = aws.getRegionOutput();
  const console = aws.getPartitionOutput().partition.apply((partition) => CONSOLES[partition] ?? CONSOLES.aws);
  const link = (service: string, path: pulumi.Input<string>) =>
    pulumi.interpolate`https://${region}.${console}/${service}/home?region=${region}#${path}`;
  return {
    dashboard: link("cloudwatch", pulumi.interpolate`dashboards/dashboard/${places.dashboard.dashboardName}`),
    workflows: link("glue", "/v2/etl-configuration/workflows"),
    metrics: link("dynamodbv2", pulumi.interpolate`item-explorer?table=${places.metricsTable.name}`),
    bucket: pulumi.interpolate`https://${region}.${console}/s3/buckets/${places.bucket.bucket}`,
  };
}
