import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { UserError } from "../terminal/errors";
import { type TableRow, tableColumns } from "./metrics-table";

/** Columns of whole numbers. `date` is a date, and all others are texts. */
const numbers = [
  ...[
    "rank",
    "listens",
    "unique_listeners",
    "listening_ms",
    "avg_listening_ms_per_listener",
    "tracks",
    "genres",
    "hour",
  ],
];
/** So many rows are in memory, and in each row group. */
const rowsAtOnce = 20_000;
const dayMs = 86_400_000;

/** Writes rows as a Parquet file, a row group at a time. `write` is awaited. */
export class ParquetRows {
  private readonly columns: string[];
  private readonly bytes = new ByteWriter();
  private readonly file: ParquetWriter;
  private rows: TableRow[] = [];

  constructor(
    private readonly write: (bytes: Uint8Array) => Promise<void> | void,
    all: boolean,
  ) {
    this.columns = tableColumns(all);
    const schema = this.columns.map((name) => ({ name, repetition_type: "OPTIONAL" as const, ...typeOf(name) }));
    const root = { name: "metrics", num_children: schema.length };
    this.file = new ParquetWriter({ writer: this.bytes, schema: [root, ...schema] });
  }

  async add(row: TableRow): Promise<void> {
    this.rows.push(row);
    if (this.rows.length === rowsAtOnce) await this.writeGroup();
  }

  async close(): Promise<void> {
    if (this.rows.length > 0) await this.writeGroup();
    await this.file.finish();
    await this.flush();
  }

  private async writeGroup(): Promise<void> {
    const columnData = this.columns.map((name, at) => ({ name, data: this.rows.map((row) => cellOf(name, row[at])) }));
    this.rows = [];
    await this.file.write({ columnData, rowGroupSize: rowsAtOnce });
    await this.flush();
  }

  /** Hands on what is written so far. The writer's offset goes on, because the file's end points to the groups. */
  private async flush(): Promise<void> {
    const some = this.bytes.getBytes().slice();
    this.bytes.index = 0;
    await this.write(some);
  }
}

function typeOf(name: string) {
  if (name === "date") return { type: "INT32" as const, converted_type: "DATE" as const };
  if (numbers.includes(name)) return { type: "INT64" as const };
  return { type: "BYTE_ARRAY" as const, converted_type: "UTF8" as const };
}

function cellOf(name: string, text: string | undefined): string | bigint | number | null {
  if (text === undefined) return null;
  if (name === "date") return Date.parse(`${text}T00:00:00Z`) / dayMs;
  if (!numbers.includes(name)) return text;
  const value = /^-?\d+$/.test(text) ? BigInt(text) : undefined;
  if (value === undefined || BigInt.asIntN(64, value) !== value)
    throw new UserError(`metrics export: ${name} ${text} is no whole number of 64 bits. Use --format csv.`);
  return value;
}
