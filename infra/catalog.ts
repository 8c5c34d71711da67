import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import layout from "../layout.json";
import type { Settings } from "./settings";

interface CatalogArgs extends Pick<Settings, "tags"> {
  bucket: aws.s3.Bucket;
}

/** The columns of a curated listen that are in its files (docs/architecture.md, "Curated rows"); the day is in the path. */
const COLUMNS: [name: string, type: string, comment?: string][] = [
  ["user_id", "string"],
  ["track_id", "string"],
  ["listen_time", "timestamp", "UTC"],
  ["track_name", "string"],
  ["artists", "string"],
  ["album_name", "string"],
  ["popularity", "bigint"],
  ["duration_ms", "bigint"],
  ["genres", "array<string>", "sorted, distinct, never null"],
  ["user_country", "string"],
  ["user_age", "bigint"],
];

/** Curated listens as a table for Athena and others who read the Data Catalog. Nothing has to be crawled or repaired. */
export class Catalog extends pulumi.ComponentResource {
  readonly database: aws.glue.CatalogDatabase;
  readonly listens: aws.glue.CatalogTable;

  constructor(name: string, args: CatalogArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:storage:Catalog", name, {}, opts);
    const own = { parent: this };
    // In a form that SQL takes without quotes.
    const databaseName = `${pulumi.getProject()}_${pulumi.getStack()}`.toLowerCase().replace(/\W/g, "_");
    this.database = new aws.glue.CatalogDatabase(
      `${name}-database`,
      { name: databaseName, description: "What the music-streams pipeline has made of its CSVs", tags: args.tags },
      own,
    );
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Athena fills the column in.
    const ofDay = layout.listensDay.replace("{date}", () => "${listen_date}");
    const location = pulumi.interpolate`s3://${args.bucket.bucket}/${layout.listens}`;
    this.listens = new aws.glue.CatalogTable(
      `${name}-listens`,
      {
        databaseName: this.database.name,
        name: "listens",
        description: "Every distinct valid listen with what is known of its track and user; a batch in flight included",
        tableType: "EXTERNAL_TABLE",
        partitionKeys: [{ name: "listen_date", type: "date", comment: "UTC" }],
        parameters: {
          EXTERNAL: "TRUE",
          classification: "parquet",
          // Athena works the days out of the query, without a partition in the catalog (Amazon Athena User Guide,
          // "Set up partition projection"). The range is that of valid listens, which may be a day ahead.
          "projection.enabled": "true",
          "projection.listen_date.type": "date",
          "projection.listen_date.format": "yyyy-MM-dd",
          "projection.listen_date.range": "2000-01-01,NOW+1DAYS",
          "projection.listen_date.interval": "1",
          "projection.listen_date.interval.unit": "DAYS",
          // The folders of the batches are below the day's; Athena reads them with it.
          "storage.location.template": pulumi.interpolate`s3://${args.bucket.bucket}/${ofDay}`,
        },
        storageDescriptor: {
          location,
          inputFormat: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
          outputFormat: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
          serDeInfo: { serializationLibrary: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe" },
          columns: COLUMNS.map(([column, type, comment]) => ({
            name: column,
            type,
            ...(comment === undefined ? {} : { comment }),
          })),
        },
      },
      own,
    );
    this.registerOutputs({ databaseName: this.database.name, tableName: this.listens.name });
  }
}
