import { ledgerPages } from "./ledger";
import type { Store } from "./world";

/** The ETags of held files, which no claim takes, by key. */
export async function readHeld(world: Store): Promise<Map<string, string>> {
  const held = new Map<string, string>();
  for await (const items of ledgerPages(world, "HELD"))
    for (const { sk, etag } of items) held.set(String(sk), String(etag));
  return held;
}
