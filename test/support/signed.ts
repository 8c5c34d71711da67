import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import { testCredentials } from "./credentials";

class Sha256 {
  private readonly hash: Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.hash = secret === undefined ? createHash("sha256") : createHmac("sha256", secret as Uint8Array);
  }
  update(data: Uint8Array) {
    this.hash.update(data);
  }
  async digest() {
    return new Uint8Array(this.hash.digest());
  }
  reset() {}
}

interface Init {
  method: string;
  headers: Record<string, string>;
  body: string;
}

/** `fetch` with the signature of a service's client, for a request that no client would send. */
export async function signedFetch(service: string, url: string, { method, headers, body }: Init): Promise<Response> {
  const signer = new SignatureV4({ service, region: "us-east-1", credentials: testCredentials, sha256: Sha256 });
  const { protocol, hostname, port, pathname: path, host } = new URL(url);
  const request = { protocol, hostname, port: Number(port), path, method, body, headers: { ...headers, host } };
  const signed = await signer.sign(request);
  const { host: _, ...rest } = signed.headers;
  return fetch(url, { method, headers: rest, body });
}

/** Code of a Lambda function that puts objects into a bucket: `put(key, body)`. */
export function puttingCode(Bucket: string): string {
  const client = JSON.stringify(require.resolve("@aws-sdk/client-s3"));
  const settings = JSON.stringify({ region: "us-east-1", credentials: testCredentials, forcePathStyle: true });
  return `const { S3Client, PutObjectCommand } = require(${client});
    const s3 = new S3Client({ endpoint: process.env.AWS_ENDPOINT_URL, ...${settings} });
    const put = (Key, Body) => s3.send(new PutObjectCommand({ Bucket: "${Bucket}", Key, Body }));`;
}
