"""Starts microburst with three changes.

microburst removes Content-Length from replies, which S3A needs in the reply to a HEAD. It changes what callers signed:
Host becomes the upstream's name, and `%3D` in the path becomes `=`. The emulator would refuse the signature.
"""

import sys

from aiohttp import ClientSession
from aiohttp.web import Request
from microburst import cli, forward
from yarl import URL

forward.HOP_BY_HOP = frozenset(forward.HOP_BY_HOP - {"content-length"})

outbound_headers = forward.Upstream._outbound_headers


def with_signed_host(self: forward.Upstream, request: Request) -> "dict[str, str]":
    """Returns the headers of the forwarded request, with the caller's Host."""
    headers: dict[str, str] = outbound_headers(self, request)
    return {**headers, "host": request.headers["Host"]}


def with_signed_path(_: ClientSession, url: str) -> URL:
    """Returns the address to forward to, with the path as the caller sent it."""
    return URL(url, encoded=True)


forward.Upstream._outbound_headers = with_signed_host
ClientSession._build_url = with_signed_path  # type: ignore[method-assign,assignment]

if __name__ == "__main__":
    sys.exit(cli.main())
