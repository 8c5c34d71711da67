import {
  CreateDatabaseCommand,
  CreateTableCommand,
  DeleteDatabaseCommand,
  DeleteTableCommand,
  GetDatabaseCommand,
  GetTableCommand,
  UpdateDatabaseCommand,
  UpdateTableCommand,
} from "@aws-sdk/client-glue";
import type * as aws from "@pulumi/aws";
import type { Unwrap } from "@pulumi/pulumi";
import { type Kind, kind, unless } from "./kind";

const EXISTS = ["AlreadyExistsException"];

const database = kind<aws.glue.CatalogDatabaseArgs>({
  inputs: ["name", "description", "tags"],
  name: "name",
  async put({ name: Name = "", description: Description, tags }, { clients: { glue }, region, account }) {
    const DatabaseInput = { Name, Description };
    await unless(
      EXISTS,
      () => glue.send(new CreateDatabaseCommand({ DatabaseInput, Tags: tags })),
      () => glue.send(new UpdateDatabaseCommand({ Name, DatabaseInput })),
    );
    const arn = `arn:aws:glue:${region}:${account}:database/${Name}`;
    return { id: `${account}:${Name}`, outs: { arn, catalogId: account, tagsAll: tags ?? {} } };
  },
  exists: (_, { name: Name }, { clients: { glue } }) => glue.send(new GetDatabaseCommand({ Name })),
  remove: (_, { name: Name }, { clients: { glue } }) => glue.send(new DeleteDatabaseCommand({ Name })),
});

const table = kind<aws.glue.CatalogTableArgs>({
  inputs: [
    "databaseName",
    "name",
    "description",
    "tableType",
    "parameters",
    "partitionKeys.name",
    "partitionKeys.type",
    "partitionKeys.comment",
    "storageDescriptor.location",
    "storageDescriptor.inputFormat",
    "storageDescriptor.outputFormat",
    "storageDescriptor.serDeInfo.serializationLibrary",
    "storageDescriptor.columns.name",
    "storageDescriptor.columns.type",
    "storageDescriptor.columns.comment",
  ],
  name: "name",
  fixed: ["databaseName"],
  async put(args, { clients: { glue }, region, account }) {
    const DatabaseName = args.databaseName;
    const TableInput = { ...tableInput(args), Name: args.name };
    await unless(
      EXISTS,
      () => glue.send(new CreateTableCommand({ DatabaseName, TableInput })),
      () => glue.send(new UpdateTableCommand({ DatabaseName, TableInput })),
    );
    const arn = `arn:aws:glue:${region}:${account}:table/${DatabaseName}/${args.name}`;
    return { id: `${account}:${DatabaseName}:${args.name}`, outs: { arn, catalogId: account } };
  },
  exists: (_, { databaseName: DatabaseName, name: Name }, { clients: { glue } }) =>
    glue.send(new GetTableCommand({ DatabaseName, Name })),
  remove: (_, { databaseName: DatabaseName, name: Name }, { clients: { glue } }) =>
    glue.send(new DeleteTableCommand({ DatabaseName, Name })),
});

function tableInput(args: Unwrap<aws.glue.CatalogTableArgs>) {
  const { storageDescriptor: storage } = args;
  const columns = (list: { name: string; type?: string | undefined; comment?: string | undefined }[] = []) =>
    list.map(({ name: Name, type: Type, comment: Comment }) => ({ Name, Type, Comment }));
  return {
    Description: args.description,
    TableType: args.tableType,
    Parameters: args.parameters,
    PartitionKeys: columns(args.partitionKeys),
    StorageDescriptor: storage && {
      Location: storage.location,
      InputFormat: storage.inputFormat,
      OutputFormat: storage.outputFormat,
      SerdeInfo: { SerializationLibrary: storage.serDeInfo?.serializationLibrary },
      Columns: columns(storage.columns),
    },
  };
}

export const catalogKinds: Record<string, Kind> = {
  "aws:glue/catalogDatabase:CatalogDatabase": database,
  "aws:glue/catalogTable:CatalogTable": table,
};
