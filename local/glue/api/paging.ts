import { invalidInput } from "../errors";

export interface PageRequest {
  NextToken?: string | undefined;
  MaxResults?: number | undefined;
}

/**
 * One page of `items`, in their order; `idOf` identifies an item. The token names the last item of a page, so items
 * that are added or removed between two calls cause no gap and no repetition.
 * @throws GlueError InvalidInputException for a token that names no item of the list
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
