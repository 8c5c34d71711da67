import { InvalidArgumentError } from "commander";

/** A parser for commander: reads a whole number from `least` to `most`, or throws InvalidArgumentError. */
export function wholeNumber(least = 0, most = 9_999_999_999): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}
