import { execaSync } from "execa";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The path of a Chromium on PATH; undefined, and a line that says so, where there is none. */
export function findBrowser(): string | undefined {
  for (const name of names) {
    const found = execaSync("sh", ["-c", `command -v ${name}`], { reject: false });
    if (found.exitCode === 0) return found.stdout;
  }
  console.log(`      NOT RUN: there is no browser on PATH (${names.join(", ")})`);
  return undefined;
}
