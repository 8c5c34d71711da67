/** A person's request that can't be met now. The message says why; nothing was changed. */
export class RefusedError extends Error {}
