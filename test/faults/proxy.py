"""Starts microburst, with three habits changed.

It takes Content-Length off replies, which S3A needs of a HEAD. And what callers have signed, it forwards otherwise: its
upstream's name as Host, and the path with `=` for `%3D`. The emulator would refuse the signature.
"""

import sys

from aiohttp import ClientSession
from aiohttp.web import Request
from microburst import cli, forward
from yarl import URL

forward.HOP_BY_HOP = frozenset(forward.HOP_BY_HOP - {"content-length"})

outbound_headers = forward.Upstream._outbound_headers


def with_signed_host(self: forward.Upstream, request: Request) -> "dict[str, str]":
    """The headers of the forwarded request, with the Host that the caller named."""
    headers: dict[str, str] = outbound_headers(self, request)
    return {**headers, "host": request.headers["Host"]}


def with_signed_path(_: ClientSession, url: str) -> URL:
    """The address to forward to, its path as it came."""
    return URL(url, encoded=True)


forward.Upstream._outbound_headers = with_signed_host
ClientSession._build_url = with_signed_path  # type: ignore[method-assign,assignment]

if __name__ == "__main__":
    sys.exit(cli.main())
