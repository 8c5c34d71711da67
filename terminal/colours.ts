import pc from "picocolors";

/** Whether a stream is a terminal that can move its cursor. `TERM=dumb` can't, and CI only keeps a log. */
export function canRedraw(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && env.TERM !== "dumb" && !env.CI;
}

/** Whether to colour what goes to a stream: as `canRedraw`, and not with NO_COLOR (no-color.org). */
export function hasColours(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return canRedraw(stream, env) && !env.NO_COLOR;
}

/** The colours of progress, which goes to stderr. */
export const colours = pc.createColors(hasColours({ isTTY: process.stderr.isTTY }, process.env));
