import path from "node:path";
import { generateSample } from "../../local/sample/generator";
import { realData } from "../support/commands";

/** The real data if there is any, else a generated sample in `folder`. Prints which. */
export async function dataFolder(folder: string): Promise<string> {
  const data = realData ?? path.join(folder, "generated");
  if (!realData) await generateSample(data);
  console.log(
    `      data: ${realData ? `real, ${realData}` : "a generated sample (MUSIC_STREAMS_DATA names no real data)"}`,
  );
  return data;
}
