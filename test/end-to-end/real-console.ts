import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import type { Browser, Locator, Page } from "playwright-core";
import { localTarget, storeOf } from "../../cli/target";
import layout from "../../layout.json";
import { findRunningCloud } from "../../local/run-file";
import { listAll } from "../../runtime/lake";
import { findings, visit } from "../support/browser";
import { npm, root, until, WAIT_MS } from "../support/commands";

type Item = Record<string, string | number> & Record<"genres" | "tracks", Record<string, string | number>[]>;

const text = (value: unknown) => Number(value).toLocaleString("en-US");
const json = async (verb: string, ...args: string[]) => JSON.parse((await npm(verb, "--json", ...args)).stdout);

/** What a person sees of a running `npm start`, against what its commands print. One file is dropped meanwhile. */
export class RealConsole {
  private constructor(
    private readonly page: Page,
    private readonly wrong: string[],
    private readonly go: (to: string) => Promise<unknown>,
  ) {}

  static async open(browser: Browser, url: string): Promise<RealConsole> {
    const visited = await visit(browser, url, { viewport: { width: 960, height: 600 }, colorScheme: "light" });
    visited.page.setDefaultTimeout(WAIT_MS);
    return new RealConsole(visited.page, visited.wrong, visited.go);
  }

  /** Batches have the numbers of `batches --json`. */
  async hasTheLedgersNumbers(): Promise<void> {
    const batches = await json("batches");
    await this.go("/batches");
    assert.deepEqual(
      (await cellsOf(this.page.locator("#list tbody tr"))).map((cells) => cells.slice(0, 7)),
      batches.map((batch: Record<string, number> & { rowsQuarantined: Record<string, number> }) => [
        ...[batch.batchId, batch.state],
        ...[batch.files, batch.rowsRead, batch.rowsKept, batch.rowsDuplicate, totalOf(batch)].map(text),
      ]),
    );
    await this.isInOrder();
    await this.go(`/batch?id=${batches[0].batchId}`);
    const { rowsRead, rowsKept, rowsDuplicate } = batches[0];
    assert.ok(
      (await this.page.textContent("#rows"))!.includes(
        `${text(rowsRead)} read = ${text(rowsKept)} kept + ${text(rowsDuplicate)} duplicate + ${text(totalOf(batches[0]))}`,
      ),
    );
    await this.isInOrder();
    await this.go("/freshness");
    assert.match((await this.page.textContent("#now"))!, /newest metrics.* ago/);
    await this.isInOrder();
  }

  /** A day, its first genre, and that genre's first track have the numbers of `metrics export`. */
  async hasTheMetricsNumbers(exported: string): Promise<void> {
    const lines = (await readFile(exported, "utf8")).trimEnd().split("\n");
    const items: Item[] = lines.map((line) => JSON.parse(line));
    const at = (pk: string, sk: string) => items.find((item) => item.pk === pk && item.sk === sk)!;
    await this.go("/day");
    const day = (await this.page.textContent("h1"))!.slice("Day ".length);
    const { listens, unique_listeners } = at(`DAY#${day}`, "SUMMARY");
    assert.deepEqual(
      (await this.page.locator("#day dd").allTextContents()).slice(0, 2),
      [listens, unique_listeners].map(text),
    );
    await this.picture("day");
    const { genres } = at(`DAY#${day}`, "TOP_GENRES");
    assert.deepEqual(
      await this.openTable("Top genres"),
      genres.map(({ genre, listens }) => [genre, text(listens)]),
    );
    await this.page.getByText(/^All \d+ genres?$/).click();
    assert.deepEqual(
      (await cellsOf(this.rowsOf("All genres"))).map(([genre, listens]) => `${genre} ${listens}`).sort(),
      items
        .filter(({ pk, sk }) => String(pk).startsWith("GENRE#") && sk === `DAY#${day}`)
        .map(({ pk, listens }) => `${String(pk).slice("GENRE#".length)} ${text(listens)}`)
        .sort(),
    );
    await this.isInOrder();
    await this.go("/days");
    assert.deepEqual(
      (await cellsOf(this.rowsOf("Days"))).map(([date, listens]) => [date, listens]),
      items
        .filter(({ sk }) => sk === "SUMMARY")
        .map(({ pk, listens }) => [String(pk).slice("DAY#".length), text(listens)])
        .reverse(),
    );
    await this.isInOrder();

    await this.go("/day");
    await this.page.getByText("Table: Top genres").click();
    const genre = String(genres[0]!.genre);
    await this.page.getByRole("link", { name: genre, exact: true }).first().click();
    const daysOf = (pk: string) =>
      items
        .filter((item) => item.pk === pk && String(item.sk).startsWith("DAY#"))
        .map(({ sk, listens }) => [String(sk).slice("DAY#".length), text(listens)])
        .slice(-60);
    assert.deepEqual(await this.openTable("Listens of its latest days"), daysOf(`GENRE#${genre}`));
    const { tracks } = at(`GENRE#${genre}`, `TOP_TRACKS#${day}`);
    assert.deepEqual(
      (await cellsOf(this.rowsOf("Top tracks"))).map(([id, , , listens, listeners]) => [id, listens, listeners]),
      tracks.map(({ track_id, listens, unique_listeners }) => [track_id, text(listens), text(unique_listeners)]),
    );
    await this.isInOrder();
    const track = String(tracks[0]!.track_id);
    await this.page.getByRole("link", { name: track, exact: true }).click();
    assert.deepEqual(await this.openTable("Listens of its latest days"), daysOf(`TRACK#${track}`));
    await this.isInOrder();
    await this.page.getByLabel("Artist").fill(String(tracks[0]!.artists).toLowerCase());
    await this.page.getByLabel("Artist").press("Enter");
    await this.page.getByRole("link", { name: track, exact: true }).waitFor();
    await this.isInOrder();
  }

