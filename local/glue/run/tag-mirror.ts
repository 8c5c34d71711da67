import { GlueClient, TagResourceCommand, UntagResourceCommand } from "@aws-sdk/client-glue";
import type { LocalGlueOptions } from "../options";

/** Keeps the emulator's front door from sending a call back to the local Glue (local/python/front_door.py). */
const PASSED_HEADER = "x-local-glue-passed";

/**
 * Tells the emulator the tags of jobs, triggers and workflows, so that its tagging API finds them. Best effort: a
 * failure is logged.
 */
export class TagMirror {
  private readonly glue: GlueClient;
  private last = Promise.resolve();

  constructor(
    private readonly options: LocalGlueOptions,
    private readonly log: (line: string) => void,
  ) {
    const { emulatorEndpoint: endpoint, region, credentials } = options;
    this.glue = new GlueClient({ endpoint, region, credentials });
    this.glue.middlewareStack.add(
      (next) => (args) => {
        (args.request as { headers: Record<string, string> }).headers[PASSED_HEADER] = "1";
        return next(args);
      },
      { step: "build" },
    );
  }

  /** Returns at once; changes arrive in their order. */
  change(resource: string, set: Record<string, string>, removed: readonly string[]): void {
    const { region, accountId = "000000000000" } = this.options;
    const ResourceArn = `arn:aws:glue:${region}:${accountId}:${resource}`;
    this.last = this.last
      .then(async () => {
        if (Object.keys(set).length > 0) await this.glue.send(new TagResourceCommand({ ResourceArn, TagsToAdd: set }));
        if (removed.length > 0)
          await this.glue.send(new UntagResourceCommand({ ResourceArn, TagsToRemove: [...removed] }));
      })
      .catch((error: Error) => this.log(`the tags of ${resource} are not in the emulator: ${error.message}`));
  }

  /** Waits for the changes on their way. */
  async close(): Promise<void> {
    await this.last;
    this.glue.destroy();
  }
}
