import { createHash } from "node:crypto";

/** A new batch's id: sorts by the second of its claim; 40 random bits make it unique. `20240625T171313Z-K3Q7ZJ2A`. */
export function newBatchId(nowMs: number, random: Uint8Array): string {
  const stamp = new Date(nowMs).toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
  return `${stamp}-${base32(random)}`;
}

/**
 * The id of a half of a split batch. The same parent always gives the same ids, so a repeated split changes nothing.
 */
export function childBatchId(parent: string, half: number): string {
  const stamp = parent.slice(0, parent.indexOf("-"));
  return `${stamp}-${base32(createHash("sha256").update(`${parent}/${half}`).digest())}`;
}

/** Eight characters of RFC 4648 base32 from the first five bytes. */
function base32(bytes: Uint8Array): string {
  let bits = 0n;
  for (let index = 0; index < 5; index++) bits = (bits << 8n) | BigInt(bytes[index] ?? 0);
  let text = "";
  for (let index = 0; index < 8; index++) {
    text = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".charAt(Number(bits & 31n)) + text;
    bits >>= 5n;
  }
  return text;
}
