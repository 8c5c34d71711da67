import { execa } from "execa";

/** The processes of this machine whose command line holds a text. */
export async function processesWith(text: string): Promise<{ pid: number; group: number }[]> {
  const { stdout } = await execa("ps", ["-A", "-o", "pid=,pgid=,args="]);
  return stdout
    .split("\n")
    .filter((line) => line.includes(text))
    .map((line) => {
      const [pid, group] = line.trim().split(/\s+/).map(Number);
      return { pid: pid!, group: group! };
    });
}