  /**
   * A file goes through the graph while somebody looks. Its first attempt fails for want of songs, and its log says so.
   * Its bad row has a reason, and the log of its job is there.
   */
  async showsADroppedFile(folder: string): Promise<void> {
    await this.go("/batches");
    const newest = this.page.locator("#list tbody tr").first().getByRole("link");
    const before = (await newest.textContent())!;
    const file = path.join(folder, "late.csv");
    await writeFile(file, "user_id,track_id,listen_time\nu 1,t1,2024-06-25 10:00:00\nu1,t1,2024-06-25 10:00:00\n");
    const bringBack = await takeSongs();
    const dropped = npm("drop", "--wait", file);
    await this.page.locator("#list tbody tr").first().filter({ hasNotText: before }).waitFor();
    const batchId = (await newest.textContent())!;
    await newest.click();
    const error = /no reference data: s3:\S+ holds no \.csv or \.csv\.gz file/;
    await this.page.locator("#log .bad").filter({ hasText: error }).first().waitFor().finally(bringBack);
    await this.showsTheLog(batchId, 1);
    assert.match((await this.page.locator("#log .bad").allTextContents()).join("\n"), error);
    await this.go(`/batch?id=${batchId}`);
    await this.page.locator(".step.running", { hasText: "transform" }).waitFor();
    await this.picture("running");
    await this.page.getByText("Nothing changes any more").waitFor();
    assert.equal(await this.page.locator(".step.done").count(), 4);
    const { exitCode, all } = await dropped;
    assert.equal(exitCode, 0, all);

    assert.deepEqual(
      (await cellsOf(this.rowsOf("First rows"))).map(([reason, row]) => [reason, row]),
      [["bad_id", "u 1,t1,2024-06-25 10:00:00"]],
    );
    await this.showsTheLog(batchId, 2);
    assert.equal(await this.page.locator("#log .bad").count(), 0);

    await this.go("/quarantine");
    const { reasons } = await json("quarantine");
    assert.deepEqual(
      (await cellsOf(this.rowsOf("Reasons"))).map(([reason, , rows]) => [reason, rows]),
      reasons.map(({ reason, rows }: { reason: string; rows: number }) => [reason, text(rows)]),
    );
    await this.isInOrder();
    await this.picture("quarantine");
    await this.go("/batches");
    await this.picture("batches");
    assert.deepEqual(this.wrong, []);
  }

  /** The log of transform in one attempt, as the command has it. */
  private async showsTheLog(batchId: string, attempt: number): Promise<void> {
    const choices = this.page.getByRole("navigation", { name: "Lines of the log" });
    await choices.getByRole("link", { name: "transform" }).click();
    await choices.getByRole("link", { name: String(attempt), exact: true }).click();
    const lines = await until("the page has every line of the attempt", async () => {
      const found = await npm("logs", batchId, "--job", "transform", "--attempt", String(attempt), "--json");
      const shown = await this.page.locator("#log li").allTextContents();
      return shown.length === found.stdout.trimEnd().split("\n").length && shown;
    });
    for (const line of lines) assert.ok(line.includes(`transform ${attempt}`), line);
    await this.isInOrder();
  }

  private async isInOrder(): Promise<void> {
    assert.deepEqual(await findings(this.page), [], this.page.url());
  }

  private rowsOf(title: string): Locator {
    return this.page.getByRole("table", { name: title }).locator("tbody tr");
  }

  private async openTable(title: string): Promise<string[][]> {
    await this.page.getByText(`Table: ${title}`).click();
    return cellsOf(this.rowsOf(title));
  }

  /** Writes a picture for the docs, if SCREENSHOTS asks for it. */
  private async picture(name: string): Promise<void> {
    if (!process.env.SCREENSHOTS) return;
    const folder = path.resolve(root, process.env.SCREENSHOTS);
    await mkdir(folder, { recursive: true });
    await this.page.screenshot({ path: path.join(folder, `${name}.png`) });
  }
}

/** Takes the songs out of the reference data. @returns what brings them back */
async function takeSongs(): Promise<() => Promise<void>> {
  const target = localTarget(await findRunningCloud(root));
  const songs: { Bucket: string; Key: string; Body: Uint8Array }[] = [];
  for (const { key } of await listAll(storeOf(target), layout.reference + layout.songs)) {
    const at = { Bucket: target.outputs.bucketName, Key: key };
    const { Body } = await target.s3.send(new GetObjectCommand(at));
    songs.push({ ...at, Body: await Body!.transformToByteArray() });
    await target.s3.send(new DeleteObjectCommand(at));
  }
  assert.ok(songs.length > 0);
  return async () => {
    for (const song of songs) await target.s3.send(new PutObjectCommand(song));
  };
}

async function cellsOf(rows: Locator): Promise<string[][]> {
  return Promise.all((await rows.all()).map((row) => row.locator("td").allTextContents()));
}

function totalOf({ rowsQuarantined }: { rowsQuarantined: Record<string, number> | null }): number {
  return Object.values(rowsQuarantined ?? {}).reduce((sum, rows) => sum + rows, 0);
}
