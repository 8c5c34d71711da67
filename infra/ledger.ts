import type * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { createTable, type TableArgs } from "./table";

/** Remembers every batch and names the one being worked on, so that two Lambdas can't start the same work. */
export class Ledger extends pulumi.ComponentResource {
  readonly table: aws.dynamodb.Table;

  constructor(name: string, args: TableArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:state:Ledger", name, {}, opts);
    this.table = createTable(`${name}-table`, args, this);
    this.registerOutputs({ tableName: this.table.name });
  }
}
