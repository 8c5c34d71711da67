import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { strToU8, zipSync } from "fflate";
import { LaunchError } from "../../../../local/glue/errors";
import { Modules } from "../../../../local/glue/run/modules";
import { Staging } from "../../../../local/glue/run/staging";
import { FULL } from "../../../support/full";
import { client, createJob, type GlueCloud, outputOf, put, runJob, sharedGlueCloud } from "../../../support/glue-cloud";
import { recordProgram } from "../../../support/program-record";

describe("what jobs of the local Glue are given", () => {
  let cloud: GlueCloud;
  before(async () => {
    cloud = await sharedGlueCloud();
  });

  /** A script that prints a value as one line of JSON. */
  const show = (expression: string) => `import json, os, sys\nprint("FOUND " + json.dumps(${expression}))\n`;
  const found = (runId: string) => JSON.parse(/^FOUND (.*)$/m.exec(outputOf(cloud, runId))![1]!) as never;

  it("arguments come as Glue passes them: non-overridable ones win over the run's, and those over the defaults", async () => {
    await createJob(cloud, "arguments", show("sys.argv[1:]"), {
      DefaultArguments: { "--a": "default", "--b": "default", "--c": "default", "--empty": "" },
      NonOverridableArguments: { "--c": "fixed" },
    });
    const given = { "--b": "of the run", "--c": "of the run", "--odd": `a 'b' "c" --d=é\n$HOME *` };
    const run = await runJob(cloud, "arguments", { Arguments: given });
    const argv = found(run.Id!) as string[];
    const value = (key: string) => argv[argv.indexOf(key) + 1];
    assert.deepEqual([value("--a"), value("--b"), value("--c")], ["default", "of the run", "fixed"]);
    assert.equal(value("--odd"), given["--odd"]);
    assert.ok(value("--empty")?.startsWith("--"), "an empty value is a bare key");
    assert.equal(value("--scriptLocation"), "s3://glue-tests/scripts/arguments.py");
    assert.ok(!argv.includes("--WORKFLOW_RUN_ID") && !argv.includes("--JOB_RUN_ID"));
    assert.deepEqual(run.Arguments, given);
  });

  it("a script finds its arguments by AWS's getResolvedOptions, and the missing ones are named", async () => {
    const read = "from awsglue.utils import getResolvedOptions\n";
    const options = 'getResolvedOptions(sys.argv, ["bucket", "odd-name"])';
    await createJob(cloud, "options", read + show(options), {
      DefaultArguments: { "--bucket": "b", "--unasked": "", "--odd-name": "--a value=1", "--TempDir": "s3://b/t/" },
    });
    const run = await runJob(cloud, "options");
    const none = { JOB_ID: null, JOB_RUN_ID: null, SECURITY_CONFIGURATION: null, encryption_type: null };
    const always = { ...none, TempDir: "s3://b/t/", job_bookmark_option: "job-bookmark-disable" };
    assert.deepEqual(found(run.Id!), { ...always, bucket: "b", odd_name: "--a value=1" });
    await createJob(cloud, "no options", read + show('getResolvedOptions(sys.argv, ["bucket", "table"])'));
    const failed = await runJob(cloud, "no options");
    assert.match(failed.ErrorMessage!, /GlueArgumentError: the following arguments are required: --bucket, --table/);
  });

  it("a job's own copy of awsglue wins over that of the local Glue", async () => {
    const own = await put(cloud, "lib/awsglue.zip", zipSync({ "awsglue/__init__.py": strToU8("own = True\n") }));
    await createJob(cloud, "own awsglue", `import awsglue\n${show("awsglue.own")}`, {
      DefaultArguments: { "--extra-py-files": own },
    });
    assert.equal(found((await runJob(cloud, "own awsglue")).Id!), true);
  });

  it("a job talks to the emulator and the local Glue, in a session of its role, and not as the user", async () => {
    process.env.AWS_PROFILE = "production";
    process.env.AWS_SESSION_TOKEN = "secret";
    try {
      await createJob(cloud, "environment", show("dict(os.environ)"));
      const run = await runJob(cloud, "environment");
      const env = found(run.Id!) as Record<string, string>;
      assert.equal(env.AWS_ENDPOINT_URL, cloud.emulator);
      assert.equal(env.AWS_ENDPOINT_URL_GLUE, cloud.local.endpoint);
      assert.match(env.AWS_ACCESS_KEY_ID!, /^ASIA/);
      assert.equal(env.AWS_CONFIG_FILE, "/dev/null");
      assert.equal(env.TZ, "UTC");
      assert.equal(env.MARK, "from the options");
      assert.equal(env.AWS_PROFILE, undefined);
      assert.notEqual(env.AWS_SESSION_TOKEN, "secret");
    } finally {
      delete process.env.AWS_PROFILE;
      delete process.env.AWS_SESSION_TOKEN;
    }
  });

  it("extra Python files of every kind can be imported, and a wheel brings its data files", async () => {
    const module = (value: string) => strToU8(`value = "${value}"\n`);
    const info = "extra_wheel-1.0.dist-info";
    const wheel = zipSync({
      "extra_wheel/__init__.py": strToU8(
        "from pathlib import Path\nvalue = (Path(__file__).parent / 'data.txt').read_text()\n",
      ),
      "extra_wheel/data.txt": strToU8("wheel"),
      [`${info}/METADATA`]: strToU8("Metadata-Version: 2.1\nName: extra-wheel\nVersion: 1.0\n"),
      [`${info}/WHEEL`]: strToU8("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
      [`${info}/RECORD`]: strToU8(""),
    });
    const files = [
      await put(cloud, "lib/one.zip", zipSync({ "extra_zip/__init__.py": module("zip") })),
      await put(cloud, "lib/two.egg", zipSync({ "extra_egg.py": module("egg") })),
      await put(cloud, "lib/extra_module.py", module("py")),
      await put(cloud, "lib/extra_wheel-1.0-py3-none-any.whl", wheel),
    ];
    const script = "import extra_zip, extra_egg, extra_module, extra_wheel\n";
    const values = "[m.value for m in (extra_zip, extra_egg, extra_module, extra_wheel)]";
    await createJob(cloud, "files", script + show(values), {
      DefaultArguments: { "--extra-py-files": files.join(",") },
    });
    const run = await runJob(cloud, "files");
    assert.equal(run.ErrorMessage, undefined);
    assert.deepEqual(found(run.Id!), ["zip", "egg", "py", "wheel"]);
  });

  it("additional modules are installed once, for the job that names them", async () => {
    const asked = { "--additional-python-modules": "iniconfig==2.0.0" };
    await createJob(cloud, "modules", `import iniconfig\n${show("iniconfig.__file__")}`, { DefaultArguments: asked });
    const first = await runJob(cloud, "modules");
    assert.equal(first.ErrorMessage, undefined);
    const modules = join(cloud.workDir, "modules");
    const installed = readdirSync(modules).length;
    const second = await runJob(cloud, "modules");
    assert.ok((found(first.Id!) as string).startsWith(modules));
    assert.deepEqual(found(second.Id!), found(first.Id!));
    assert.equal(readdirSync(modules).length, installed);
  });

  // It installs all of them, so `npm test` leaves it to `npm run test:all`.
  if (FULL)
    it("the publish job's list names every package that pip installs for it", async () => {
      const program = await recordProgram("local");
      const { defaultArguments } = program.inputsOf("glue/job:Job", "music-streams-publish");
      const listed = (defaultArguments as Record<string, string>)["--additional-python-modules"]!.split(",");
      await createJob(
        cloud,
        "of-publish",
        `import duckdb\n${show("os.path.dirname(os.path.dirname(duckdb.__file__))")}`,
        {
          DefaultArguments: { "--additional-python-modules": listed.join(",") },
        },
      );
      const run = await runJob(cloud, "of-publish");
      assert.equal(run.ErrorMessage, undefined);
      const folder: string = found(run.Id!);
      const installed = readdirSync(folder).flatMap((name) => {
        const [, project, version] = /^(.*)-([^-]+)\.dist-info$/.exec(name) ?? [];
        return project ? [`${project.replaceAll("_", "-")}==${version}`] : [];
      });
      assert.deepEqual(installed.sort(), listed);
    });

  it("a module that can't be installed is a FAILED run with pip's message, and leaves nothing behind", async () => {
    await createJob(cloud, "uninstallable", "print('never')\n", {
      DefaultArguments: { "--additional-python-modules": "iniconfig==999.0" },
    });
    const run = await runJob(cloud, "uninstallable");
    assert.equal(run.JobRunState, "FAILED");
    assert.match(run.ErrorMessage!, /iniconfig==999\.0.*No matching distribution/);
    assert.ok(readdirSync(join(cloud.workDir, "modules")).every((name) => !name.includes("draft")));
  });

  it("a stop at any moment of a script's download is an error that the caller gets", async () => {
    // Sends the headers of an object, and only a part of its body.
    const stalled = createServer((_, response) => void response.writeHead(200, { "content-length": 9 }).write("print"));
    await once(stalled.listen(0, "127.0.0.1"), "listening");
    const emulatorEndpoint = `http://127.0.0.1:${(stalled.address() as AddressInfo).port}`;
    const folder = await mkdtemp(join(tmpdir(), "local-glue-staging-"));
    const options = {
      emulatorEndpoint,
      workDir: folder,
      ...client,
      python: "",
      sparkSubmit: "",
      sparkJars: [],
    };
    const session = { ...client.credentials, sessionToken: "token" };
    const staging = new Staging(options, session, new Modules(options));
    try {
      for (let turns = 0; turns < 60; turns += 1) {
        const controller = new AbortController();
        stalled.once("request", async () => {
          for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
          controller.abort("stop");
        });
        // A new folder each time: the stop may come while it is created.
        const into = join(folder, `${turns}`, "a", "b");
        await assert.rejects(staging.fetch("s3://bucket/script.py", into, controller.signal), LaunchError);
      }
    } finally {
      stalled.closeAllConnections();
      stalled.close();
      await rm(folder, { recursive: true });
    }
  });
});
