import { randomBytes } from "node:crypto";

/** An access key and its secret. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Credentials for one start of a local cloud. They may do everything there, and nobody can guess them. */
export function newCredentials(): Credentials {
  return {
    accessKeyId: `LOCAL${randomBytes(8).toString("hex").slice(0, 15).toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString("base64url"),
  };
}
