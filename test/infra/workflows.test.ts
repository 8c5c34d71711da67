import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import { parse } from "yaml";
import { deployerCalls } from "../support/deployer-calls";
import { differences, permissionsOf } from "../support/permissions";
import { EVERY_CHOICE, HERE, ROOT, recordProgram } from "../support/program-record";

const text = (...parts: string[]) => readFileSync(path.join(ROOT, ...parts), "utf8");
const called = text(".github", "workflows", "pulumi.yml");
const deploy = text(".github", "workflows", "deploy.yml");
const manual = text("docs", "ci.md");

interface Step {
  id?: string;
  if?: string;
  run?: string;
}

interface Job {
  if?: string;
  needs?: string;
  with: Record<string, string>;
  permissions: Record<string, string>;
}

describe("the example of a deployment from GitHub Actions", () => {
  const { steps }: { steps: Step[] } = parse(called).jobs.pulumi;
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "music-streams-workflow-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Runs the step that looks for the settings; what it says, and whether it lets the others run. */
  async function look(env: Record<string, string>): Promise<[said: string, ready: boolean]> {
    const output = path.join(folder, `output-${Math.random()}`);
    const script = steps.find(({ id }) => id === "settings")!.run!;
    const blank = { NAME: "dev", ROLE: "", REGION: "", BACKEND: "", TOKEN: "", GITHUB_OUTPUT: output };
    // As GitHub runs a step's script.
    const { stdout } = await execa("bash", ["-e", "-c", `: > "$GITHUB_OUTPUT"\n${script}`], {
      env: { ...blank, ...env },
    });
    return [stdout, readFileSync(output, "utf8") === "ready=true\n"];
  }

  it("does nothing where nothing is set, and says what is missing", async () => {
    assert.deepEqual(await look({}), [
      "::notice title=Nothing was deployed::The environment dev lacks: variable AWS_DEPLOY_ROLE_ARN, variable AWS_REGION, variable PULUMI_BACKEND_URL or secret PULUMI_ACCESS_TOKEN. docs/ci.md says what they are.",
      false,
    ]);
    const [said, ready] = await look({ ROLE: "arn", TOKEN: "t" });
    assert.match(said, /lacks: variable AWS_REGION\. /);
    assert.equal(ready, false);
    for (const step of steps.filter(({ id }) => id !== "settings"))
      assert.equal(step.if, "steps.settings.outputs.ready == 'true'", JSON.stringify(step));
  });

  it("goes on with either place for the state", async () => {
    assert.deepEqual(await look({ ROLE: "arn", REGION: "r", TOKEN: "t" }), ["", true]);
    assert.deepEqual(await look({ ROLE: "arn", REGION: "r", BACKEND: "s3://state" }), ["", true]);
  });

  it("uses variables and secrets that the manual explains, and no account's id", () => {
    const used = [...called.matchAll(/\b(?:vars|secrets)\.(\w+)/g)].map(([, name]) => name!);
    assert.ok(used.length >= 6);
    for (const name of used) assert.match(manual, new RegExp(`^\\| (variable|secret) \`${name}\` \\|`, "m"));
    for (const file of [called, deploy, manual]) assert.doesNotMatch(file, /\d{12}/);
  });

  it("previews for pull requests of this repository, with a comment, and deploys dev, then prod, from main", () => {
    const { on, permissions, jobs } = parse(deploy);
    assert.deepEqual([on.push, permissions], [{ branches: ["main"] }, {}]);
    const summary = Object.entries<Job>(jobs).map(([name, job]) => [
      name,
      job.if,
      job.needs,
      Object.values(job.with).join(" "),
      Object.entries(job.permissions).map((one) => one.join(": ")),
    ]);
    const ofThis = "github.event.pull_request.head.repo.full_name == github.repository";
    const rights = ["contents: read", "id-token: write"];
    assert.deepEqual(summary, [
      [
        "preview",
        `github.event_name == 'pull_request' && ${ofThis}`,
        undefined,
        "preview preview dev",
        [...rights, "pull-requests: write"],
      ],
      ["dev", "github.event_name == 'push'", undefined, "up dev dev", rights],
      ["prod", undefined, "dev", "up prod prod", rights],
    ]);
  });

  it("pins each action by commit, and gives each job the permissions that it needs and no others", () => {
    const folder = path.join(ROOT, ".github", "workflows");
    const files = readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name), "utf8")] as const);
    assert.ok(files.length >= 3);
    for (const [name, source] of files) {
      for (const [, action] of source.matchAll(/uses: (\S+)/g))
        assert.match(action!, /^(\.\/|[\w./-]+@[0-9a-f]{40}$)/, `${name}: ${action}`);
      const { on, permissions, jobs } = parse(source);
      for (const [job, { permissions: own }] of Object.entries<{ permissions?: object }>(jobs)) {
        // A called workflow has the permissions of the calling job, which it could only narrow.
        if ("workflow_call" in on) assert.equal(own ?? permissions, undefined, `${name}: ${job}`);
        else assert.ok(own, `${name}: ${job} has no permissions of its own`);
      }
      if (!("workflow_call" in on)) assert.deepEqual(permissions, {}, name);
    }
  });

  it("has a role that may do all that a deployment calls, and nothing that none calls", async () => {
    const kmsKeyArn = EVERY_CHOICE["music-streams:kmsKeyArn"];
    const [trust, ...rights] = [...manual.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, json]) =>
      JSON.parse(
        json!
          .replaceAll("REGION", HERE.region)
          .replaceAll(/(?<=:)ACCOUNT/g, HERE.accountId)
          .replaceAll("KMS_KEY_ARN", kmsKeyArn),
      ),
    );
    assert.match(JSON.stringify(trust), /:sub":"repo:OWNER\/REPOSITORY:environment:prod"/);
    const permissions = rights.flatMap((document) => permissionsOf("deployer", document));
    const stacks = await Promise.all([recordProgram("prod"), recordProgram("prod", EVERY_CHOICE)]);
    const made = stacks.flatMap(({ resources }) => resources.filter(({ type }) => type.startsWith("aws:")));
    assert.deepEqual(differences(permissions, deployerCalls("deployer", made, HERE), []), []);
  });

  it("has a role that passes the program's roles to their services alone", async () => {
    const rights = JSON.parse([...manual.matchAll(/^```json\n([\s\S]*?)^```$/gm)][1]![1]!);
    const { resources } = await recordProgram("prod", EVERY_CHOICE);
    const trusted = resources
      .filter(({ type }) => type === "aws:iam/role:Role")
      .map(({ inputs }) => JSON.parse(String(inputs.assumeRolePolicy)).Statement[0].Principal.Service);
    const statements: { Action: unknown; Condition?: unknown }[] = rights.Statement;
    const passing = statements.find(({ Action }) => Action === "iam:PassRole")!;
    assert.deepEqual(passing.Condition, { StringEquals: { "iam:PassedToService": [...new Set(trusted)].sort() } });
  });

  it("lets a deployer connect queues to functions of the program alone", () => {
    const rights = JSON.parse([...manual.matchAll(/^```json\n([\s\S]*?)^```$/gm)][1]![1]!);
    const statements: { Action: unknown; Condition?: unknown }[] = rights.Statement;
    assert.deepEqual(statements.find(({ Action }) => Action === "lambda:CreateEventSourceMapping")!.Condition, {
      ArnLike: { "lambda:FunctionArn": "arn:aws:lambda:REGION:ACCOUNT:function:music-streams-*" },
    });
  });
});
