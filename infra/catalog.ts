import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import layout from "../layout.json";
import type { Settings } from "./settings";

interface CatalogArgs extends Pick<Settings, "tags"> {
  bucket: aws.s3.Bucket;
}

/** The columns in curated files (docs/architecture.md, "Curated rows"). The day is in the path. */
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

/** Curated listens as a table for Athena and other readers of the Data Catalog. It needs no crawler and no repair. */
export class Catalog extends pulumi.ComponentResource {
  readonly database: aws.glue.CatalogDatabase;
  readonly listens: aws.glue.CatalogTable;

  constructor(name: string, args: CatalogArgs, opts?: pulumi.ComponentResourceOptions) {
    super("music-streams:storage:Catalog", name, {}, opts);
    const own = { parent: this };
    // A name that SQL accepts without quotes.
    const databaseName = `${pulumi.getProject()}_${pulumi.getStack()}`.toLowerCase().replace(/\W/g, "_");
    this.database = new aws.glue.CatalogDatabase(
      `${name}-database`,
      { name: databaseName, description: "Data that the music-streams pipeline made from its CSVs", tags: args.tags },
      own,
    );
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Athena fills in the column.
    const ofDay = layout.listensDay.replace("{date}", () => "${listen_date}");
    const location = pulumi.interpolate`s3://${args.bucket.bucket}/${layout.listens}`;
    this.listens = new aws.glue.CatalogTable(
      `${name}-listens`,
      {
        databaseName: this.database.name,
        name: "listens",
        description: "Every distinct valid listen with its track and user, including those of the batch in flight",
        tableType: "EXTERNAL_TABLE",
        partitionKeys: [{ name: "listen_date", type: "date", comment: "UTC" }],
        parameters: {
          EXTERNAL: "TRUE",
          classification: "parquet",
          // Athena derives the days from the query, without partitions in the catalog (Amazon Athena User Guide, "Set
          // up partition projection"). The range is that of valid listens, which may be one day in the future.
          "projection.enabled": "true",
          "projection.listen_date.type": "date",
          "projection.listen_date.format": "yyyy-MM-dd",
          "projection.listen_date.range": "2000-01-01,NOW+1DAYS",
          "projection.listen_date.interval": "1",
          "projection.listen_date.interval.unit": "DAYS",
          // Athena reads the batches' folders below the day's folder with it.
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
