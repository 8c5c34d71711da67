import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

interface Places {
  bucket: aws.s3.Bucket;
  ledger: aws.dynamodb.Table;
  metrics: aws.dynamodb.Table;
  listens: aws.glue.CatalogTable;
  workflow: aws.glue.Workflow;
  dashboard: aws.cloudwatch.Dashboard;
}

// Each AWS partition has its own console.
const CONSOLES: Record<string, string> = {
  aws: "console.aws.amazon.com",
  "aws-cn": "console.amazonaws.cn",
  "aws-us-gov": "console.amazonaws-us-gov.com",
};

/** Links to the stack's parts in the AWS console. */
export function consoleLinks(places: Places): Record<string, pulumi.Output<string>> {
  const { region } = aws.getRegionOutput();
  const console = aws.getPartitionOutput().partition.apply((partition) => CONSOLES[partition] ?? CONSOLES.aws);
  const link = (service: string, path: pulumi.Input<string>) =>
    pulumi.interpolate`https://${region}.${console}/${service}/home?region=${region}#${path}`;
  const items = (table: aws.dynamodb.Table) =>
    link("dynamodbv2", pulumi.interpolate`item-explorer?table=${table.name}`);
  const { listens } = places;
  return {
    dashboard: link("cloudwatch", pulumi.interpolate`dashboards/dashboard/${places.dashboard.dashboardName}`),
    workflow: link("glue", pulumi.interpolate`/v2/etl-configuration/workflows/view/${places.workflow.name}`),
    ledger: items(places.ledger),
    metrics: items(places.metrics),
    listens: link(
      "glue",
      pulumi.interpolate`/v2/data-catalog/tables/view/${listens.name}?database=${listens.databaseName}`,
    ),
    bucket: pulumi.interpolate`https://${region}.${console}/s3/buckets/${places.bucket.bucket}`,
  };
}
