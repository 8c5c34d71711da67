import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { unzipSync } from "fflate";
import { bytesOf } from "../local/provider/archive";
import type { Properties } from "../local/provider/kind";
import { readConfig, runProgram } from "../local/provider/program";
import { runAsProgram, type Terminal } from "../terminal/terminal";

const type = "aws:lambda/function:Function";
const here = { accountId: "111122223333", partition: "aws", region: "us-east-1" };

/**
 * Runs the program without a cloud, and unpacks the code of each Lambda to a folder of its name. Prints, as JSON, their
 * names, the bytes of their packages, and their environment.
 */
async function main([folder = ""]: string[], terminal: Terminal): Promise<number> {
  const found: { name: string; bytes: number; environment: unknown }[] = [];
  const pack = async (name: string, inputs: Properties) => {
    const zip = await bytesOf(inputs.code, terminal.root);
    for (const [file, bytes] of Object.entries(unzipSync(zip))) {
      const target = path.join(folder, name, file);
      await mkdir(path.dirname(target), { recursive: true });
      await writeFile(target, bytes);
    }
    const { variables } = inputs.environment as { variables: Record<string, string> };
    found.push({ name, bytes: zip.length, environment: variables });
  };
  await runProgram(terminal.root, "dev", readConfig(terminal.root, "dev"), {
    async create(resource) {
      if (resource.type === type) await pack(resource.name, resource.inputs);
      const { name } = resource;
      const made = { name, bucket: name, arn: `arn:aws:bench:::${name}`, url: `https://${name}` };
      return { id: `${name}-id`, outs: { ...made, ...resource.inputs } };
    },
    async invoke() {
      return here;
    },
  });
  await terminal.out(JSON.stringify(found));
  return 0;
}

runAsProgram(main);
