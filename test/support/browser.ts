import { source as axe } from "axe-core";
import { execaSync } from "execa";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";

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

/** A page of the console. `wrong` gets errors of the browser (a broken policy is one), and requests to other hosts. */
export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const wrong: string[] = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  context.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) wrong.push(`a request to ${request.url()}`);
  });
  await page.goto(url);
  return { page, wrong, go: (to: string) => page.goto(new URL(to, url).href), close: () => context.close() };
}

/** What axe-core finds that is serious or worse, by all of its rules or by some. */
export async function findings(page: Page, rules?: string[]): Promise<string[]> {
  await page.evaluate(axe);
  const options = rules ? { runOnly: rules } : {};
  const { violations } = (await page.evaluate(`axe.run(${JSON.stringify(options)})`)) as {
    violations: { id: string; impact: string; nodes: { html: string }[] }[];
  };
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
}
