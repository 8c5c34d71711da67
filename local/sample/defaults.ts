/** A small sample for the quick start. */
export const sampleDefaults = {
  seed: 1,
  listens: 20_000,
  tracks: 400,
  users: 2_000,
  days: 3,
  lastDay: "2025-06-15",
} as const;
