import assert from "node:assert/strict";
import { readConfig, runProgram } from "../../../local/provider/program";
import { HERE, ROOT } from "../../support/program-record";

describe("a run of the program", () => {
  it("maps no stack of an error to TypeScript, which Pulumi asks for at every promise; an error keeps its frames", async () => {
    const stacks = new Set<string | undefined>();
    let caught: Error | undefined;
    await runProgram(ROOT, "dev", readConfig(ROOT, "dev"), {
      async create({ name, inputs }) {
        caught ??= new Error("caught");
        stacks.add(new Error("read").stack);
        return { id: name, outs: { name, bucket: name, arn: name, url: `https://${name}`, ...inputs } };
      },
      async invoke() {
        return { ...HERE };
      },
    });
    assert.deepEqual([...stacks], ["Error: read"]);
    const place = /program\.test\.ts:\d+:\d+/;
    assert.match(caught?.stack ?? "", place);
    assert.match(new Error("later").stack ?? "", place);
  });
});
