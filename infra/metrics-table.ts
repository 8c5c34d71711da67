import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { createTable, type TableArgs } from "./table";

/** The pipeline's results: the daily metrics of tracks and genres, one item each. */
export class MetricsTable extends pulumi.ComponentResource {
  readonly table: aws.dynamodb.Table;

  constructor(name: string, args: TableArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:state:Metrics", name, {}, opts);
    // Publish gives the attribute to a day's summary and to its genres alone, so the index has no tracks.
    this.table = createTable(`${name}-table`, args, this, { name: "listed", attribute: "listed_in" });
    this.registerOutputs({ tableName: this.table.name });
  }
}
