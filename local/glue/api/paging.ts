import { invalidInput } from "../errors";

export interface PageRequest {
  NextToken?: string | undefined;
  MaxResults?: number | undefined;
}

/**
 * One page of `items`, which are in a fixed order and told apart by `idOf`. The token names the last item given out, so
 * items that come or go between two calls are neither skipped nor doubled.
 * @throws GlueError InvalidInputException for a token that this list did not give out
 */
export function page<T>(
  items: readonly T[],
  idOf: (item: T) => string,
  request: PageRequest,
  most: number,
): { items: T[]; token?: string } {
  let from = 0;
  if (request.NextToken !== undefined && request.NextToken !== "") {
    const last = Buffer.from(request.NextToken, "base64url").toString("utf8");
    from = items.findIndex((item) => idOf(item) === last) + 1;
    if (from === 0) throw invalidInput("The pagination token is invalid.");
  }
  const taken = items.slice(from, from + (request.MaxResults ?? most));
  const last = taken.at(-1);
  if (last === undefined || from + taken.length >= items.length) return { items: taken };
  return { items: taken, token: Buffer.from(idOf(last), "utf8").toString("base64url") };
}
