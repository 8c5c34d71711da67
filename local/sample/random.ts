/** A source of random numbers: the same ones for the same seed, on every machine. */
export interface Random {
  /** 0 <= x < 1, 32 bits of it. */
  next(): number;
  /** A whole number, 0 <= n < below. */
  below(below: number): number;
  /** True in `share` of all calls. */
  chance(share: number): boolean;
  pick<T>(from: readonly T[]): T;
}

/** mulberry32 (Tommy Ettinger, public domain): 32 bits of state, enough for sample data, nothing for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    next,
    below,
    chance: (share) => next() < share,
    pick: <T>(from: readonly T[]) => from[below(from.length)] as T,
  };
}

/**
 * Draws ranks 0 ... count-1 by the Zipf-Mandelbrot law: rank k has the weight 1 / (k + flatness). It uses only sums and
 * quotients, which every machine rounds the same way. Powers may differ.
 */
export function zipf(count: number, flatness: number): (random: Random) => number {
  const upTo = new Float64Array(count);
  let total = 0;
  for (let rank = 0; rank < count; rank += 1) {
    total += 1 / (rank + flatness);
    upTo[rank] = total;
  }
  return (random) => {
    const wanted = random.next() * total;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((upTo[middle] as number) > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
