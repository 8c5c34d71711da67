/** A folder in S3. */
export interface Location {
  bucket: string;
  /** Empty, or ends with a slash. */
  prefix: string;
}

/**
 * Parses `s3://BUCKET/PREFIX/`. Gives undefined for any other text, and for a prefix with characters that are wildcards
 * or variables in an IAM policy (`*`, `?`, `$`).
 */
export function parseLocation(url: string): Location | undefined {
  const [, bucket, prefix] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/((?:[\w.!'()+=@:, -]+\/)*)$/.exec(url) ?? [];
  return bucket === undefined || prefix === undefined ? undefined : { bucket, prefix };
}
