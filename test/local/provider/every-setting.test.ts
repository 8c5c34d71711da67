import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { GetObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import pMap from "p-map";
import { uploadReference } from "../../../cli/start/load";
import layout from "../../../layout.json";
import type { Properties } from "../../../local/provider/kind";
import { type Registration, readConfig, runProgram } from "../../../local/provider/program";
import { testCredentials } from "../../support/credentials";
import { EVERY_CHOICE, ROOT } from "../../support/program-record";
import { type ProviderCloud, REGION, sharedCloud } from "../../support/provider-cloud";

describe("the local provider, with a stack that sets everything", () => {
  let shared: ProviderCloud;
  const made: (Registration & { id: string; props: Properties; full: Properties })[] = [];
  before(async () => {
    shared = await sharedCloud();
    const config = {
      ...readConfig(ROOT, "local"),
      ...EVERY_CHOICE,
      "music-streams:bucketName": "all-there-is",
      "music-streams:kmsKeyArn": `arn:aws:kms:${REGION}:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab`,
    };
    await runProgram(ROOT, "local", config, {
      async create(resource) {
        const { inputs, failures } = await shared.provider.check(resource.urn, undefined, resource.inputs);
        assert.deepEqual(failures, []);
        const { id, outs } = await shared.provider.create(resource.urn, inputs as Properties);
        made.push({ ...resource, id, props: outs as Properties, full: inputs as Properties });
        return { id, outs: outs as Properties };
      },
      invoke: async (token, inputs) => (await shared.provider.invoke(token, inputs)).outputs as Properties,
    });
  });

  it("uploads reference data to the location of the stack, and creates its bucket", async () => {
    const file = path.join(shared.cloud.folder, "users.csv");
    await writeFile(file, "user_id\n");
    const sources = [{ file, key: `${layout.reference}${layout.users}users.csv` }];
    for (const Prefix of ["music/", "again/"]) {
      await uploadReference(shared.clients.s3, `s3://our-data/${Prefix}`, sources);
      const { Contents } = await shared.clients.s3.send(new ListObjectsV2Command({ Bucket: "our-data", Prefix }));
      assert.deepEqual(
        Contents?.map(({ Key }) => Key),
        [`${Prefix}${layout.users}users.csv`],
      );
    }
    await assert.rejects(
      uploadReference(shared.clients.s3, "our-data", sources),
      /referenceLocation is our-data, which names/,
    );
  });

  it("lets transform read reference data in another bucket, and nothing else there", async () => {
    const RoleArn = String(made.find(({ name }) => name === "music-streams-transform-role")?.props.arn);
    const own = { region: REGION, endpoint: shared.cloud.endpoint };
    const sts = new STSClient({ ...own, credentials: testCredentials });
    const { Credentials: keys } = await sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: "test" }));
    const credentials = {
      accessKeyId: keys!.AccessKeyId!,
      secretAccessKey: keys!.SecretAccessKey!,
      sessionToken: keys!.SessionToken!,
    };
    const s3 = new S3Client({ ...own, forcePathStyle: true, credentials });
    const Bucket = "our-data";
    const list = (Prefix: string) => s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
    const read = (Key: string) => s3.send(new GetObjectCommand({ Bucket, Key }));
    try {
      assert.equal((await list(`music/${layout.users}`)).KeyCount, 1);
      assert.equal((await read(`music/${layout.users}users.csv`)).ContentLength, 8);
      for (const denied of [list("again/"), list(""), read(`again/${layout.users}users.csv`), read("music/none.csv")])
        await assert.rejects(denied, { name: "AccessDenied" });
    } finally {
      s3.destroy();
      sts.destroy();
    }
  });

  it("reads, compares, updates and deletes each resource of the program", async () => {
    assert.ok(made.length >= 40);
    await pMap(
      made,
      async ({ id, urn, props, full }) => {
        assert.deepEqual(await shared.provider.read(id, urn, props), { id, props }, `${urn} exists, unchanged`);
        const again = await shared.provider.check(urn, full, { ...full });
        assert.deepEqual(again.inputs, full, `${urn} keeps its name`);
        assert.equal((await shared.provider.diff(id, urn, props, full)).changes, false, `${urn} is unchanged`);
        const tags = full.tags === undefined ? undefined : { project: "music-streams", more: "1" };
        const { outs } = await shared.provider.update(id, urn, props, tags ? { ...full, tags } : full);
        assert.deepEqual(
          (await shared.provider.read(id, urn, outs as Properties)).props?.tags,
          tags,
          `${urn} has other tags`,
        );
      },
      { concurrency: 4 },
    );
    for (const { id, urn, props } of made.reverse()) {
      await shared.provider.delete(id, urn, props);
      await shared.provider.delete(id, urn, props);
    }
    for (const { id, urn, type, props } of made) {
      // Versioning is deleted with its bucket.
      assert.equal((await shared.provider.read(id, urn, props)).id, undefined, `${type} ${id} is gone`);
    }
  });
});
