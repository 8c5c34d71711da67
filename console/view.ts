import { duration } from "../terminal/format";
import { type Html, html, link, pathTo } from "./html";
import type { Batch } from "./source";

/** A page, in parts that change by themselves. */
export interface View {
  title: string;
  parts: { id: string; html: Html }[];
  /** Whether it can change while somebody looks at it. */
  isLive: boolean;
}

/** A page of one part that stays as it is. */
export function still(title: string, part: Html): View {
  return { title, parts: [{ id: "part", html: part }], isLive: false };
}

/** A state as word and colour. */
export function stateOf({ state }: Pick<Batch, "state">): Html {
  return html`<span class="state ${state}">${state}</span>`;
}

export function batchLink(batchId: string): Html {
  return link(pathTo("batch", { id: batchId }), batchId);
}

/** How long ago a moment was, or `-`. */
export function ago(moment: string | null, nowMs: number): string {
  const passedMs = nowMs - Date.parse(moment ?? "");
  return Number.isNaN(passedMs) ? "-" : `${duration(Math.max(0, passedMs))} ago`;
}

/** Milliseconds from one moment to another; null if one is not known. */
export function spanMs(from: string | null, to: string | null): number | null {
  const passedMs = Date.parse(to ?? "") - Date.parse(from ?? "");
  return Number.isNaN(passedMs) ? null : Math.max(0, passedMs);
}

/** A span in words, with tenths of a second where it is short. */
export function spanText(ms: number | null): string {
  if (ms === null) return "-";
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);
}

export function sum(counts: Record<string, number> | null): number | null {
  return counts === null ? null : Object.values(counts).reduce((total, one) => total + one, 0);
}
