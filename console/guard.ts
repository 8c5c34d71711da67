import { timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { getCookie, setCookie } from "hono/cookie";

const loopback = /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/;

const headers = {
  // Our own style and script, and nothing else: no inline code, no other host, no frame.
  "Content-Security-Policy":
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cache-Control": "no-store",
};

/**
 * Refuses whatever does not come from the console's own pages, or from the address that the command printed:
 * - a Host that is not loopback (a name that was rebound to this machine);
 * - Origin, Referer or Sec-Fetch-Site of another site;
 * - another method than GET;
 * - no key, so that other users of this machine see nothing. The address has it; a cookie keeps it.
 */
export function guard(key: string): MiddlewareHandler {
  return async (context, next) => {
    const { req: request } = context;
    for (const [name, value] of Object.entries(headers)) context.header(name, value);

    const host = request.header("host") ?? "";
    if (!loopback.test(host)) return context.text("The console answers on 127.0.0.1 and localhost alone.", 403);
    if (isForeign(request.header(), host)) return context.text("The console answers its own pages alone.", 403);
    if (request.method !== "GET") return context.text("The console only reads.", 405);

    // Browsers share cookies between all ports of a host.
    const cookie = `music-streams-${host.split(":").at(-1)}`;
    const given = request.query("key");
    if (given !== undefined && isSame(given, key)) {
      setCookie(context, cookie, key, { httpOnly: true, sameSite: "Strict", path: "/" });
      return context.redirect("/");
    }
    if (!isSame(getCookie(context, cookie) ?? "", key))
      return context.text("Open the address that the command printed: it has the key of this console.", 403);
    return next();
  };
}

function isForeign(headers: Record<string, string>, host: string): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "none" && site !== "same-origin") return true;
  const own = `http://${host}`;
  const { origin, referer } = headers;
  return (origin !== undefined && origin !== own) || (referer !== undefined && !`${referer}/`.startsWith(`${own}/`));
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
